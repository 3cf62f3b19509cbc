"""A small data set with a manifest, as the public test's, of photos of nothing."""

from pathlib import Path

import numpy as np
from PIL import Image

HEADER = "split\ttask\tkind\tinput\tgt\tsource\tlicence\tnote\n"


def some_photo(seed: int, height: int = 72, width: int = 96) -> np.ndarray:
    """u8[H,W,3]: soft colours with some texture, like a photo of nothing."""
    rng = np.random.default_rng(seed)
    soft = Image.fromarray(rng.integers(20, 200, (5, 6, 3), np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(soft, np.int16) + rng.integers(-8, 9, (height, width, 1)), 0, 255).astype(np.uint8)


def photo_set(tmp_path: Path) -> Path:
    """Two clean photos, a noisy pair, a grey pair displaced by (2, −3), a hazy photo without a truth."""
    folder = tmp_path / "data"
    rows = []

    def add(task: str, kind: str, photo: np.ndarray, truth: np.ndarray | None = None) -> None:
        (folder / task).mkdir(parents=True, exist_ok=True)
        name = f"{task}/{len(rows)}_in.png"
        Image.fromarray(photo).save(folder / name)
        gt = "" if truth is None else name.replace("_in", "_gt")
        if truth is not None:
            Image.fromarray(truth).save(folder / gt)
        rows.append(f"public_test\t{task}\t{kind}\t{name}\t{gt}\tus\tCC0\t\n")

    add("clean_us", "clean", some_photo(0))
    add("clean_us", "clean", some_photo(1))
    add("denoise_us", "real pair", some_photo(2), some_photo(2) // 2 * 2)
    grey = some_photo(3)[..., 0]
    add("deblur_us", "real blur pair (gray; align +-8px)", np.roll(grey, (2, -3), (0, 1)), grey)
    add("haze_unpaired", "real unpaired", some_photo(4))
    (folder / "MANIFEST.tsv").write_text(HEADER + "".join(rows))
    return folder
