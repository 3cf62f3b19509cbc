"""The paper-scale path, kept alive by a tiny checkpoint in the format of SD3: its folders, its VAE, its prompt.

Each stage is a fixture that begins where the one before ended: checkpoint → model → reference → student.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel
from safetensors.torch import load_file, save_file

from mimdit.bundle import open_bundle
from mimdit.errors import CheckpointError
from mimdit.export import EXPORTERS
from mimdit.export.build import build
from mimdit.export.graph import DeployableGraph
from mimdit.model.checkpoint import checkpoint_hash, load_model, save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.freeze import freeze
from mimdit.runtimes.restore import restore
from mimdit.train.config import TrainConfig
from mimdit.train.loop import train
from mimdit.train.variants import plan_variant

BRANCH: dict[str, Any] = {"branch_channels": 16, "branch_blocks": 2, "expert_channels": 8}
VAE: dict[str, Any] = {
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [8, 8, 8, 8],
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 4,
    "scaling_factor": 1.5305,
    "shift_factor": 0.0609,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}
PROMPT = "empty_prompt.safetensors"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `StableDiffusion3Pipeline.save_pretrained` writes, small, and the empty prompt's embeddings beside it."""
    folder = tmp_path_factory.mktemp("sd3")
    torch.manual_seed(0)
    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=24,
        caption_projection_dim=32,
        pooled_projection_dim=20,
        out_channels=4,
        pos_embed_max_size=16,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    transformer.save_pretrained(folder / "transformer")
    AutoencoderKL.from_config(VAE).save_pretrained(folder / "vae")  # pyright: ignore[reportAttributeAccessIssue]
    FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "StableDiffusion3Pipeline",
        "_diffusers_version": "0.42.1",
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "transformer": ["diffusers", "SD3Transformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        **{name: [None, None] for name in ("text_encoder", "text_encoder_2", "text_encoder_3")},
        **{name: [None, None] for name in ("tokenizer", "tokenizer_2", "tokenizer_3")},
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))
    save_file({"prompt": torch.randn(1, 5, 24), "pooled_prompt": torch.randn(1, 20)}, folder / PROMPT)
    return folder


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> MiMDiT:
    """The checkpoint with an untrained branch."""
    torch.manual_seed(0)
    return MiMDiT.from_sd3(checkpoint, **load_file(checkpoint / PROMPT), **BRANCH).eval()


def stage(**settings: Any) -> TrainConfig:
    return TrainConfig(
        steps=2, batch=2, tile=64, views=(1,), warmup=1, mix={"noise": 1, "haze": 1}, validation_photos=2, **settings
    )


@pytest.fixture(scope="module")
def reference(model: MiMDiT, photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps of rectified flow."""
    folder = tmp_path_factory.mktemp("runs")
    save_model(model, folder / "start")
    return train(stage(objective="flow", start=folder / "start"), photo_folder, folder / "reference", way="fp32 eager")


@pytest.fixture(scope="module")
def student(reference: Path, photo_folder: Path) -> Path:
    """Two steps of distillation to two Euler steps."""
    config = stage(
        objective="distill",
        start=reference,
        reference=reference,
        sampling_steps=2,
        reference_steps=3,
        trajectory_steps=2,
        forced_steps=1,
    )
    return train(config, photo_folder, reference.parent.parent / "student", way="fp32 eager")


def test_checkpoint_loads_with_its_vae_prompt_and_shift(checkpoint: Path, model: MiMDiT):
    assert model.shape.shift == 3.0
    assert model.shape.prompt_tokens == 5
    plain = SD3Transformer2DModel.from_pretrained(checkpoint, subfolder="transformer").eval()
    vae = AutoencoderKL.from_pretrained(checkpoint, subfolder="vae").eval()
    prompt = load_file(checkpoint / PROMPT)
    image, sigma = torch.rand(2, 3, 64, 128), torch.tensor([0.9, 0.2])
    with torch.no_grad():
        latent = model.codec.encode(image)[0]
        expected = (vae.encode(image * 2 - 1).latent_dist.mean - 0.0609) * 1.5305  # pyright: ignore
        torch.testing.assert_close(latent, expected, atol=1e-6, rtol=1e-5)
        guided = model.velocity(latent, sigma, model.guide(image, latent, torch.rand(2, 3, 64, 64)))
        unguided = plain(
            hidden_states=latent,
            timestep=sigma * 1000,
            encoder_hidden_states=prompt["prompt"].expand(2, -1, -1),
            pooled_projections=prompt["pooled_prompt"].expand(2, -1),
        ).sample
    torch.testing.assert_close(guided, unguided, atol=1e-6, rtol=1e-5)


def test_folder_that_is_no_checkpoint_is_one_line(tmp_path: Path):
    with pytest.raises(CheckpointError, match="no diffusers SD3 checkpoint in") as error:
        MiMDiT.from_sd3(tmp_path, prompt=torch.zeros(1, 5, 24), pooled_prompt=torch.zeros(1, 20), **BRANCH)
    assert "\n" not in str(error.value)


def test_reference_trains_the_transformer_and_keeps_vae_and_prompt(model: MiMDiT, reference: Path):
    trained = load_model(reference)
    assert checkpoint_hash(trained.codec) == checkpoint_hash(model.codec)
    assert torch.equal(trained.get_buffer("prompt"), model.get_buffer("prompt"))
    assert checkpoint_hash(trained.backbone) != checkpoint_hash(model.backbone)
    assert checkpoint_hash(trained.branch) != checkpoint_hash(model.branch)


def test_student_restores_in_two_steps_without_a_text_encoder(reference: Path, student: Path):
    distilled = load_model(student).eval()
    assert checkpoint_hash(distilled) != checkpoint_hash(load_model(reference))
    with torch.no_grad():
        restored = distilled(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64), steps=2)
    assert restored.shape == (1, 3, 64, 64)
    assert torch.isfinite(restored).all()


def test_student_is_frozen_and_exported(student: Path, photo_folder: Path, tmp_path: Path):
    """The whole way at the paper's shape: plan, static variant, ONNX with its VAE inside, parity, a restored photo."""
    plan = plan_variant(student, "general", photo_folder, tmp_path / "cache", stage(objective="distill"))
    variant = freeze(load_model(student), plan)
    graph = DeployableGraph(variant, tile=64, steps=2)
    build([graph], EXPORTERS[0], "fp32", tmp_path / "sd3.mimdit", command="mimdit build …")
    bundle = open_bundle(tmp_path / "sd3.mimdit")
    parity = bundle.entry("general").parity
    assert parity.status == "passed"
    assert parity.max_error is not None
    assert parity.max_error <= 1e-4
    photo = np.random.default_rng(0).integers(0, 256, (70, 40, 3), dtype=np.uint8)
    assert restore(photo, bundle, variant="general").shape == photo.shape
