"""The frozen variants of a bundle as model folders again, to be tuned further: their weights are in its ONNX files.

    python -m mimdit.export.unpack mimdit/default/default.mimdit weights/student-1 --out runs/small/final

The student that they were frozen from gives the shape, and what the files hold only folded into constants (the time
embedding). The bundle's hash of its checkpoint proves that nothing else was lost.
"""

import re
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import torch
import typer
from onnx import numpy_helper

from mimdit.bundle import Bundle, open_bundle
from mimdit.errors import CheckpointError
from mimdit.export.graph import joint_hash
from mimdit.manifest import ModelEntry
from mimdit.model.checkpoint import checkpoint_hash, load_model, save_model
from mimdit.model.experts import SwinAttention
from mimdit.model.mimdit import MiMDiT
from mimdit.script import run
from mimdit.targets import Variant

_DECODER_BLOCK = re.compile(r"codec\.decoder\.blocks\.(\d)\.(\d+)\.first\.bias")


def unpack(bundle: Bundle, student: MiMDiT) -> dict[Variant, MiMDiT]:
    """Every variant of an fp32 ONNX bundle, in the student's shape.

    Raises CheckpointError for any other bundle, and where what came out is not what the bundle was made from.
    """
    manifest = bundle.manifest
    if (manifest.target, manifest.precision) != ("onnx", "fp32"):
        raise CheckpointError(
            f"{bundle.path.name} is for {manifest.target} in {manifest.precision}:"
            " weights are whole in fp32 for onnx only"
        )
    models: dict[Variant, MiMDiT] = {}
    for variant in bundle.variants:
        entry = bundle.entry(variant)
        try:
            models[variant] = _model(entry, student, *_named(onnx.load(bundle.file(entry.file)).graph))
        except (LookupError, ValueError, RuntimeError):  # a weight without name, too few biases, another shape
            raise CheckpointError(
                f"{bundle.path.name}: {variant} has other layers than this student, which it was not made from"
            ) from None
    checkpoints = {variant: checkpoint_hash(model) for variant, model in models.items()}
    if joint_hash(checkpoints[entry.variant] for entry in manifest.models) != manifest.checkpoint:
        raise CheckpointError(f"{bundle.path.name} was not made from this student, or is of another version of mimdit")
    return models


def _model(entry: ModelEntry, student: MiMDiT, weights: dict[str, torch.Tensor], biases: list[torch.Tensor]) -> MiMDiT:
    blocks = [match for name in weights if (match := _DECODER_BLOCK.fullmatch(name))]
    depths = tuple(sum(int(match[1]) == level for match in blocks) for level in range(3))
    shape = student.shape.model_copy(update={"plan": entry.plan, "decoder_depths": depths})
    model = MiMDiT.from_preset(shape)
    source = student.state_dict()
    state = {name: weights.get(name, source.get(name, value)) for name, value in model.state_dict().items()}
    attentions = [(name, part) for name, part in model.named_modules() if isinstance(part, SwinAttention)]
    for (name, part), gathered in zip(attentions, biases, strict=True):
        state[f"{name}.bias"] = _scattered(gathered, part)
    model.load_state_dict(state)
    return model.eval()


def _named(graph: onnx.GraphProto) -> tuple[dict[str, torch.Tensor], list[torch.Tensor]]:
    """Weights by their names in the model; and the gathered biases of Swin attentions, in order.

    The exporter keeps names, but for matrices, which it transposes: those are called as the bias that is added next.
    """
    values = {tensor.name.removesuffix(".half"): tensor for tensor in graph.initializer}
    readers = {name: node for node in graph.node for name in node.input}
    weights, biases = {}, []
    for name, tensor in values.items():
        array = torch.from_numpy(numpy_helper.to_array(tensor).astype(np.float32))
        if name.startswith("model."):
            weights[name.removeprefix("model.")] = array
        elif (reader := readers.get(name)) is not None and reader.op_type == "MatMul":
            added = [other for other in readers[reader.output[0]].input if other.endswith(".bias")]
            weights[added[0].removeprefix("model.").removesuffix("bias") + "weight"] = array.T
        elif len(array.shape) >= 3 and array.shape[-3] == SwinAttention.HEADS and array.shape[-1] == array.shape[-2]:
            biases.append(array.reshape(array.shape[-3:]))
    return weights, biases


def _scattered(gathered: torch.Tensor, part: SwinAttention) -> torch.Tensor:
    """f32[heads,n²,n²], a bias for each pair of places → f32[heads,(2n−1)²], one for each distance."""
    bias = torch.zeros_like(part.bias)
    bias[:, part.offset] = gathered  # pyright: ignore[reportArgumentType, reportCallIssue]
    return bias


def main(
    bundle: Annotated[Path, typer.Argument(help="NAME.mimdit, for onnx in fp32.")],
    student: Annotated[Path, typer.Argument(help="Model folder of the student that the variants were frozen from.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write: a model folder for each variant.")],
) -> None:
    """Write the variants of a bundle as model folders."""
    for name, model in unpack(open_bundle(bundle), load_model(student)).items():
        save_model(model, out / name / "model")
        typer.echo(out / name / "model")


if __name__ == "__main__":
    run(main)
