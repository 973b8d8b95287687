"""Pictures of worlds of pixels: their further groups are drawn, and the caption says what is seen."""

import numpy as np
import pytest

from experiments.errors import RequestError
from experiments.lab.studies import study
from experiments.page.plot.frame import caption, title_of
from experiments.page.plot.layout import arrange
from simulator.world import World

RECIPE = {"towers": "linear", "embed_dim": 2, "batch_size": 16, "steps": 2}


def test_further_groups_are_drawn_without_a_theory():
    world, axes = World(classes=3, views={"tied": (0, 2)}), {"p_spu": [0.6, 0.9]}
    table = study(world, axes, ["supervised"], routes=["trained"], n=32, replicates=2, recipe=RECIPE).run()
    picture = arrange(table, "rev")
    (series,) = picture.panels[0].series
    assert np.array_equal(series.data.value, table.rev[:, 0, 0].mean("replicate"))
    assert "predicted" not in series.data
    assert "Rev" in title_of(picture)
    words = "digits of 8 x 8 pixels, the attribute of classes 0, 2 is object-colour"
    assert any(words in sentence for sentence in caption(picture))


def test_gaussian_worlds_have_none():
    with pytest.raises(RequestError, match="'rev'"):
        arrange(study(axes={"p_spu": [0.6, 0.9]}).run(), "rev")
