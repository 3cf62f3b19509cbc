"""The network: what an untrained branch leaves alone, what is sparse, what is saved, what it costs."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mimdit.config import PRESETS, ModelConfig, preset
from mimdit.errors import CheckpointError
from mimdit.model.branch import photo_tokens
from mimdit.model.checkpoint import checkpoint_hash, load_model, save_model
from mimdit.model.experts import make_expert
from mimdit.model.mimdit import MiMDiT, parameter_groups
from mimdit.model.moe import MiMBlock, StaticMiMBlock, balance_loss
from mimdit.model.statistics import COUNT
from mimdit.routing.plan import GROUPS, BlockPlan, ExpertPlan

# diffusers' config of stabilityai/stable-diffusion-3.5-medium, transformer/config.json
SD35_MEDIUM = {
    "sample_size": 128,
    "patch_size": 2,
    "in_channels": 16,
    "num_layers": 24,
    "attention_head_dim": 64,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "caption_projection_dim": 1536,
    "pooled_projection_dim": 2048,
    "out_channels": 16,
    "pos_embed_max_size": 384,
    "dual_attention_layers": list(range(13)),
    "qk_norm": "rms_norm",
}


def tile_and_photo(height: int = 64, width: int = 64, batch: int = 2) -> tuple[Tensor, Tensor]:
    return torch.rand(batch, 3, height, width), torch.rand(batch, 3, 64, 64)


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def velocities(model: MiMDiT) -> tuple[Tensor, Tensor]:
    """The guided velocity, and what diffusers' own forward makes of the same inputs."""
    image, photo = tile_and_photo()
    sigma = torch.tensor([0.9, 0.3])
    with torch.no_grad():
        latent = torch.randn_like(model.codec.encode(image)[0])
        guided = model.velocity(latent, sigma, model.guide(image, model.codec.encode(image)[0], photo))
        plain = model.backbone(
            hidden_states=latent,
            timestep=sigma * 1000,
            encoder_hidden_states=photo_tokens(photo),
            pooled_projections=model.get_buffer("pooled_prompt").expand(2, -1),
        ).sample
    return guided, plain


def test_untrained_branch_leaves_the_backbone_bit_equal():
    config = preset("nano").model_copy(update={"prediction": "velocity"})  # what a pretrained backbone predicts
    guided, plain = velocities(MiMDiT.from_preset(config).eval())
    assert torch.equal(guided, plain)


def test_untrained_edge_network_gives_the_photo_back(nano: MiMDiT):
    image, photo = tile_and_photo()
    with torch.no_grad():
        assert torch.equal(nano(image, photo), image)


def test_trained_branch_guides_the_backbone(lively: MiMDiT):
    guided, plain = velocities(lively)
    assert (guided - plain).abs().max() > 0.01


def test_every_layer_is_guided(lively: MiMDiT):
    image, photo = tile_and_photo()
    guidance = lively.guide(image, lively.codec.encode(image)[0], photo)
    assert len(guidance.layers) == lively.shape.num_layers
    assert all(layer.shape == (2, 16, lively.shape.inner_dim) and layer.any() for layer in guidance.layers)


def test_from_pretrained_gives_back_what_was_saved(lively: MiMDiT, tmp_path: Path):
    lively.save_pretrained(tmp_path)
    assert (tmp_path / "diffusion_pytorch_model.safetensors").is_file()
    again = MiMDiT.from_pretrained(tmp_path).eval()
    assert again.shape == lively.shape
    assert checkpoint_hash(again) == checkpoint_hash(lively)
    image, photo = tile_and_photo()
    with torch.no_grad():  # not bit-equal: weights lie unaligned in the mapped file, and convolutions add differently
        torch.testing.assert_close(again(image, photo, steps=2), lively(image, photo, steps=2), atol=1e-6, rtol=0)


def test_load_model_gives_back_what_save_model_wrote(lively: MiMDiT, tmp_path: Path):
    save_model(lively, tmp_path / "whole")
    assert checkpoint_hash(load_model(tmp_path / "whole")) == checkpoint_hash(lively)
    save_model(lively, tmp_path / "half", half=True)
    halved = load_model(tmp_path / "half").state_dict()
    assert all(torch.equal(halved[name], tensor.half().float()) for name, tensor in lively.state_dict().items())


@pytest.mark.parametrize("damage", ["nothing there", "no weights", "missing", "not finite", "cut short", "config"])
def test_damaged_models_are_refused_in_one_line(damage: str, nano: MiMDiT, tmp_path: Path):
    folder = tmp_path / "model"
    if damage != "nothing there":
        save_model(nano, folder)
        weights, config = folder / "diffusion_pytorch_model.safetensors", folder / "config.json"
        tensors = load_file(weights)
        if damage == "no weights":
            weights.unlink()
        elif damage == "missing":
            del tensors["branch.stem.bias"]
            save_file(tensors, weights)
        elif damage == "not finite":
            tensors["branch.stem.bias"][0] = torch.nan
            save_file(tensors, weights)
        elif damage == "cut short":
            weights.write_bytes(weights.read_bytes()[:-100])
        else:
            config.write_text(json.dumps({**json.loads(config.read_text()), "top_k": 9}))
    with pytest.raises(CheckpointError) as error:
        load_model(folder)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def test_only_chosen_experts_receive_gradient(lively: MiMDiT):
    image, photo = tile_and_photo(batch=1)
    lively.zero_grad()
    guidance = lively.guide(image, lively.codec.encode(image)[0], photo)
    (guidance.output.square().sum() + sum(layer.square().sum() for layer in guidance.layers)).backward()
    for number, routing in enumerate(guidance.routings):
        block = lively.branch.blocks[number]
        assert isinstance(block, MiMBlock)
        for g, group in enumerate(GROUPS):
            experts = block.groups[group]
            assert isinstance(experts, nn.ModuleList)
            for e, expert in enumerate(experts):
                touched = [p.grad is not None and bool(p.grad.any()) for p in expert.parameters()]
                assert any(touched) == (e == int(routing.chosen[0, g, 0])), f"block {number}, {group} {e}"
        assert block.router.score.weight.grad is not None
    lively.zero_grad()


def test_routers_see_the_photo_and_can_be_led(lively: MiMDiT):
    image, photo = tile_and_photo(batch=3)
    forced = torch.tensor([[[2, 0, 1, 2], [1, 1, 0, 0]]] * 3)
    forced[2] = -1  # free
    with torch.no_grad():
        latent = lively.codec.encode(image)[0]
        free, led = lively.guide(image, latent, photo).routings, lively.guide(image, latent, photo, forced).routings
        elsewhere = lively.guide(image, latent, photo.flip(0)).routings
    for number, (own, told) in enumerate(zip(free, led, strict=True)):
        assert torch.equal(told.chosen[:2, :, 0], forced[:2, number])
        assert torch.equal(told.chosen[2], own.chosen[2]) or number > 0  # later blocks: same rule, same input
        torch.testing.assert_close(own.inter.sum(1), torch.ones(3))
        torch.testing.assert_close(own.intra.sum(2), torch.ones(3, 4))
    assert not torch.equal(free[0].inter, elsewhere[0].inter)


def test_balance_loss_prefers_even_routing(lively: MiMDiT):
    image, photo = tile_and_photo()
    routing = lively.guide(image, lively.codec.encode(image)[0], photo).routings[0]
    routing.intra = torch.full_like(routing.intra, 1 / 3)
    even = balance_loss([routing])
    routing.intra = torch.tensor([0.9, 0.05, 0.05]).expand_as(routing.intra)
    assert balance_loss([routing]) > even


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("group", GROUPS)
def test_sub_experts_keep_the_shape_and_differ(group: str, shifted: bool):
    x = torch.randn(2, 32, 16, 8)
    experts = [make_expert(group, i, 32, 16, shifted) for i in range(3)]  # pyright: ignore[reportArgumentType]
    assert all(expert(x).shape == x.shape and isinstance(expert.out, nn.Conv2d) for expert in experts)
    reaches = [{name: p.shape for name, p in expert.named_parameters()} for expert in experts]
    assert reaches[0] != reaches[1], "the members of a group differ in reach"


def test_static_block_is_the_planned_part_of_a_dynamic_one():
    plan = BlockPlan(
        experts=(ExpertPlan(group="swin", expert=2, weight=0.4), ExpertPlan(group="squeeze", expert=0, weight=0.2)),
        mass_kept=1,
        entropy=0,
        agreement=1,
    )
    dynamic, static = MiMBlock(32, 16, 3, 1, shifted=True), StaticMiMBlock(32, 16, plan, shifted=True)
    assert list(static.experts) == ["swin_2", "squeeze_0"]
    x, view = torch.randn(2, 32, 8, 16), torch.randn(2, COUNT)
    assert static(x).shape == dynamic(x, view)[0].shape == x.shape
    for kept in plan.experts:
        of_group = dynamic.groups[kept.group]
        assert isinstance(of_group, nn.ModuleList)
        shapes = {name: p.shape for name, p in of_group[kept.expert].state_dict().items()}
        assert {name: p.shape for name, p in static.experts[kept.name].state_dict().items()} == shapes


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 192), (128, 128), (256, 256), (512, 512)])
def test_tile_sizes(height: int, width: int, lively: MiMDiT):
    image, photo = tile_and_photo(height, width, batch=1)
    with torch.no_grad():
        restored = lively(image, photo)
    assert restored.shape == image.shape
    assert 0 <= restored.min() <= restored.max() <= 1


def test_tile_that_is_no_multiple_of_64_is_refused(nano: MiMDiT):
    with pytest.raises(ValueError, match="multiples of the Swin window"), torch.no_grad():
        nano(*tile_and_photo(96, 96, batch=1))


def test_groups_of_parameters_cover_each_once(nano: MiMDiT):
    groups = parameter_groups(nano)
    assert all(groups.values())
    assert sorted(id(p) for group in groups.values() for p in group) == sorted(id(p) for p in nano.parameters())


@pytest.mark.parametrize("name", PRESETS)
def test_configs_survive_json(name: str):
    config = preset(name)
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(CheckpointError, match="nano, small, sd35-medium"):
        preset("tiny")


def test_paper_scale_has_the_parameters_that_its_config_implies():
    with torch.device("meta"):
        model = MiMDiT.from_preset(preset("sd35-medium"))
        backbone = SD3Transformer2DModel.from_config(SD35_MEDIUM)
        vae = AutoencoderKL.from_config(preset("sd35-medium").vae)  # pyright: ignore[reportArgumentType]
    assert {p.device.type for p in model.parameters()} == {"meta"}
    assert size(model.backbone) == size(backbone) == 2_243_171_520  # pyright: ignore[reportArgumentType]
    assert size(model.codec) == size(vae) == 83_819_683  # pyright: ignore[reportArgumentType]
    assert size(model) == size(model.backbone) + size(model.codec) + size(model.branch)
    assert len(model.branch.guides) == 24


def test_small_is_cheap_and_the_transformer_is_no_decoration():
    model = MiMDiT.from_preset(preset("small")).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # the fused kernel is not counted
        model(*tile_and_photo(256, 256, batch=1))
    gmac = {name: sum(counts.values()) / 2e9 for name, counts in counter.get_flop_counts().items()}
    total = gmac["Global"]
    codec = sum(gmac.get(f"MiMDiT.codec.{part}", 0) for part in ("encoder", "gates", "decoder"))
    assert 3 < total <= 4
    assert (total - codec) / total >= 1 / 3
