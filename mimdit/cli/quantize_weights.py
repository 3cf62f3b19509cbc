"""`mimdit quantize weights`."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["weights"]


def weights(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="In fp32, fp16 or bf16, with its external data.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder that is made.")],
) -> None:
    """Store an ONNX file's weights in 8 bits, however large it is: memory is needed for some rows of one of them.

    Weights of MatMul, Gemm and Conv become 8-bit numbers and a scale a channel, with a DequantizeLinear in front of the
    layer; a bf16 file is halved. DIR gets the file under its name and weights.bin. For bundles: `mimdit build
    --precision w8`.
    """
    from mimdit.quantize.streamed import quantize_weights

    sizes = quantize_weights(model, out)
    typer.echo(f"{out}: {sizes.after / 1e6:.1f} MB, {sizes.before / 1e6:.1f} MB before", err=True)
