"""Worlds of pixels in the laboratory: documents and resumption of runs, further groups of studies."""

import numpy as np
import pytest

from experiments.errors import RequestError
from experiments.lab.config import world_from, world_toml
from experiments.lab.plan import plan
from experiments.lab.studies import read, study
from experiments.lab.training import train
from simulator.pixels.views import Pixels
from simulator.towers.recipe import Recipe
from simulator.world import World

WORLD = World(classes=3, p_inv=0.9, p_spu=0.75, views=Pixels(tied=(0, 1)))
SMALL = {"towers": "conv", "width": 4, "embed_dim": 4, "batch_size": 16, "steps": 20, "optimizer": "adamw"}
RECIPE = Recipe(n=64, **SMALL)
GROUPS = ["common", "counter", "rand", "rev", "rest", "trained"]


def test_a_world_is_written_as_a_file_that_is_read(tmp_path):
    (tmp_path / "world.toml").write_text(world_toml(WORLD))
    assert world_from(tmp_path / "world.toml", {"p_spu": 0.5}) == WORLD.replace(p_spu=0.5)


def test_the_document_of_a_run_has_further_groups(tmp_path):
    whole = train(RECIPE, WORLD, models=2, output=tmp_path)
    for found in whole["prompts"].values():
        assert list(found["interval95"]) == GROUPS
        assert [list(one) for one in found["replicates"]] == [GROUPS] * 2
        assert found["rand"] == pytest.approx(np.mean([one["rand"] for one in found["replicates"]]))
    other = WORLD.replace(views=Pixels(tied=(0, 1), attribute="background-colour"))
    with pytest.raises(RequestError, match=r"views\.attribute is .* there and"):
        train(RECIPE, other, models=2, resume=tmp_path)


def test_a_study_has_the_further_groups():
    world, how = WORLD.replace(p_inv=1.0, p_spu=0.9), {"n": 64, "replicates": 2, "recipe": {**SMALL, "steps": 3}}
    sweep = study(world, {"classes": [2, 3]}, ["perfect-captions"], routes=["trained"], **how)
    table = sweep.run()
    assert {"rand", "rev_low", "rest_se"} <= set(table.data_vars)
    assert "predicted_rand" not in table
    assert np.isnan(table.rest.sel(classes=2)).all()
    assert np.isfinite(table.rest.sel(classes=3)[0, 0]).all()
    two = table.sel(classes=2)
    assert np.allclose(two.rand, (two.common + two.counter) / 2)
    assert np.array_equal(two.rev, two.counter, equal_nan=True)
    one = sweep.cell((1,), 0)
    single = train(one.recipe, one.worlds, models=2)
    assert np.allclose(table.rev[1, 0, 0], [one["rev"] for one in single["replicates"]], atol=1e-12)
    assert "no closed form" in str(table.legend.values)


def test_unreadable_pictures_get_one_sentence_before_any_work(tmp_path):
    root = str(tmp_path / "nowhere")
    world = World(views=Pixels(objects="cutouts", root=root, attribute="background-colour"))
    recipe = {**SMALL, "steps": 1}
    sweep = study(world, {"classes": [2, 3]}, ["supervised"], routes=["trained"], n=64, recipe=recipe)
    for ask in (plan, lambda sweep: sweep.run(tmp_path / "a.zarr")):
        with pytest.raises(RequestError, match=f"^folder {root!r} cannot be read: No such file or directory$"):
            ask(sweep)
    assert not list(tmp_path.iterdir())
    assert read(sweep.toml()) == sweep  # reading a store needs no pictures


def test_a_study_can_balance_classes_without_an_own_background():
    world, recipe = World(classes=3, p_spu=0.7, views=Pixels(tied=(0, 1))), {"towers": "linear", "embed_dim": 3}
    recipe = {**recipe, "batch_size": 16, "steps": 2}
    names = ["balance", "subsample", "reweight", "group-dro", "dfr"]
    sweep = study(world, {"mitigation": names}, ["supervised"], routes=["trained"], n=1000, recipe=recipe)
    assert np.isfinite(sweep.run().counter).all()


def test_pixels_have_no_prediction_and_no_covariances():
    """The law of InfoNCE needs Gaussian views. An error here once lost a finished run."""
    recipe = Recipe(width=4, embed_dim=4, batch_size=16, steps=2)  # the law of convolutions is not known anyway
    document = train(recipe, World(p_spu=0.9, views=Pixels()), models=2, compile=False)
    for entry in document["prompts"].values():
        assert (entry["predicted"], entry["unseen"], entry["covariances"]) == (None, None, None)
