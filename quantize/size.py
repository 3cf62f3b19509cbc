"""What a model file takes, with what lies beside it."""

from pathlib import Path

from mimdit import onnx_file

__all__ = ["HARDLY", "stored"]

HARDLY = 0.75  # of fp32: what takes more is told as hardly smaller


def stored(path: Path) -> int:
    """Bytes of one model: all files of a folder, OpenVINO's .bin beside its .xml, ONNX's tensors in a shared file."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    size = path.stat().st_size
    if path.suffix == ".xml":
        size += path.with_suffix(".bin").stat().st_size
    if path.suffix == ".onnx":
        size += sum(tensor.length for tensor in onnx_file.parse(path.read_bytes()).tensors if tensor.location)
    return size
