"""Rectified flow: noise schedule, Euler steps, and the seed noise that is a constant of every deployed graph.

z_σ = (1 − σ) · clean + σ · noise,   velocity = noise − clean,   σ runs from 1 to 0
"""

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

TRAIN_TIMESTEPS = 1000  # the backbone's time input is σ × 1000, as SD3 was trained


def make_scheduler(shift: float) -> FlowMatchEulerDiscreteScheduler:
    """The scheduler that a diffusers pipeline stores beside the model."""
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=TRAIN_TIMESTEPS, shift=shift)


def even_sigmas(steps: int) -> list[float]:
    """Where `steps` Euler steps begin, before the scheduler's shift."""
    return np.linspace(1.0, 1 / steps, steps).tolist()


def sigma_schedule(steps: int, shift: float) -> list[float]:
    """steps + 1 noise levels from 1 down to 0, as the scheduler spaces them."""
    scheduler = make_scheduler(shift)
    scheduler.set_timesteps(sigmas=even_sigmas(steps))
    return [float(sigma) for sigma in scheduler.sigmas]  # pyright: ignore[reportOptionalIterable]


def seed_noise(channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Standard normal f32[1,channels,height,width], the same on every machine (drawn on the CPU).

    Rounded to fp16, as weights are: files store it in half the bytes, which for a tile of 512 px is half a megabyte.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(1, channels, height, width, generator=generator).half().float()
