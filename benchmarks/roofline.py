"""The roofline: how near a graph comes to what its cores and their memory can do at all.

Two roofs, measured with numpy's BLAS on the same threads: arithmetic (a matrix product) and memory (a matrix times a
vector, which reads every element once).
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from mimdit.benchmarks.operations import profile
from mimdit.benchmarks.run_file import Roofline
from mimdit.errors import MimditError
from mimdit.manifest import ModelEntry
from mimdit.targets import Precision

if TYPE_CHECKING:
    from mimdit.bundle import Bundle

__all__ = ["Roofs", "measure_roofs", "reached"]

# BLAS reads its thread count once, when numpy is loaded: so in a process of its own.
_PRODUCTS = """
import time, numpy
def best(times, call):
    found = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return min(found)
n, rows, columns = 1024, 4096, 8192
a, b, wide = (numpy.ones(shape, numpy.float32) for shape in ((n, n), (n, n), (rows, columns)))
vector, c, d = numpy.ones(columns, numpy.float32), numpy.empty((n, n), numpy.float32), numpy.empty(rows, numpy.float32)
print(2 * n**3 / best(12, lambda: numpy.matmul(a, b, out=c)) / 1e9)
print(wide.nbytes / best(6, lambda: numpy.matmul(wide, vector, out=d)) / 1e9)
"""
_EXPECTED = 0.5  # of the matrix product; a graph that reaches less shows where its time goes
_WEIGHT_BYTES: dict[Precision, float] = {"fp32": 4, "fp16": 2, "bf16": 2, "w8": 1, "w8a8": 1, "p6": 0.75}


class Roofs(NamedTuple):
    """gflops: 10⁹ operations/s, the best of 12 products of 1024×1024 · gbytes: 10⁹ bytes/s, the best of 6 of 128 MB."""

    gflops: float
    gbytes: float


def measure_roofs(threads: int) -> Roofs:
    """Takes about a second. Raises MimditError where numpy cannot be started anew."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    paths = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, **dict.fromkeys(names, str(threads)), "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", _PRODUCTS], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise MimditError(f"the roofline's matrix product failed: {done.stderr.strip()[-200:]}")
    gflops, gbytes = map(float, done.stdout.split())
    return Roofs(gflops, gbytes)


def reached(bundle: "Bundle", entry: ModelEntry, seconds: Sequence[float], roofs: Roofs, threads: int) -> Roofline:
    """A multiply-accumulate counts as two operations. What must be moved at least: weights once, a tile in, one out.

    Below half of the matrix product the operations are timed, which says why.
    """
    moved = entry.parameters * _WEIGHT_BYTES[bundle.manifest.precision] + 2 * 3 * 4 * entry.tile**2
    gflops = 2 * entry.gmac / median(seconds)
    return Roofline(
        gmac=entry.gmac,
        gflops=gflops,
        gemm_gflops=roofs.gflops,
        share=(share := gflops / roofs.gflops),
        operations=profile(bundle, entry, threads) if share < _EXPECTED else (),
        memory_gbytes=roofs.gbytes,
        intensity=2e9 * entry.gmac / moved,
    )
