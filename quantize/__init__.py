"""From frozen variants to files of 8-bit numbers: one target a file, of the same shape as in `export/`."""

from mimdit.export.converter import Converter
from mimdit.quantize import coreai, coreml, executorch, litert, onnx, openvino, tensorrt

__all__ = ["QUANTIZERS"]

QUANTIZERS: tuple[Converter, ...] = (
    onnx.CONVERTER,
    openvino.CONVERTER,
    litert.CONVERTER,
    executorch.CONVERTER,
    *coreml.CONVERTERS,
    tensorrt.CONVERTER,
    coreai.CONVERTER,
)
