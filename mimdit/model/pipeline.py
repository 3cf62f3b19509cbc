"""The reference as a diffusers user knows it: `MiMDiTPipeline.from_pretrained(folder)(photo).images[0]`.

It restores a photo in one piece, so memory grows with the photo; on devices `mimdit restore` works in tiles instead.
"""

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler, ImagePipelineOutput
from diffusers.image_processor import PipelineImageInput, VaeImageProcessor
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from mimdit.model.mimdit import Guidance, MiMDiT
from mimdit.model.sampler import TRAIN_TIMESTEPS, even_sigmas, seed_noise
from mimdit.views import photo_view

TILE_MULTIPLE = 64  # px: the codec's 1/8 times the largest Swin window
OUTPUT_TYPES = ("pil", "np", "pt")


class MiMDiTPipeline(DiffusionPipeline):
    """Degraded photo → restored photo, by the steps of the scheduler that is stored beside the model."""

    model_cpu_offload_seq = "model"
    model: MiMDiT
    scheduler: FlowMatchEulerDiscreteScheduler

    def __init__(self, model: MiMDiT, scheduler: FlowMatchEulerDiscreteScheduler):
        super().__init__()
        self.register_modules(model=model, scheduler=scheduler)
        self.image_processor = VaeImageProcessor(do_resize=False, do_normalize=False, do_convert_rgb=True)

    @torch.no_grad()
    def __call__(
        self,
        image: PipelineImageInput,
        num_inference_steps: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        output_type: str = "pil",
    ) -> ImagePipelineOutput:
        """Restore one photo, or several of one size.

        `image` is a PIL image, an array f32[B,H,W,3] or a tensor f32[B,3,H,W] in 0..1, or a list of one of them.
        Without a `generator` the noise is the constant of every deployed graph, so that the result is always the same.
        `output_type` is "pil", "np" (f32[B,H,W,3]) or "pt" (f32[B,3,H,W]). Raises ValueError for another one, and for
        photos with a side longer than the backbone has positions for (1536 px at the edge sizes).
        """
        if output_type not in OUTPUT_TYPES:
            raise ValueError(f"output_type is {output_type!r}: choose one of {', '.join(OUTPUT_TYPES)}")
        degraded = self.image_processor.preprocess(image).to(self._execution_device, self.model.dtype)  # [B,3,H,W]
        height, width = degraded.shape[2:]
        padded = pad_to_tile(degraded)
        latent, skips = self.model.codec.encode(padded)  # [B,Z,h,w]
        guidance = self.model.guide(padded, latent, whole_photo(degraded))
        restored = self._sample(guidance, num_inference_steps, generator)
        result = self.model.codec.decode(restored, latent, padded, skips)[:, :, :height, :width].clamp(0, 1)
        images = self.image_processor.postprocess(result, output_type, [False] * len(result))
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images=images)  # pyright: ignore[reportArgumentType]

    def _sample(
        self, guidance: Guidance, steps: int, generator: torch.Generator | list[torch.Generator] | None
    ) -> Tensor:
        """From noise to the restored latent f32[B,Z,h,w]."""
        b, z, h, w = guidance.output.shape
        if generator is None:
            latent = seed_noise(z, h, w).to(guidance.output).expand(b, -1, -1, -1)
        else:
            like = guidance.output
            latent = randn_tensor((b, z, h, w), generator, device=like.device, dtype=like.dtype)
        self.scheduler.set_timesteps(sigmas=even_sigmas(steps), device=latent.device)
        for timestep in self.progress_bar(self.scheduler.timesteps):  # pyright: ignore
            sigma = (timestep / TRAIN_TIMESTEPS).to(latent).expand(b)
            velocity = self.model.velocity(latent, sigma, guidance)
            latent = self.scheduler.step(velocity, timestep, latent, return_dict=False)[0]  # pyright: ignore
        return latent


def pad_to_tile(image: Tensor) -> Tensor:
    """f32[B,3,H,W] → the same, mirrored at the right and the bottom up to multiples of 64."""
    height, width = image.shape[2:]
    right, bottom = -width % TILE_MULTIPLE, -height % TILE_MULTIPLE
    mirrored = right < width and bottom < height  # there is no more to mirror than the photo
    return F.pad(image, (0, right, 0, bottom), mode="reflect" if mirrored else "replicate")


def whole_photo(image: Tensor) -> Tensor:
    """f32[B,3,H,W] → f32[B,3,64,64]: the reduction that the runtimes make."""
    photos = image.permute(0, 2, 3, 1).float().cpu().numpy()
    return torch.from_numpy(np.concatenate([photo_view(photo) for photo in photos])).to(image)
