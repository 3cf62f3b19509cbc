"""The golden tile of a bundle: a drawn picture, and what each graph makes of it, which `runtimes/units.py` asks for."""

import zlib
from pathlib import Path

import numpy as np
import torch

from mimdit.degrade import degrade
from mimdit.export.graph import DeployableGraph
from mimdit.export.tiles import scene
from mimdit.runtimes.units import STEP, golden_inputs

PICTURE = "golden.png"
_SIDE = 128  # px: larger tiles continue it by mirroring, so that it stays at 45 KB
_KIND = "noise"  # every convolution has to work


def golden_picture() -> np.ndarray:
    """u8[128,128,3], the same on every machine."""
    rng = np.random.default_rng(zlib.crc32(b"golden"))
    photo = degrade(scene(2 * _SIDE, rng), _KIND, rng).image[:_SIDE, :_SIDE]
    return np.round(photo * 255).astype(np.uint8)


def write_picture(folder: Path) -> str:
    """Returns the file's name."""
    _write(golden_picture(), folder / PICTURE)
    return PICTURE


def write_expected(graph: DeployableGraph, folder: Path) -> str:
    """What PyTorch makes of the picture, every fourth row and column of it. Returns the file's name."""
    image, photo = golden_inputs(golden_picture(), graph.tile)
    with torch.no_grad():
        restored = graph(torch.from_numpy(image), torch.from_numpy(photo)).numpy()
    picks = restored[0].transpose(1, 2, 0)[::STEP, ::STEP]
    name = f"{graph.name}.golden.png"
    _write(np.round(picks * 255).astype(np.uint8), folder / name)
    return name


def _write(pixels: np.ndarray, path: Path) -> None:
    from PIL import Image

    Image.fromarray(pixels).save(path, optimize=True)
