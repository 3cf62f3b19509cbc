"""From a dynamic student to frozen variants: record its routing, freeze it, tune experts and gates, round to fp16."""

from collections.abc import Callable
from pathlib import Path

from mimdit.errors import CheckpointError
from mimdit.files import write_file
from mimdit.model.checkpoint import checkpoint_hash, load_model, save_model
from mimdit.routing.freeze import freeze, make_plan, round_to_half
from mimdit.routing.plan import RoutingPlan
from mimdit.routing.record import record_routing
from mimdit.targets import DEGRADATIONS, VARIANT_DEGRADATIONS, Variant
from mimdit.train.config import EVERYTHING, Ingredient, TrainConfig
from mimdit.train.data import Examples, PhotoScales, batches, photo_cache
from mimdit.train.loop import train

RECORDED_BATCHES = 24
CLEAN_SHARE = 0.05  # a variant must also know when there is nothing to do


def variant_mix(variant: Variant) -> dict[Ingredient, float]:
    """What a variant is recorded and fine-tuned on: its own degradations, and a few clean photos."""
    if variant == "general":
        return {**EVERYTHING, "mixture": 0.3}
    kinds = VARIANT_DEGRADATIONS[variant]
    return {"clean": CLEAN_SHARE, **{kind: (1 - CLEAN_SHARE) / len(kinds) for kind in kinds}}


def plan_variant(student: Path, variant: Variant, photos: Path, cache: Path, config: TrainConfig) -> RoutingPlan:
    """Router statistics over training photos with the variant's degradations → its routing plan."""
    scales = PhotoScales(photos, cache)
    training, _ = scales.split(config.validation_photos)
    examples = Examples(scales, training, config.model_copy(update={"mix": variant_mix(variant), "seed": 1}))
    statistics = record_routing(load_model(student).eval(), batches(examples, 0, RECORDED_BATCHES, config.batch))
    degraded: set[str] = {*DEGRADATIONS, "mixture"} if variant == "general" else set(VARIANT_DEGRADATIONS[variant])
    return make_plan(variant, statistics.of(degraded))


def make_variant(
    student: Path,
    variant: Variant,
    photos: Path,
    out: Path,
    config: TrainConfig,
    *,
    way: str | None = None,
    tell: Callable[[str], object] = lambda line: None,
) -> Path:
    """Make (or go on making) one variant; returns `out/variant/model`, whose weights are fp16 values.

    Leaves `student.txt` (its hash), `plan.json`, `frozen/` (as cut out of the student) and `tuned/` (the training run)
    beside it. Raises CheckpointError where another student's lie.
    """
    folder, cache = out / variant, photo_cache(out)
    whole = load_model(student)
    source, known = folder / "student.txt", checkpoint_hash(whole)
    if source.is_file() and source.read_text() != known:
        raise CheckpointError(f"{folder} was made from another student than {student}: choose another --out")
    if (folder / "model").is_dir():
        tell(f"{variant}: already made in {folder}")
        return folder / "model"
    if not (folder / "frozen").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        plan = plan_variant(student, variant, photos, cache, config)
        write_file(folder / "plan.json", (plan.model_dump_json(indent=2) + "\n").encode(), overwrite=True)
        write_file(source, known.encode(), overwrite=True)
        save_model(freeze(whole, plan), folder / "frozen")
        tell(f"{variant}: frozen to {plan.experts} sub-experts")
    tuning = config.model_copy(update={"variant": variant, "mix": variant_mix(variant), "start": folder / "frozen"})
    tuned = train(tuning, photos, folder / "tuned", way=way, cache=cache)
    save_model(round_to_half(load_model(tuned)), folder / "model")
    return folder / "model"
