"""How near a graph comes to what its cores can do at all: its arithmetic a second over a matrix product's."""

import os
import subprocess
import sys
from collections.abc import Sequence
from statistics import median

from mimdit.benchmarks.run_file import Roofline
from mimdit.errors import MimditError

__all__ = ["gemm_gflops", "reached"]

# BLAS reads its thread count once, when numpy is loaded: so in a process of its own.
_GEMM = """
import time, numpy
n = 1536
a, b = (numpy.random.default_rng(i).random((n, n), numpy.float32) for i in (0, 1))
c = numpy.empty_like(a)
best = 0.0
for _ in range(12):
    began = time.perf_counter()
    numpy.matmul(a, b, out=c)
    best = max(best, 2 * n**3 / (time.perf_counter() - began) / 1e9)
print(best)
"""


def gemm_gflops(threads: int) -> float:
    """GFLOP/s of the best of 12 float32 products of 1536×1536 by numpy's BLAS, on so many threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    paths = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, **dict.fromkeys(names, str(threads)), "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", _GEMM], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise MimditError(f"--roofline: the matrix product failed: {done.stderr.strip()[-200:]}")
    return float(done.stdout)


def reached(gmac: float, seconds: Sequence[float], gemm: float) -> Roofline:
    """gmac: of one tile; a multiply-accumulate counts as two operations."""
    gflops = 2 * gmac / median(seconds)
    return Roofline(gmac=gmac, gflops=gflops, gemm_gflops=gemm, share=gflops / gemm)
