"""Blur, in linear light: a lens out of focus, a shaken camera, or plain Gaussian.

Kernels are f32[K,K] with odd K ≤ 31, sum 1 and their centre of mass in the middle, so that blur moves nothing.
"""

import numpy as np

from mimdit.degrade.compression import jpeg_step
from mimdit.degrade.light import Array, to_encoded, to_linear
from mimdit.degrade.noise import noise_step
from mimdit.degrade.step import Step

_HALF = 15  # the largest kernel reaches this far from its middle
_ENCODED = 0.65  # share of blur that is in encoded values


def motion_blur(photo: Array, length_px: float, angle_deg: float, bend_deg: float, rng: np.random.Generator) -> Array:
    """Encoded f32[H,W,3] → the same taken by a shaken camera, 0..1; the kernel is `motion_kernel`'s."""
    return blur(photo, motion_kernel(length_px, angle_deg, bend_deg, rng))


def defocus_blur(photo: Array, radius_px: float) -> Array:
    """Encoded f32[H,W,3] → the same out of focus by a disc of `radius_px` 0..14.5, 0..1."""
    return blur(photo, disc_kernel(radius_px))


def gaussian_blur(photo: Array, sigma_px: float) -> Array:
    """Encoded f32[H,W,3] → the same blurred by a Gaussian of `sigma_px` 0.1..5, 0..1."""
    return blur(photo, gaussian_kernel(sigma_px))


def motion_kernel(length_px: float, angle_deg: float, bend_deg: float, rng: np.random.Generator) -> Array:
    """The path of a point of light across the sensor: f32[K,K].

    `length_px` 0..30 is the longer side of its bounding box (less where its light end would leave the kernel).
    `angle_deg` is the mean heading, and `bend_deg` how far the heading wanders: 0 is a straight line at constant speed;
    60 and more gives hooks and loops like the camera shakes that Levin et al. recorded, whose speed varies too: from
    nearly even to paths that are mostly a few spots where the camera lingered.
    """
    steps = 16 * _HALF  # several points a pixel, so that the path has no holes
    if bend_deg:
        heading = np.deg2rad(angle_deg + bend_deg * _wander(steps, rng))
        speed = np.exp(rng.uniform(0.3, 1.4) * _wander(steps, rng))
    else:
        heading = np.full(steps, np.deg2rad(angle_deg))
        speed = np.ones(steps)
    path = np.cumsum([speed * np.sin(heading), speed * np.cos(heading)], axis=1)
    path *= length_px / np.ptp(path, axis=1).max()
    path -= path.mean(axis=1, keepdims=True)
    return _draw_path(path * min(1, _HALF / np.abs(path).max(initial=1)))


def disc_kernel(radius_px: float) -> Array:
    """A disc with a soft edge one pixel wide: f32[K,K]."""
    return _normalised(np.clip(radius_px + 0.5 - _distance(int(np.ceil(radius_px + 0.5))), 0, 1))


def gaussian_kernel(sigma_px: float) -> Array:
    """A Gaussian cut at three sigma: f32[K,K]."""
    return _normalised(np.exp(-0.5 * (_distance(int(np.ceil(3 * sigma_px))) / sigma_px) ** 2))


def blur(photo: Array, kernel: Array, *, linear: bool = True) -> Array:
    """Encoded f32[H,W,3] → its linear light convolved with `kernel`, borders mirrored, encoded again, 0..1.

    Without `linear` encoded values are convolved, as in data sets without a tone curve: bright spots spread less.
    """
    if not linear:
        return np.clip(convolve(photo.transpose(2, 0, 1), kernel).transpose(1, 2, 0), 0, 1)
    planes = to_linear(photo).transpose(2, 0, 1)
    return to_encoded(convolve(planes, kernel).transpose(1, 2, 0))


def convolve(planes: Array, kernel: Array) -> Array:
    """f32[...,H,W] convolved with f32[K,K] (K odd) at the same size, borders mirrored.

    By FFT: 256×256×3 takes 2 to 4 ms, whatever the kernel; summing over its pixels took 1.5 (short path) to 6 (disc).
    """
    height, width = planes.shape[-2:]
    half = kernel.shape[0] // 2
    padded = np.pad(planes, [(0, 0)] * (planes.ndim - 2) + [(half, half)] * 2, mode="symmetric")
    size = (_fast_size(padded.shape[-2]), _fast_size(padded.shape[-1]))
    spectrum = np.fft.rfft2(padded, size) * np.fft.rfft2(kernel, size)
    full = np.fft.irfft2(spectrum, size)
    # What wraps around spoils only the first 2·half rows and columns, and those are padding.
    return full[..., 2 * half : 2 * half + height, 2 * half : 2 * half + width].astype(np.float32, copy=False)


def draw_blur(rng: np.random.Generator) -> list[Step]:
    """Three quarters of it motion, mostly curved, the rest defocus or Gaussian; then a little noise; half are JPEGs.

    Some is blurred in linear light as a lens does, most in encoded values as data sets without a tone curve are: there
    light that spread wins nothing easily, and half and half a network learned little but that.
    Without a file's traces a network learns to sharpen what no real file keeps, and brings out blocks instead.
    """
    shape = str(rng.choice(["shake", "line", "defocus", "gaussian"], p=[0.6, 0.14, 0.13, 0.13]))
    if shape == "defocus":
        size = float(rng.uniform(0.8, 6))
        kernel = disc_kernel(size)
    elif shape == "gaussian":
        size = float(rng.uniform(0.6, 4))
        kernel = gaussian_kernel(size)
    else:
        size = float(rng.uniform(4, 28))
        kernel = motion_kernel(size, rng.uniform(0, 360), rng.uniform(30, 180) if shape == "shake" else 0, rng)
    linear = bool(rng.random() >= _ENCODED)
    settings = {"shape": shape, "size_px": size, "light": "linear" if linear else "encoded"}
    lens = Step("lens", settings, lambda photo, rng: blur(photo, kernel, linear=linear))
    steps = [lens, noise_step(float(rng.uniform(0, 4)))]
    if rng.random() < 0.5:
        steps.append(jpeg_step(int(rng.integers(75, 99)), chroma_halved=bool(rng.random() < 0.6)))
    return steps


def _wander(steps: int, rng: np.random.Generator) -> Array:
    """A smooth random curve f64[steps] through 3 to 9 random values, of about unit size and mean 0."""
    knots = rng.standard_normal(rng.integers(3, 10))
    curve = np.interp(np.linspace(0, len(knots) - 1, steps), np.arange(len(knots)), knots)
    window = steps // (2 * len(knots))
    curve = np.convolve(np.pad(curve, window, mode="edge"), np.ones(2 * window + 1) / (2 * window + 1), mode="valid")
    return curve - curve.mean()


def _draw_path(path: Array) -> Array:
    """Points f64[2,N] (y, x) around 0 → the kernel, each point shared among its four nearest pixels."""
    half = max(1, int(np.ceil(np.abs(path).max())))
    size = 2 * half + 1
    y, x = path + half
    top, left = np.minimum(y.astype(int), size - 2), np.minimum(x.astype(int), size - 2)
    down, right = y - top, x - left
    corners = [
        (0, (1 - down) * (1 - right)),
        (1, (1 - down) * right),
        (size, down * (1 - right)),
        (size + 1, down * right),
    ]
    first = top * size + left
    kernel = sum(np.bincount(first + offset, share, size * size) for offset, share in corners)
    return _normalised(np.reshape(kernel, (size, size)))


def _distance(half: int) -> Array:
    """Distance from the middle: f64[2·half+1, 2·half+1]."""
    line = np.arange(-half, half + 1)
    return np.hypot(line[:, None], line[None, :])


def _normalised(kernel: Array) -> Array:
    return (kernel / kernel.sum()).astype(np.float32)


def _fast_size(least: int) -> int:
    """The smallest size ≥ least whose only prime factors are 2, 3 and 5, which FFTs like."""
    size = least
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 1
