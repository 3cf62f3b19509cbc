"""What each stage minimises. An objective wraps the model, so that accelerate sees one module with one forward.

codec     the codec alone: decode a blurred-by-noise clean latent beside the degraded photo's skips
flow      the reference: rectified flow on the frozen codec's latent (2209.03003; SD3's logit-normal times); with a
          pixel_weight also the clean latent that it predicts, decoded: the latent alone does not know which of its
          errors can be seen; with inversion_steps from a student, whose codec decodes other latents than it encodes
distill   a few-step student, end to end in pixels, beside the reference's trajectory (paper.md section 3)
routers   the routers alone, taught the known degradation: no expert runs, so a step costs a fifth of the others'
"""

from collections.abc import Callable
from fnmatch import fnmatch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mimdit.errors import CheckpointError
from mimdit.model.mimdit import Guidance, MiMDiT, parameter_groups
from mimdit.model.moe import Routing, balance_loss
from mimdit.targets import DISPATCHER_CLASSES
from mimdit.train.config import TrainConfig
from mimdit.train.data import Batch, forced_experts
from mimdit.train.inversion import inverted

ROUTERS = ("branch.blocks.*.router.*",)
CODEC_NOISE = 0.8  # highest noise level on the latent that the codec learns to decode beside
PRIOR_WEIGHT = 0.5  # of the routers' cross-entropy, throughout: faded out, or weaker than the pixels' pull, they guess


class Objective(nn.Module):
    """Loss of one batch at one step, and the restoration that evaluation looks at."""

    def __init__(self, model: MiMDiT, config: TrainConfig, reference: MiMDiT | None = None):
        super().__init__()
        self.model, self.config = model, config
        self._reference = [reference]  # in a list: not a submodule, so neither trained nor saved

    def trainable(self) -> list[nn.Parameter]:
        """What the optimizer moves; everything else is frozen."""
        groups = parameter_groups(self.model)
        if self.config.variant is not None:
            names = ["experts", "gates", "codec"]
        else:
            names = {"codec": ["codec", "gates"], "flow": ["backbone", "branch", "experts"]}.get(
                self.config.objective, list(groups)
            )
        self.model.requires_grad_(False)
        chosen = [p for name in names for p in groups[name]]
        if patterns := self.config.only or (ROUTERS if self.config.objective == "routers" else ()):
            chosen = [p for name, p in self.model.named_parameters() if any(fnmatch(name, part) for part in patterns)]
            if not chosen:
                raise CheckpointError(f"only: no parameter is called {', '.join(patterns)}")
        for parameter in chosen:
            parameter.requires_grad_(True)
        return chosen

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Named losses; "loss" is the one to minimise. Randomness comes from (seed, step) alone."""
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + step)
        return getattr(self, f"_{self.config.objective}")(batch, step, generator)

    @torch.no_grad()
    def restore(self, batch: Batch) -> Tensor:
        """f32[B,3,T,T] in 0..1: what the model makes of a batch at this stage."""
        if self.config.objective == "codec":
            latent, _ = self.model.codec.encode(batch.truth)
            degraded, skips = self.model.codec.encode(batch.image)
            return self.model.codec.decode(latent, degraded, batch.image, skips).clamp(0, 1)
        return self.model(batch.image, batch.photo, steps=self.steps)

    @property
    def steps(self) -> int:
        """Euler steps at evaluation."""
        return self.config.reference_steps if self.config.objective == "flow" else self.config.sampling_steps

    def _codec(self, batch: Batch, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        latent, _ = self.model.codec.encode(batch.truth)
        degraded, skips = self.model.codec.encode(batch.image)
        sigma = CODEC_NOISE * torch.rand(len(latent), 1, 1, 1, generator=generator).to(latent)
        latent = (1 - sigma) * latent + sigma * _noise_like(latent, generator)
        return {"loss": pixel_loss(self.model.codec.decode(latent, degraded, batch.image, skips), batch.truth)}

    def _flow(self, batch: Batch, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        with torch.no_grad():
            degraded, skips = self.model.codec.encode(batch.image)
        guidance = self.model.guide(batch.image, degraded, batch.photo, self._forced(batch, step))

        def decode(latent: Tensor) -> Tensor:
            return self.model.codec.decode(latent, degraded, batch.image, skips)

        clean = self._clean(batch, guidance, decode)
        sigma = torch.sigmoid(torch.randn(len(clean), generator=generator)).to(clean)  # logit-normal
        shift = self.model.shape.shift
        sigma = shift * sigma / (1 + (shift - 1) * sigma)
        if share := self.config.terminal_share:  # where sampling begins, and logit-normal times never are
            sigma = torch.where(torch.rand(len(clean), generator=generator).to(clean) < share, 1.0, sigma)
        noise = _noise_like(clean, generator)
        level = sigma[:, None, None, None]
        noisy = (1 - level) * clean + level * noise
        velocity = self.model.velocity(noisy, sigma, guidance)
        error = (velocity - (noise - clean)).float()
        if self.model.shape.prediction == "residual":
            error = error * level  # the error of the clean latent: near σ = 0 the velocity's would drown all else
        losses = {"flow": _rmse(error) if self.config.criterion == "rmse" else error.square().mean()}
        if weight := self.config.pixel_weight:
            criterion = CRITERIA[self.config.criterion]
            losses["pixel"] = weight * criterion(decode(noisy - level * velocity), batch.truth)
        return self._with_routing(losses, guidance.routings, batch, step)

    @torch.no_grad()
    def _clean(self, batch: Batch, guidance: Guidance, decode: Callable[[Tensor], Tensor]) -> Tensor:
        """The latent that a flow ends at: of the truth, or what the codec would have decoded to it."""
        if not self.config.inversion_steps:
            return self.model.codec.encode(batch.truth)[0]
        start = self._beside(batch)
        assert start is not None  # the loop hands it over
        return inverted(decode, start.sample(guidance), batch.truth, self.config.inversion_steps)

    def _beside(self, batch: Batch) -> MiMDiT | None:
        """The network that this one learns beside, where the batch is."""
        reference = self._reference[0]
        if reference is not None and reference.device != batch.image.device:
            reference.to(batch.image.device)  # pyright: ignore[reportArgumentType]
        return reference

    def _distill(self, batch: Batch, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        degraded, skips = self.model.codec.encode(batch.image)
        guidance = self.model.guide(batch.image, degraded, batch.photo, self._forced(batch, step))
        # Any noise, not only the constant of deployed graphs: the student learns to leave none of it in the photo.
        noise = _noise_like(degraded, generator)
        latent = self.model.sample(guidance, noise, self.config.sampling_steps)
        criterion = CRITERIA[self.config.criterion]
        losses = {"pixel": criterion(self.model.codec.decode(latent, degraded, batch.image, skips), batch.truth)}
        reference = self._beside(batch)
        fading = max(0.0, 1 - step / max(1, self.config.trajectory_steps))
        if reference is not None and fading > 0:
            with torch.no_grad():
                seen, _ = reference.codec.encode(batch.image)
                target = reference.sample(
                    reference.guide(batch.image, seen, batch.photo), noise, self.config.reference_steps
                )
            weight = fading * self.config.trajectory_weight
            losses["trajectory"] = weight * F.smooth_l1_loss(latent.float(), target.float())
        return self._with_routing(losses, guidance.routings, batch, step)

    def _routers(self, batch: Batch, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        routings = self.model.branch.route(batch.image, batch.photo)
        prior = forced_experts(batch.families, len(routings)).to(batch.image.device)
        return {"loss": prior_loss(routings, prior)}

    def _forced(self, batch: Batch, step: int) -> Tensor | None:
        if step >= self.config.forced_steps or self.config.variant is not None:
            return None
        # Clean photos and mixtures pass through a family drawn at random: every plan must know them.
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + step)
        families = batch.families.cpu()
        led = torch.randint(len(DISPATCHER_CLASSES), families.shape, generator=generator)
        led = torch.where(families < 0, led, families)
        return forced_experts(led, self.model.shape.branch_blocks).to(batch.image.device)

    def _with_routing(
        self, losses: dict[str, Tensor], routings: list[Routing], batch: Batch, step: int
    ) -> dict[str, Tensor]:
        if routings:
            losses["balance"] = self.config.balance_weight * balance_loss(routings)
            if step < self.config.taught_steps:
                prior = forced_experts(batch.families, len(routings)).to(batch.image.device)
                losses["prior"] = PRIOR_WEIGHT * prior_loss(routings, prior)
        losses["loss"] = torch.stack(list(losses.values())).sum()
        return losses


def pixel_loss(restored: Tensor, truth: Tensor) -> Tensor:
    """Charbonnier: like L1 each pixel pulls equally hard, so that dark and hazy photos do not drown the noisy ones."""
    return (restored.float() - truth).square().add(1e-6).sqrt().mean()


def rmse_loss(restored: Tensor, truth: Tensor) -> Tensor:
    """Root mean square error of each tile: tiles pull equally hard.

    Where a pixel may have several values the mean of them is best, as for PSNR, and not the median.
    """
    return _rmse(restored.float() - truth)


def _rmse(error: Tensor) -> Tensor:
    return error.square().mean((1, 2, 3)).add(1e-6).sqrt().mean()


CRITERIA = {"charbonnier": pixel_loss, "rmse": rmse_loss}


def prior_loss(routings: list[Routing], prior: Tensor) -> Tensor:
    """Cross-entropy of the Intra-MoE routers to the prior i64[B,blocks,4]; places with −1 do not count."""
    wanted = prior.transpose(0, 1)  # [blocks,B,4]
    given = torch.stack([r.intra for r in routings]).gather(3, wanted.clamp(min=0)[..., None]).squeeze(3)
    asked = wanted >= 0
    return -(given.clamp(min=1e-6).log() * asked).sum() / asked.sum().clamp(min=1)


def _noise_like(latent: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(latent.shape, generator=generator).to(latent)
