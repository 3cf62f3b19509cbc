"""Where a graph's time goes, by kind of operation: what ONNX Runtime and OpenVINO say of themselves.

The reason that is shown where a graph reaches less than half of the machine's matrix product.
"""

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mimdit.benchmarks.latency import noise_inputs
from mimdit.benchmarks.run_file import OperationShare

if TYPE_CHECKING:
    from mimdit.bundle import Bundle
    from mimdit.manifest import ModelEntry

__all__ = ["profile"]

_RUNS = 5  # after one that warms up


def profile(bundle: "Bundle", entry: "ModelEntry", threads: int) -> tuple[OperationShare, ...]:
    """On the CPU, the most expensive first; empty for runtimes that do not measure themselves."""
    measure = {"onnx": _onnx, "openvino": _openvino}.get(bundle.manifest.target)
    if measure is None:
        return ()
    image, photo = noise_inputs(entry.tile, np.random.default_rng(0))
    inputs = {"image": image, "photo": photo}
    return _shares(measure(bundle.file(entry.file), inputs, threads))


def _shares(nodes: Iterable[tuple[str, float]]) -> tuple[OperationShare, ...]:
    """(kind, time in any unit) of every node in every run."""
    times: dict[str, list[float]] = defaultdict(list)
    for kind, time in nodes:
        times[kind].append(time)
    total = sum(map(sum, times.values()))
    rows = [
        OperationShare(operation=kind, count=len(found) // _RUNS, share=sum(found) / total)
        for kind, found in times.items()
        if total and len(found) >= _RUNS
    ]
    return tuple(sorted(rows, key=lambda row: -row.share))


def _onnx(path: Path, inputs: dict[str, np.ndarray], threads: int) -> Iterator[tuple[str, float]]:
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="mimdit-profile-") as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.enable_profiling, options.profile_file_prefix = True, str(Path(folder, "profile"))
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for _ in range(1 + _RUNS):
            session.run(None, inputs)
        events = json.loads(Path(session.end_profiling()).read_text())
    nodes = [event for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")]
    for event in nodes[len(nodes) // (1 + _RUNS) :]:
        yield event["args"]["op_name"], event["dur"]


def _openvino(path: Path, inputs: dict[str, np.ndarray], threads: int) -> Iterator[tuple[str, float]]:
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERF_COUNT": True}
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    for run in range(1 + _RUNS):
        request.infer(inputs)
        if run:
            for node in request.get_profiling_info():
                if node.status == node.Status.EXECUTED:
                    yield node.node_type, node.real_time.total_seconds()
