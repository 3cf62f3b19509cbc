"""OpenVINO in 8 bits: what is not, computes in bf16 where the CPU can; every constant is written once."""

from pathlib import Path

import numpy as np
import pytest

from mimdit.quantize.openvino import CONVERTER
from mimdit.quantize.recipe import Recipe, by
from mimdit.runtimes import openvino as runtime

from .tiny import SMALL, TINY_TILE, TinyGraph, weight

openvino = pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def written(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("openvino")
    graph = TinyGraph()
    by(CONVERTER, Recipe(photos=photo_folder, tiles=8)).convert([graph], "w8a8", folder, "0" * 16)  # pyright: ignore[reportArgumentType]
    return folder / f"{graph.name}.xml"


def test_equal_constants_are_written_once(written: Path) -> None:
    nodes = openvino.Core().read_model(written).get_ops()
    constants = [
        (node.get_element_type().to_string(), tuple(node.get_output_shape(0)), node.get_data().tobytes())
        for node in nodes
        if node.get_type_name() == "Constant"
    ]
    assert len(constants) == len(set(constants)) > 10


def test_weights_of_w8_are_off_by_half_a_step_at_most(tmp_path: Path) -> None:
    """Each has 8 bits, times a scale of 32: with one of 16, as NNCF has it, rain lost 0.06 dB."""
    graph = TinyGraph()
    CONVERTER.convert([graph], "w8", tmp_path, "0" * 16)  # pyright: ignore[reportArgumentType]
    nodes = openvino.Core().read_model(tmp_path / f"{graph.name}.xml").get_ops()
    constants = {node.get_friendly_name(): node for node in nodes if node.get_type_name() == "Constant"}
    small = {name: node for name, node in constants.items() if node.get_data().dtype == np.int8}
    assert set(small) >= {f"{layer}.weight" for layer in SMALL}
    for layer in SMALL:
        stored = small[f"{layer}.weight"]
        widened = next(iter(stored.output(0).get_target_inputs())).get_node()
        product = next(iter(widened.output(0).get_target_inputs())).get_node()
        scale = product.input_value(1).get_node().get_data()
        exact = weight(graph, layer).numpy()
        assert scale.dtype == np.float32
        assert scale.size == len(exact)
        assert (np.abs(stored.get_data() * scale - exact) <= scale * 0.501).all()


@pytest.mark.parametrize("has_bf16", [True, False])
def test_floats_are_bf16_only_where_the_cpu_has_it(
    has_bf16: bool, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    compile_model = openvino.Core.compile_model

    def spy(core: object, model: object, device: str, settings: dict[str, object]) -> object:
        asked.append(str(settings["INFERENCE_PRECISION_HINT"]))
        return compile_model(core, model, device, settings)

    monkeypatch.setattr(openvino.Core, "compile_model", spy)
    monkeypatch.setattr(runtime, "_has_bf16", lambda core: has_bf16)
    image, photo = TinyGraph().example_inputs()
    restored = runtime.OpenVinoRuntime(written, TINY_TILE, 1).run(image.numpy(), photo.numpy())
    assert asked == ["bf16" if has_bf16 else "f32"]
    assert 0 < np.abs(restored - TinyGraph()(image, photo).numpy()).mean() < 0.005
