"""Every error that mimdit raises on purpose.

    MimditError                  exit code 2: bad input, usage or environment
    ├── PhotoError               a photo that cannot be read, or an output that may not be written
    ├── BundleError              a bundle that is damaged, unsafe or of an unknown version
    ├── CheckpointError          a checkpoint, plan or training state that does not fit
    ├── MissingPackageError      a package that an extra would install
    ├── NotComparableError       two runs whose key fields differ
    └── CheckFailedError         exit code 1: the work was done and its check failed (parity, a regression)

Each message is one line that says what was expected, what was found, and what to do next.
"""

__all__ = [
    "BundleError",
    "CheckFailedError",
    "CheckpointError",
    "MimditError",
    "MissingPackageError",
    "NotComparableError",
    "PhotoError",
]


class MimditError(Exception):
    """Root of the tree. The CLI prints the message as one line and exits with `exit_code`."""

    exit_code = 2


class PhotoError(MimditError):
    """A photo that cannot be read, or an output that may not be written."""


class BundleError(MimditError):
    """A bundle that is damaged, unsafe or of an unknown version."""


class CheckpointError(MimditError):
    """A checkpoint, routing plan or training state that does not fit what it is used for."""


class MissingPackageError(MimditError):
    """A package is not installed; names the extra that brings it, or what suffices to run a bundle."""

    def __init__(self, package: str, extra: str, alone: str | None = None):
        less = f", or  pip install {alone}  where bundles are only run" if alone else ""
        super().__init__(f"{package} is not installed: run  pip install 'mimdit[{extra}]'{less}")


class NotComparableError(MimditError):
    """Two runs whose key fields differ."""


class CheckFailedError(MimditError):
    """The work was done, and the check that guards it failed."""

    exit_code = 1
