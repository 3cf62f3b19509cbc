"""Where a graph's time goes, by kind of operation: asked for only where it stays below half of the matrix product."""

from pathlib import Path

import pytest

from mimdit.benchmarks.operations import profile
from mimdit.benchmarks.roofline import Roofs, reached
from mimdit.bundle import open_bundle


def test_onnx_runtime_says_where_the_time_goes(small: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bundle = open_bundle(small)
    (found,) = profile(bundle, bundle.entry("denoise"), threads=1)
    assert (found.operation, found.count, found.share) == ("Mul", 1, 1.0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("gemm", "operations"), [(1e-9, []), (100.0, ["Mul"])], ids=["above", "below"])
def test_it_is_the_reason_below_half_of_the_matrix_product(small: Path, gemm: float, operations: list[str]) -> None:
    bundle = open_bundle(small)
    entry = bundle.entry("denoise").model_copy(update={"gmac": 0.001})
    found = reached(bundle, entry, [0.01], Roofs(gemm, 10.0), threads=1)
    assert [operation.operation for operation in found.operations] == operations
