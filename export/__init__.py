"""From a frozen variant to files: one target a file, all of the same shape."""

from mimdit.export import coreai, coreml, executorch, litert, onnx, openvino, tensorrt
from mimdit.export.converter import Converter

EXPORTERS: tuple[Converter, ...] = (
    onnx.CONVERTER,
    coreml.CONVERTER,
    openvino.CONVERTER,
    litert.CONVERTER,
    tensorrt.CONVERTER,
    executorch.CONVERTER,
    coreai.CONVERTER,
)
