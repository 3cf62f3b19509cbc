"""What is special about ExecuTorch: all of a graph in one delegate, the share that it must have, and its threads."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mimdit.errors import BundleError, CheckFailedError, MimditError, MissingPackageError
from mimdit.export import executorch as target
from mimdit.export.fp16_lint import Fragile
from mimdit.export.graph import DeployableGraph
from mimdit.manifest import ID_KEY
from mimdit.targets import Precision

pytest.importorskip("executorch")

from mimdit.export.xnnpack_ops import rewrite
from mimdit.runtimes.executorch import RUNTIME, ExecutorchRuntime

TILE = 64
ID = "0123456789abcdef"


class _Odd(nn.Module):
    """Every kind of operation that XNNPACK lacks, on small tensors: image, photo → restored."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.stem = nn.Conv2d(3, 8, 3, stride=4, padding=1)
        self.qkv = nn.Linear(8, 24)
        self.out = nn.Conv2d(9, 3, 1)

    def forward(self, image: Tensor, photo: Tensor) -> Tensor:
        x = self.stem(image - photo.mean((2, 3), keepdim=True) * 0.5)  # [1,8,16,16]
        x = torch.roll(x, (-2, 3), (2, 3))
        tokens = self.norm(x.flatten(2).transpose(1, 2))  # [1,256,8]
        mask = torch.where(torch.arange(256)[:, None] // 16 == torch.arange(256) // 16, 0.0, -100.0)
        q, k, v = self.qkv(F.gelu(tokens, approximate="tanh")).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4).unbind(0)
        q = F.normalize(q * torch.rsqrt(q.pow(2).mean(-1, keepdim=True) + 1e-6), dim=-1)
        tokens = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.repeat(1, 1, 1, 1))
        x = x + tokens.transpose(2, 3).reshape(1, 8, 16, 16)
        first, second = torch.cat([x, x.mean(1, keepdim=True) * x.amax(1, keepdim=True)], 1).split([8, 1], 1)
        x = F.interpolate(torch.cat([second, first], 1), scale_factor=2.0, mode="nearest")
        x = F.interpolate(self.out(x), scale_factor=2.0, mode="bilinear")
        return (image + x / (1 + x.abs().sum(1, keepdim=True))).clamp(0, 1)


class _OddGraph(_Odd):
    """As much of a `DeployableGraph` as a converter uses."""

    name = "odd-64"

    @property
    def model(self) -> nn.Module:
        return self

    def example_inputs(self) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        return torch.rand(1, 3, TILE, TILE, generator=generator), torch.rand(1, 3, 64, 64, generator=generator)

    @property
    def fragile(self) -> tuple[Fragile, ...]:
        return ()

    def cost(self) -> tuple[int, float]:
        return DeployableGraph.cost(self)  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def graph() -> _OddGraph:
    torch.manual_seed(0)
    graph = _OddGraph().eval().requires_grad_(False)
    for parameter in graph.parameters():  # as those of every variant
        parameter.copy_(parameter.half())
    return graph


@pytest.fixture(scope="module")
def written(graph: _OddGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("executorch")
    _convert(graph, folder)
    return folder / "odd-64.pte"


def _convert(graph: _OddGraph, folder: Path) -> None:
    target.CONVERTER.convert([graph], "fp32", folder, ID)  # pyright: ignore[reportArgumentType]


def test_rewriting_changes_nothing_but_the_operations(graph: _OddGraph) -> None:
    inputs = graph.example_inputs()
    rewritten = rewrite(torch.export.export(graph, inputs)).module()
    assert (rewritten(*inputs) - graph(*inputs)).abs().max() < 1e-6


def test_all_of_it_is_one_delegate_that_gives_the_same(graph: _OddGraph, written: Path) -> None:
    assert target.CONVERTER.remark is not None
    said = target.CONVERTER.remark(written)
    assert said == "100.0% of the arithmetic delegated, in 1 pieces; nothing left to portable kernels"
    image, photo = graph.example_inputs()
    restored = ExecutorchRuntime(written, TILE, 1).run(image.numpy(), photo.numpy())
    assert np.abs(restored - graph(image, photo).numpy()).max() < 1e-5


def test_the_file_carries_the_bundle_and_the_names_of_its_weights(graph: _OddGraph, written: Path) -> None:
    names = set(target.CONVERTER.tensor_names(written))
    assert {ID_KEY, "stem.weight", "qkv.weight", "out.weight"} <= names
    content = written.read_bytes()
    assert ID.encode() in content
    assert content.count(graph.qkv.weight.numpy().tobytes()) == 1  # a name costs no second copy


def test_less_than_the_share_is_refused(graph: _OddGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from executorch.backends.xnnpack.partition import xnnpack_partitioner as module
    from executorch.backends.xnnpack.partition.config import ConvolutionConfig

    whole = module.XnnpackPartitioner
    monkeypatch.setattr(module, "XnnpackPartitioner", lambda: whole(configs=[ConvolutionConfig]))
    with pytest.raises(
        CheckFailedError, match=r"odd-64: \d+\.\d% of the arithmetic .* portable kernels, at least 95% was"
    ):
        _convert(graph, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_fp16_is_one_delegate_that_gives_nearly_the_same(graph: _OddGraph, tmp_path: Path) -> None:
    target.CONVERTER.convert([graph], "fp16", tmp_path, ID)  # pyright: ignore[reportArgumentType]
    path = tmp_path / "odd-64.pte"
    assert {"stem.weight", "qkv.weight", "out.weight"} <= set(target.CONVERTER.tensor_names(path))
    image, photo = graph.example_inputs()
    restored = ExecutorchRuntime(path, TILE, 1).run(image.numpy(), photo.numpy())
    assert 0 < np.abs(restored - graph(image, photo).numpy()).max() < 3 / 255


def test_another_delegate_names_what_it_lacks(
    graph: _OddGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(platform: str, precision: Precision) -> None:
        target.CONVERTER.on(platform).convert([graph], precision, tmp_path, ID)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr("mimdit.export.executorch_delegates.find_spec", lambda name: None)
    monkeypatch.delenv("QNN_SDK_ROOT", raising=False)
    with pytest.raises(MissingPackageError, match=r"coremltools is not installed: run  pip install 'mimdit\[coreml\]'"):
        convert("coreml", "fp16")
    with pytest.raises(MimditError, match=r"QNN needs Qualcomm's AI Engine Direct SDK: .* export QNN_SDK_ROOT="):
        convert("qnn", "fp16")
    monkeypatch.setenv("QNN_SDK_ROOT", str(tmp_path))
    with pytest.raises(MimditError, match="pip install py-cpuinfo"):
        convert("qnn", "fp16")
    with pytest.raises(MimditError, match="build with --precision fp16"):
        convert("qnn", "fp32")
    assert list(tmp_path.iterdir()) == []


def test_a_file_for_another_delegate_says_where_it_runs() -> None:
    assert RUNTIME.platform_hindrance("xnnpack") is None
    assert "computes on the devices that it was made for" in (RUNTIME.platform_hindrance("qnn") or "")


def test_each_runtime_runs_on_the_threads_asked_for(graph: _OddGraph, written: Path) -> None:
    from executorch.extension.pybindings import portable_lib

    image, photo = (tensor.numpy() for tensor in graph.example_inputs())
    one, two = (ExecutorchRuntime(written, TILE, threads) for threads in (1, 2))
    first = one.run(image, photo)
    for runtime, threads in ((one, 1), (two, 2), (one, 1)):
        runtime.run(image, photo)
        assert portable_lib._threadpool_get_thread_count() == threads
    # A method holds the pool that it was loaded with, which is freed when there is another.
    of_an_earlier_pool = one._method
    two.run(image, photo)
    one.run(image, photo)
    assert one._method is not of_an_earlier_pool
    assert np.array_equal(one.run(image, photo), first)


def test_a_damaged_file_says_so_in_one_line(written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = tmp_path / "odd-64.pte"
    damaged.write_bytes(written.read_bytes()[:200])
    with pytest.raises(BundleError, match=r"odd-64\.pte does not load in ExecuTorch: [^\n]*; rebuild"):
        ExecutorchRuntime(damaged, TILE, 1)
    assert capsys.readouterr().err == ""
    with pytest.raises(BundleError, match="must take image and photo"):
        ExecutorchRuntime(written, 128, 1)
