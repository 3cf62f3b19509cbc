"""What a bundle was made from, factor by factor, and whether its files hold what they say: told without running it.

A regression comes from one of few places: weights, routing plan, calibration, precision, converter. Two bundles'
factors say which of them differ; the files themselves say when one does not follow its manifest.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mimdit.onnx_file import FLOAT_TYPES, Tensor, parse
from mimdit.routing.inside import experts_inside, plan_difference
from mimdit.targets import Precision, Target

if TYPE_CHECKING:
    from mimdit.bundle import Bundle
    from mimdit.manifest import ModelEntry

__all__ = ["FACTORS", "Factor", "Factors", "differing", "factors_of"]

Factor = Literal["weights", "plan", "calibration", "precision", "converter"]
FACTORS: tuple[Factor, ...] = ("weights", "plan", "calibration", "precision", "converter")

_SCALE = ("_scale", ".scale", "/scale")  # how names of quantization scales end, in what NNCF and onnxruntime write
_GRID = (*_SCALE, "zero_point")  # what says how 8-bit numbers are read, and is never all zero


class Factors(BaseModel):
    """One bundle's. Hashes are 16 hex digits; null is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: Target
    weights: str = Field(description="the checkpoint's hash, as the manifest says")
    plan: str = Field(description="of all routing plans")
    calibration: str | None = Field(description="of the calibration set; null where none was used")
    precision: Precision
    floating: str | None = Field(default=None, description="of the layers that stayed in float; null: none did")
    converter: str = Field(description="packages that built it, with their versions")
    scales: str | None = Field(default=None, description="of the quantization scales in ONNX files; null: none found")
    files: dict[str, str] = Field(description="path → sha256")
    largest: str = Field(description="the file that holds most of the weights")
    fault: str | None = Field(default=None, description="a sub-expert that is not in the file as the plan says")


def factors_of(bundle: "Bundle") -> Factors:
    """Reads a bundle's manifest, and its ONNX files where it has any."""
    manifest = bundle.manifest
    plans = [model.plan.model_dump_json() for model in manifest.models]
    largest = max(manifest.files, key=lambda file: file.bytes)
    onnx = [model for model in manifest.models if model.file.endswith(".onnx")]
    return Factors(
        target=manifest.target,
        weights=manifest.checkpoint[:16],
        plan=_hash("".join(plans).encode()),
        calibration=_calibration(manifest),
        precision=manifest.precision,
        floating=_floating(manifest.models),
        converter=", ".join(_converter(bundle)),
        scales=_scales(bundle, onnx),
        files={file.path: file.sha256 for file in manifest.files},
        largest=largest.path,
        fault=next(filter(None, (_fault(bundle, model) for model in onnx)), None),
    )


def differing(a: Factors, b: Factors) -> tuple[Factor, ...]:
    """The factors in which two bundles differ, in the order of FACTORS.

    Whatever the manifests say: scales that differ though everything else is the same are another calibration, and a
    largest file that differs though the scales are the same, too, holds other weights.
    """
    found: tuple[Factor, ...] = tuple(factor for factor in FACTORS if _value(a, factor) != _value(b, factor))
    if not found and a.scales != b.scales:
        return ("calibration",)
    if not found and a.files.get(a.largest) != b.files.get(b.largest):
        return ("weights",)
    return found


def _value(factors: Factors, factor: Factor) -> object:
    """Which layers stayed in float is a matter of precision, too."""
    return (factors.precision, factors.floating) if factor == "precision" else getattr(factors, factor)


def stale(new: Factors, old: Factors) -> str | None:
    """The file of the new bundle that is the old one's to the byte although the checkpoint is another; None if none."""
    same = new.files.get(new.largest) == old.files.get(old.largest)
    return new.largest if same and new.weights != old.weights else None


def network_hash(bundle: "Bundle", model: "ModelEntry") -> str:
    """Of what a model file computes, whichever bundle it lies in; where it cannot be read for that, of the bundle."""
    built = [model.variant, model.tile, model.steps, model.gmac, model.plan.model_dump_json(), *_converter(bundle)]
    if not model.file.endswith(".onnx"):
        return _hash(json.dumps([bundle.manifest.id, *built]).encode())
    tensors = sorted((name, _hash(_bytes(bundle, model, tensor).tobytes())) for name, tensor in _tensors(bundle, model))
    return _hash(json.dumps([tensors, *built]).encode())


def _converter(bundle: "Bundle") -> list[str]:
    return [f"{name} {version}" for name, version in sorted(bundle.manifest.built_with.items())]


def _calibration(manifest: object) -> str | None:
    calibration = getattr(manifest, "calibration", None)
    return None if calibration is None else calibration.sha256[:16]


def _floating(models: "Iterable[ModelEntry]") -> str | None:
    kept = [f"{model.variant}-{model.tile}: {layer}" for model in models for layer in sorted(model.floating)]
    return _hash("\n".join(kept).encode()) if kept else None


def _fault(bundle: "Bundle", model: "ModelEntry") -> str | None:
    tensors = dict(_tensors(bundle, model))
    if not experts_inside(tensors):  # a quantizer may rename what it touches
        return None
    if difference := plan_difference(model.plan, tensors):
        return f"{model.file}: {difference}"
    for block, name in sorted(experts_inside(tensors)):
        prefix = f"branch.blocks.{block}.experts.{name}.out."
        ends = [tensor for key, tensor in tensors.items() if prefix in key and not key.endswith(_GRID)]
        if ends and not any(_bytes(bundle, model, tensor).any() for tensor in ends):
            return f"{model.file}: sub-expert {name} of MiM block {block} is in the plan, but its weights are all zero"
    return None


def _scales(bundle: "Bundle", models: "list[ModelEntry]") -> str | None:
    content = [
        name.encode() + _bytes(bundle, model, tensor).tobytes()
        for model in models
        for name, tensor in _tensors(bundle, model)
        if name.endswith(_SCALE) and tensor.data_type in FLOAT_TYPES
    ]
    return _hash(b"".join(content)) if content else None


def _tensors(bundle: "Bundle", model: "ModelEntry") -> "Iterator[tuple[str, Tensor]]":
    for tensor in parse(bundle.file(model.file).read_bytes()).tensors:
        yield tensor.name, tensor


def _bytes(bundle: "Bundle", model: "ModelEntry", tensor: Tensor) -> np.ndarray:
    """u8[length]: a tensor's elements as they are stored."""
    path = Path(bundle.file(tensor.location or model.file))
    return np.fromfile(path, np.uint8, count=tensor.length, offset=tensor.offset)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
