"""Records a golden: the example photos, what the reference makes of them, its times, and where all of it comes from.

Outputs are computed on CUDA where there is a GPU, else on the processor, and the golden says which.
"""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np

from mimdit.benchmarks.device import this_device
from mimdit.benchmarks.golden import GOLDEN_NAME, Cuda, GoldenContent, GoldenEntry, GoldenFile, golden_id
from mimdit.benchmarks.latency import noise_inputs, timings
from mimdit.benchmarks.loading import peak_memory
from mimdit.benchmarks.provenance import provenance
from mimdit.benchmarks.quality import decibels
from mimdit.benchmarks.run_file import Samples
from mimdit.bundle_checks import hash_file
from mimdit.config import preset
from mimdit.errors import MissingPackageError
from mimdit.example_photos import EXAMPLES, Example, read_examples
from mimdit.files import write_file, write_folder
from mimdit.image import load
from mimdit.runtimes.base import Runtime
from mimdit.targets import VARIANT_DEGRADATIONS

__all__ = ["record_golden"]

_SAMPLES = 20  # times of one tile
_PACKAGES = ("torch", "diffusers", "numpy", "pillow")


@dataclass(frozen=True)
class _Times:
    cuda: Cuda | None
    cpu: Samples | None


def record_golden(
    model: Path, out: Path, *, steps: int, command: str, overwrite: bool = False, tell: Callable[[str], object]
) -> GoldenContent:
    """`model`: a model folder, the reference. Raises CheckpointError, MissingPackageError without torch."""
    try:
        import torch

        from mimdit.benchmarks.torch_models import TorchRuntime
        from mimdit.model.checkpoint import checkpoint_hash, load_model
    except ModuleNotFoundError as error:
        raise MissingPackageError(error.name or "torch", "train") from None
    loaded = load_model(model)
    cuda = torch.cuda.is_available()
    runtime = TorchRuntime(loaded, steps, device="cuda" if cuda else "cpu")
    device = this_device()
    computed_on = f"cuda: {torch.cuda.get_device_name()}" if cuda else f"cpu: {device.processor or device.architecture}"
    tell(f"the reference runs on {computed_on}")
    examples = read_examples()
    recorded: list[GoldenContent] = []

    def fill(folder: Path) -> None:
        entries = tuple(_record(example, runtime, folder) for example in examples)
        for entry in entries:
            tell(f"{entry.image}: {entry.psnr:.2f} dB")
        times = _times(runtime, tell) if cuda else _Times(None, _tile_times(runtime))
        if not cuda:
            tell("CUDA: not measured")
        checkpoint = checkpoint_hash(loaded)
        content = GoldenContent(
            id=golden_id(entries, checkpoint, steps),
            checkpoint=checkpoint,
            steps=steps,
            computed_on=computed_on,
            device=device,
            cuda=times.cuda,
            cpu_seconds=times.cpu,
            peak_bytes=peak_memory(),
            provenance=provenance(command, seed=0, packages=_PACKAGES),
            credits=tuple(dict.fromkeys(example.credit for example in examples)),
            entries=entries,
        )
        write_file(folder / GOLDEN_NAME, (content.model_dump_json(indent=1) + "\n").encode())
        recorded.append(content)

    write_folder(out, fill, overwrite=overwrite)
    return recorded[0]


def _record(example: Example, runtime: Runtime, folder: Path) -> GoldenEntry:
    """Copies the input and the truth, restores the input, writes the output beside them."""
    from mimdit.benchmarks.torch_models import restore_photo

    restored = restore_photo(load(EXAMPLES / example.degraded).pixels, runtime, example.variant)
    name = Path(example.degraded).stem
    _write_png(folder / f"{name}.golden.png", restored)
    for file in (example.degraded, example.truth):
        shutil.copyfile(EXAMPLES / file, folder / file)
    return GoldenEntry(
        image=name,
        degradation=VARIANT_DEGRADATIONS[example.variant][0],
        variant=example.variant,
        input=_file(folder, example.degraded),
        output=_file(folder, f"{name}.golden.png"),
        truth=_file(folder, example.truth),
        psnr=decibels(restored, load(folder / example.truth).pixels),
    )


def _file(folder: Path, name: str) -> GoldenFile:
    return GoldenFile(path=name, sha256=hash_file(folder / name))


def _write_png(path: Path, pixels: np.ndarray) -> None:
    from PIL import Image

    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    write_file(path, file.getvalue())


def _tile_times(runtime: Runtime) -> Samples:
    inputs = noise_inputs(runtime.tile, np.random.default_rng(0))
    timing = timings([partial(runtime.run, *inputs)], samples=_SAMPLES)[0]
    return Samples.of(timing.seconds)


def _times(runtime: Runtime, tell: Callable[[str], object]) -> _Times:
    """On CUDA: the reference's, and those of the paper's scale on random weights, which say nothing but time."""
    import torch

    seconds = _tile_times(runtime)
    peak = torch.cuda.max_memory_allocated()
    tell("timing sd35-medium on random weights: latency only")
    cuda = Cuda(
        device=torch.cuda.get_device_name(),
        driver=_driver(),
        seconds=seconds,
        sd35_medium_seconds=_sd35_medium(),
        peak_bytes=peak,
    )
    return _Times(cuda, None)


def _sd35_medium() -> Samples | None:
    """Null where the GPU's memory does not hold it (about 10 GB of weights)."""
    import torch

    from mimdit.benchmarks.torch_models import TorchRuntime
    from mimdit.model.mimdit import MiMDiT

    try:
        with torch.device("cuda"):
            model = MiMDiT.from_preset(preset("sd35-medium"))
        with torch.autocast("cuda", torch.bfloat16):
            return _tile_times(TorchRuntime(model, 1, device="cuda"))
    except torch.cuda.OutOfMemoryError:
        return None


def _driver() -> str | None:
    command = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.split("\n")[0].strip() or None
