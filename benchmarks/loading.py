"""Loading and memory of a bundle, measured in a process of its own: only a fresh one knows what a first start costs.

python -m mimdit.benchmarks.loading BUNDLE VARIANT TILE THREADS [PROVIDER]
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, ConfigDict

from mimdit.errors import BundleError

if TYPE_CHECKING:
    from mimdit.bundle import Bundle
    from mimdit.targets import Variant

__all__ = ["Loading", "measure_loading", "peak_memory", "peak_of_command"]

_PHOTO = (512, 768)  # px, 0.39 megapixels: a few tiles, so that the tiler's own memory counts


class Loading(BaseModel):
    """Seconds and bytes of one fresh process; `mimdit.benchmarks.run_file` says what each is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cache_dropped: bool
    cold_load: float
    first_inference: float
    warm_load: float
    peak_bytes: int | None
    megapixels: float


def measure_loading(
    bundle: "Bundle", variant: "Variant", tile: int, threads: int, provider: str | None = None
) -> Loading:
    """Starts the process and reads what it says. Raises BundleError where it fails."""
    arguments = [str(bundle.path), variant, str(tile), str(threads), *([provider] if provider else [])]
    paths = os.pathsep.join(filter(None, sys.path))  # a kit on a device is not installed, only on the path
    command = [sys.executable, "-m", "mimdit.benchmarks.loading", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths})
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise BundleError(f"{bundle.path.name} does not run in a fresh process: {reason:.300}")
    return Loading.model_validate_json(done.stdout)


def peak_memory() -> int | None:
    """Bytes that this process has had resident at most. None where the system does not say."""
    try:
        # Not getrusage: after fork and exec Linux starts its figure at the parent's.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def peak_of_command(*arguments: str) -> int:
    """Bytes that `mimdit` with these arguments has resident at most, in a process of its own.

    Raises CalledProcessError where it fails, and ValueError where the system does not say.
    """
    command = [sys.executable, "-c", _TOLD, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout.splitlines()[-1])


_TOLD = """
from mimdit.benchmarks.loading import peak_memory
from mimdit.cli import main
try:
    main()
finally:
    print(peak_memory())
"""


def _drop_from_cache(folder: Path) -> bool:
    """Ask the system to forget the files' pages, which anyone may for clean ones. False where it has no such call."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)
    return True


def _main(path: Path, variant: "Variant", tile: int, threads: int, provider: str | None = None) -> Loading:
    import numpy as np

    dropped = _drop_from_cache(path)

    def load() -> float:
        nonlocal runtime
        began = time.perf_counter()
        from mimdit.bundle import open_bundle
        from mimdit.runtimes import open_runtime

        runtime = open_runtime(open_bundle(path), variant, tile=tile, threads=threads, provider=provider)
        return time.perf_counter() - began

    runtime = None
    cold = load()
    assert runtime is not None
    image, photo = np.zeros((1, 3, tile, tile), np.float32), np.zeros((1, 3, 64, 64), np.float32)
    began = time.perf_counter()
    runtime.run(image, photo)
    first = time.perf_counter() - began
    warm = load()
    del runtime

    from mimdit.bundle import open_bundle
    from mimdit.runtimes.restore import Restorer

    restorer = Restorer(open_bundle(path), threads=threads, provider=provider)
    restorer.restore(np.zeros((*_PHOTO, 3), np.uint8), variant)
    return Loading(
        cache_dropped=dropped,
        cold_load=cold,
        first_inference=first,
        warm_load=warm,
        peak_bytes=peak_memory(),
        megapixels=_PHOTO[0] * _PHOTO[1] / 1e6,
    )


if __name__ == "__main__":
    _path, _variant, _tile, _threads, *_provider = sys.argv[1:]
    _loading = _main(Path(_path), cast("Variant", _variant), int(_tile), int(_threads), *_provider)
    sys.stdout.write(_loading.model_dump_json())
