"""Runtimes: what executes a bundle's target on this device. All of them without torch.

One more target is one more file here and one more entry of `RUNTIMES`.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from mimdit.errors import BundleError, MissingPackageError
from mimdit.runtimes import onnx
from mimdit.runtimes.base import Runtime, RuntimeSpec

if TYPE_CHECKING:
    from mimdit.bundle import Bundle
    from mimdit.targets import Variant

__all__ = ["RUNTIMES", "Runtime", "RuntimeSpec", "find", "open_runtime"]

RUNTIMES: tuple[RuntimeSpec, ...] = (onnx.RUNTIME,)


def find(target: str) -> RuntimeSpec:
    """The runtime of a target. Raises BundleError naming those there are, MissingPackageError naming the extra."""
    for spec in RUNTIMES:
        if spec.target == target:
            for package in spec.requires:
                if find_spec(package) is None:
                    raise MissingPackageError(package, extra=target)
            return spec
    known = ", ".join(spec.target for spec in RUNTIMES)
    raise BundleError(
        f"this mimdit has no runtime for target {target}; it runs {known}: build the bundle for one of them"
    )


def open_runtime(
    bundle: "Bundle", variant: "Variant", *, tile: int | None = None, threads: int | None = None
) -> Runtime:
    """Opens a variant of a bundle, ready to run. tile: which of its sizes, None is the first; threads: None is all."""
    entry = bundle.entry(variant, tile)
    return find(bundle.manifest.target).open(bundle.file(entry.file), entry.tile, threads)
