"""Runtimes: what executes a bundle's target on this device. All of them without torch.

One more target is one more file here and one more entry of `RUNTIMES`.
"""

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from mimdit.errors import BundleError, MissingPackageError
from mimdit.runtimes import coreai, coreml, executorch, litert, onnx, openvino, tensorrt
from mimdit.runtimes.base import Runtime, RuntimeSpec

if TYPE_CHECKING:
    from mimdit.bundle import Bundle
    from mimdit.targets import Variant

__all__ = ["RUNTIMES", "Runtime", "RuntimeSpec", "find", "is_reference", "open_runtime"]

RUNTIMES: tuple[RuntimeSpec, ...] = (
    onnx.RUNTIME,
    coreml.RUNTIME,
    openvino.RUNTIME,
    litert.RUNTIME,
    tensorrt.RUNTIME,
    executorch.RUNTIME,
    coreai.RUNTIME,
)

_REFERENCES = ("coreml (MIL evaluator)", "coreai")  # off macOS


def is_reference(runtime: Runtime) -> bool:
    """Whether its pixels count here and its time does not."""
    return runtime.name in _REFERENCES and sys.platform != "darwin"


def find(target: str) -> RuntimeSpec:
    """The runtime of a target. Raises BundleError naming those there are, MissingPackageError naming the extra."""
    for spec in RUNTIMES:
        if spec.target == target:
            for package in spec.requires:
                if find_spec(package) is None:
                    raise MissingPackageError(package, extra=target, alone=spec.alone)
            return spec
    known = ", ".join(spec.target for spec in RUNTIMES)
    raise BundleError(
        f"this mimdit has no runtime for target {target}; it runs {known}: build the bundle for one of them"
    )


def open_runtime(
    bundle: "Bundle",
    variant: "Variant",
    *,
    tile: int | None = None,
    threads: int | None = None,
    provider: str | None = None,
) -> Runtime:
    """Opens a variant of a bundle, ready to run. tile: which of its sizes, None is the first; threads: None is all.

    provider: which of the runtime's backends, None is its usual one. Raises BundleError where this machine cannot run
    the bundle, or has no such provider.
    """
    target, precision = bundle.manifest.target, bundle.manifest.precision
    entry, spec = bundle.entry(variant, tile), find(target)
    platform = bundle.manifest.platform
    if reason := spec.hindrance(precision) or (platform and spec.platform_hindrance(platform)):
        raise BundleError(f"{bundle.path.name} ({target}, {precision}) cannot run here: {reason}")
    if provider is None:
        return spec.open(bundle.file(entry.file), entry.tile, threads)
    if spec.open_on is None:
        raise BundleError(f"bundles for {target} run on one provider only: leave out --provider")
    return spec.open_on(bundle.file(entry.file), entry.tile, threads, provider)
