"""Worlds drawn together are the worlds drawn alone."""

import pytest
import torch

from simulator import streams
from simulator.gaussian.pairs import dictionaries, draw_block
from simulator.world import Attribute, World

SHAPES = [
    World(dim_image=6, dim_text=4),
    World(dim_image=9, dim_text=12, classes=3),
    World(dim_image=6, dim_text=4, attribute=(Attribute(p=0.7),)),
]


def variants(world: World) -> list[World]:
    changes = {"p_spu": 0.6, "mu_spu": 3.0, "sigma_inv": 0.2, "mention_spu": 0.3, "p_inv": 0.8}
    return [world, world.model_copy(update=changes), world.model_copy(update={"sigma_xi": 0.0})]


@pytest.mark.parametrize("world", SHAPES, ids=["binary", "three classes", "attribute"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("threads", [1, 2])
def test_each_world_is_drawn_as_it_would_be_alone(world, dtype, threads, monkeypatch):
    """Bit for bit, for worlds that differ in every kind of number, also when threads share the drawing.

    Alone a world whose captions mention everything, or whose objects are the labels', leaves streams unread.
    """
    monkeypatch.setattr(streams, "SHARED_NUMBERS", 2**10)
    torch.set_num_threads(threads)
    worlds, frames = variants(world), dictionaries(world, 3)
    together = draw_block(worlds, frames, 3, 1, streams=["a", "b", "c"], dtype=dtype)
    for k, (one, stream) in enumerate(zip(worlds, "abc", strict=True)):
        alone = draw_block((one,), frames, 3, 1, streams=(stream,), dtype=dtype)
        for field, values in alone._asdict().items():
            assert torch.equal(getattr(together, field)[k], values[0]), field


def test_a_block_written_over_another_is_the_block_drawn_alone():
    """Also over one with noise of its own, in a world without."""
    worlds, frames = variants(SHAPES[0]), dictionaries(SHAPES[0], 3)
    draw = lambda index, over: draw_block(worlds, frames, 3, index, streams=["a", "b", "c"], over=over)  # noqa: E731
    alone, first = draw(1, None), draw(0, None)
    over = draw(1, first._replace(images=first.images.flip(0).contiguous()))
    for field, values in alone._asdict().items():
        assert torch.equal(getattr(over, field), values), field
    assert over.texts.data_ptr() == first.texts.data_ptr()
