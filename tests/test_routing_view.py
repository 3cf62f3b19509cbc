"""What routers see: the dispatcher's statistics, of a tile, in units that the first stage of training sets."""

import numpy as np
import torch

from mimdit.example_photos import EXAMPLES
from mimdit.image import load
from mimdit.model.routing_view import RoutingView
from mimdit.model.statistics import statistics
from mimdit.pixels import to_unit
from mimdit.views import dispatcher_inputs, photo_view


def _tiles(names: list[str], side: int) -> tuple[torch.Tensor, torch.Tensor]:
    photos = [load(EXAMPLES / f"{name}.png").pixels[:side, :side] for name in names]
    images = np.stack([to_unit(photo).transpose(2, 0, 1) for photo in photos])
    return torch.from_numpy(images), torch.from_numpy(np.concatenate([photo_view(photo) for photo in photos]))


def test_a_tile_of_256_px_is_seen_as_the_dispatcher_sees_a_photo_of_256_px() -> None:
    image, view = _tiles(["juniper-denoise"], 256)
    photo = load(EXAMPLES / "juniper-denoise.png").pixels[:256, :256]
    reduced, crops = dispatcher_inputs(photo)
    by_dispatcher = statistics(torch.from_numpy(reduced), torch.from_numpy(crops))
    routing_view = RoutingView()
    torch.testing.assert_close(routing_view(image, view), by_dispatcher.clamp(-5, 5))
    with torch.autocast("cpu", torch.bfloat16):  # as in training
        torch.testing.assert_close(routing_view(image, view), by_dispatcher.clamp(-5, 5))


def test_units_are_those_of_the_examples_that_were_measured() -> None:
    routing_view = RoutingView()
    assert not routing_view.measured
    tiles = _tiles(["juniper", "juniper-denoise"], 128)
    routing_view.measure(*tiles)
    assert routing_view.measured
    seen = routing_view(*tiles)
    assert seen.abs().max() <= 5
    torch.testing.assert_close(seen.mean(0), torch.zeros(seen.shape[1]), atol=1e-3, rtol=0)
    assert (seen[0] - seen[1]).abs().mean() > 1, "the noisy photo is far from the clean one"


def test_half_precision_sees_the_same() -> None:
    """A reference on a GPU may hold its weights in fp16; statistics need more."""
    tiles = _tiles(["juniper-denoise"], 256)
    routing_view = RoutingView()
    torch.testing.assert_close(routing_view.half()(*tiles), RoutingView()(*tiles))
