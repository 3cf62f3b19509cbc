"""MB and peak memory of `mimdit quantize weights` on a large graph in bf16. By hand:

    python benchmarks/streamed.py --layers 40 --side 4096

Prints one JSON object. The command runs in a process of its own, and once more on a tiny graph: what the process takes
whatever it converts.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mimdit.benchmarks.loading import peak_of_command


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--layers", type=int, default=40, help="products")
    parser.add_argument("--side", type=int, default=4096, help="rows and columns of each weight")
    arguments = parser.parse_args()
    result = {"tiny": _one(1, 64), "large": _one(arguments.layers, arguments.side)}
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


def _one(layers: int, side: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=".", prefix=".streamed-") as scratch:  # the system's may lie in memory
        source, out = Path(scratch) / "source", Path(scratch) / "out"
        source.mkdir()
        _large(source / "large.onnx", layers, side)
        began = time.perf_counter()
        peak = peak_of_command("quantize", "weights", str(source / "large.onnx"), "-o", str(out))
        seconds = time.perf_counter() - began
        before, after = (sum(file.stat().st_size for file in folder.iterdir()) for folder in (source, out))
    return {
        "before_mb": round(before / 1e6, 1),
        "after_mb": round(after / 1e6, 1),
        "weight_mb": round(2 * side**2 / 1e6, 1),
        "peak_mb": round(peak / 1e6, 1),
        "seconds": round(seconds, 1),
    }


def _large(path: Path, layers: int, side: int) -> None:
    """A chain of products whose weights are stored in bf16 beside the file, written one at a time."""
    import onnx
    from onnx import TensorProto, helper

    random, nodes, tensors = np.random.default_rng(0), [], []
    with open(path.with_suffix(".data"), "wb") as file:
        for i in range(layers):
            tensor = TensorProto(
                name=f"w{i}", data_type=TensorProto.BFLOAT16, dims=[side, side], data_location=TensorProto.EXTERNAL
            )
            place = {"location": f"{path.stem}.data", "offset": file.tell(), "length": 2 * side * side}
            for key, value in place.items():
                tensor.external_data.add(key=key, value=str(value))
            tensors.append(tensor)
            values = random.standard_normal((side, side), np.float32) / np.float32(side**0.5)
            file.write((values.view(np.uint32) >> 16).astype(np.uint16).tobytes())
            nodes.append(helper.make_node("Cast", [f"w{i}"], [f"wide{i}"], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("MatMul", [f"x{i}", f"wide{i}"], [f"x{i + 1}"]))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", side]) for name in ("x0", f"x{layers}")]
    graph = helper.make_graph(nodes, "large", ends[:1], ends[1:], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


if __name__ == "__main__":
    main()
