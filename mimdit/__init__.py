"""MiM-DiT on devices: restore photos with a bundle, no torch needed.

    import mimdit
    bundle = mimdit.load_bundle()              # the embedded default, or a path
    better = mimdit.restore(photo, bundle)     # uint8 or float32 [H,W,3] → the same dtype and shape

Names are resolved on first use, so that `import mimdit` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mimdit.bundle import open_bundle as load_bundle
    from mimdit.runtimes.restore import restore

    __version__: str

__all__ = ["__version__", "load_bundle", "restore"]

_LAZY = {"load_bundle": ("mimdit.bundle", "open_bundle"), "restore": ("mimdit.runtimes.restore", "restore")}


def __getattr__(name: str) -> object:
    """Resolve a public name on first use and keep it."""
    if name == "__version__":
        value: object = import_module("importlib.metadata").version("mimdit")
    elif name in _LAZY:
        module, attribute = _LAZY[name]
        value = getattr(import_module(module), attribute)
    else:
        raise AttributeError(f"module 'mimdit' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
