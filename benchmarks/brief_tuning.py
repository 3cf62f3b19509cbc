"""The fourth way to freeze: the most frequent sub-experts, then some hundred steps of training.

Part of `python -m mimdit.benchmarks.routing_report`; what is trained is kept, so that a run that was cut goes on.
"""

from collections.abc import Mapping
from pathlib import Path

from mimdit.model.checkpoint import checkpoint_hash, load_model, save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.targets import VARIANT_DEGRADATIONS, Variant
from mimdit.train.config import TrainConfig
from mimdit.train.data import photo_cache
from mimdit.train.loop import train

__all__ = ["TUNING_STEPS", "briefly_tuned"]

TUNING_STEPS = 300
_TILE = 128  # px


def briefly_tuned(
    frozen: Mapping[Variant, MiMDiT], photos: Path, out: Path, steps: int = TUNING_STEPS
) -> dict[Variant, MiMDiT]:
    """Each variant's experts, gates and codec tuned on its own degradations, in folders of `out`."""
    tuned: dict[Variant, MiMDiT] = {}
    for name, model in frozen.items():
        folder = out / f"{name}-{checkpoint_hash(model)[:8]}-{steps}"
        if not (folder / "start").is_dir():
            save_model(model, folder / "start")
        config = TrainConfig(
            objective="distill",
            variant=name,
            start=folder / "start",
            steps=steps,
            tile=_TILE,
            mix=dict.fromkeys(VARIANT_DEGRADATIONS[name], 1.0),
            learning_rate=4e-4,
            warmup=30,
            ema=0.99,
            evaluate_every=steps,
        )
        made = train(config, photos, folder / "run", way="bf16 eager", cache=photo_cache(out))
        tuned[name] = load_model(made).eval()
    return tuned
