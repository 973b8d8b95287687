"""Documents of towers, worlds of pixels in studies, and the bridge from theory to the distances of
pictures.
"""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.command.synthetic import train_screen
from experiments.errors import RequestError
from experiments.files import to_json
from experiments.lab.config import world_from, world_toml
from experiments.lab.evaluate import LARGEST, bridge
from experiments.lab.plan import plan
from experiments.lab.studies import read, study
from experiments.lab.training import train
from simulator.pixels.views import Pixels
from simulator.towers.ensemble import Ensemble
from simulator.towers.probes import separation
from simulator.towers.recipe import Recipe
from simulator.world import World
from theory.learners import Logistic

VIEWS = {"objects": "digits"}
WORLD = World(classes=2, p_inv=0.9, p_spu=0.75, views=VIEWS)


def ensemble(world: World = WORLD, **fields) -> Ensemble:
    return Ensemble(
        Recipe(**{"loss": "supervised", "towers": "linear", "embed_dim": 1, **fields}),
        (world,),
        (4,),
        3,
    )


def reading(pixels) -> dict[str, torch.Tensor]:
    """A linear tower whose embedding is a weighted sum of the 3 x 8 x 8 pixels."""
    weight = torch.zeros(3, 8, 8)
    for (channel, row, column), value in pixels.items():
        weight[channel, row, column] = value
    return {"image.0.weight": weight.reshape(1, 192, 1), "head.weight": torch.ones(1, 1, 2)}


def test_distances_are_group_distances_over_the_scatter_within():
    """For one coordinate, by least squares on object and colour, so that groups are weighted by
    their frequency.
    """
    parameters = reading({(0, 3, 3): 1.0, (1, 4, 4): -1.0, (0, 2, 5): 0.5})
    found = separation(ensemble(), parameters)
    pairs = WORLD.draw(4096, seed=3, stream="train/4")
    x = pairs.images.double() / 255
    e = (x[:, 0, 3, 3] - x[:, 1, 4, 4] + 0.5 * x[:, 0, 2, 5]).numpy()
    o = 1 - 2 * pairs.scenes.objects.numpy()
    a = 1 - 2 * pairs.scenes.attributes.numpy()
    design = np.stack([np.ones(len(e)), o, a], axis=1)
    fitted = np.linalg.solve(design.T @ design, design.T @ e)  # a coefficient is half of a distance
    scatter = (e - design @ fitted).std(ddof=3)
    assert found[0] == pytest.approx(np.abs(fitted[1:]) / scatter, rel=1e-5)


def test_the_world_has_the_distances_of_the_pixels():
    found = bridge(ensemble(), reading({(0, 3, 3): 1.0, (1, 4, 4): -1.0}))
    world = WORLD.replace(
        views=None,
        mu_inv=found["mu_inv"][0],
        mu_spu=found["mu_spu"][0],
        sigma_spu=1.0,
        sigma_xi=0.0,
    )
    expected = Logistic().accuracy(world)
    assert (found["common"], found["rev"]) == (
        pytest.approx([expected.common]),
        pytest.approx([expected.counter]),
    )
    assert found["rand"] == pytest.approx([expected.balanced])


def test_rand_has_every_background_equally_often():
    found = bridge(
        ensemble(WORLD.replace(classes=3)),
        reading({(0, 3, 3): 1.0, (1, 4, 4): -1.0, (2, 3, 5): 0.3}),
    )
    assert found["rand"] == pytest.approx([(found["common"][0] + 2 * found["counter"][0]) / 3])
    assert found["common"][0] > found["counter"][0]


TABLE = [[0.3, 0.2, 0.0], [0.1, 0.0, 0.4]]
SMALL = {"dim_image": 4, "dim_text": 4}
# the optimum of others in a world with a table is sampled for seconds
LINEAR = {"loss": "linear", "towers": "linear"}
PIXELS = ["common", "counter", "rand", "rev", "rest", "trained"]
TIED = World(classes=3, p_inv=0.9, p_spu=0.75, views={**VIEWS, "tied": (0, 1)})


@pytest.mark.parametrize(
    ("world", "fields", "groups"),
    [
        (World(**SMALL), LINEAR, ["common", "counter"]),
        # more pairs than a float holds would be enough
        (World(sigma_xi=0.05, **SMALL), {}, ["common", "counter"]),
        (World(table=TABLE, **SMALL), LINEAR, ["common", "counter", "unseen"]),
        (World(table=[[0.5, 0.0], [0.0, 0.5]], **SMALL), LINEAR, ["common", "unseen"]),
        (World(table=TABLE, views=VIEWS), {}, ["common", "counter", "unseen", "rand", "trained"]),
        (TIED, {"n": 64}, PIXELS),
    ],
)
def test_documents_of_towers_have_the_groups_of_their_world(world, fields, groups):
    """Pixels have no prediction, which once ended a finished run."""
    recipe = Recipe(width=4, depth=1, embed_dim=4, batch_size=16, steps=4, warmup=0, **fields)
    document = train(recipe, world, models=2, compile=False)
    json.dumps(document, allow_nan=False, default=to_json)
    assert train_screen(document)
    assert {
        name for name, value in document.items() if name in {*groups, *PIXELS} and value is not None
    } == {*groups}
    assert {*document["history"][-1]["prompts"]["name"]} == {*groups}
    for found in document["prompts"].values():
        assert [list(one) for one in found["replicates"]] == [groups] * 2
        assert {*groups} <= {*found["interval95"]}
        for group in groups:
            assert found[group] == pytest.approx(
                np.mean([one[group] for one in found["replicates"]])
            )
        assert ("equivalent_correlation" in found["interval95"]) == (
            world.views is None and len(groups) == 2
        )
        if world is TIED:
            assert (found["predicted"], found["unseen"]) == (None, None)


def test_a_study_has_the_groups_of_pixels():
    recipe = {
        "towers": "conv",
        "width": 4,
        "embed_dim": 4,
        "batch_size": 16,
        "steps": 3,
        "optimizer": "adamw",
    }
    world = TIED.replace(p_inv=1.0, p_spu=0.9)
    how = {"n": 64, "replicates": 2, "recipe": recipe}
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
    sweep = study(world, {"classes": [2, 3]}, ["supervised"], routes=["trained"])
    for ask in (plan, lambda sweep: sweep.run(tmp_path / "a.zarr")):
        with pytest.raises(
            RequestError, match=f"^folder {root!r} cannot be read: No such file or directory$"
        ):
            ask(sweep)
    assert not list(tmp_path.iterdir())
    assert read(sweep.toml()) == sweep  # reading a store needs no pictures
    for name in ("a/1.png", "b/1.png"):  # two classes
        (tmp_path / "nowhere" / name).parent.mkdir(parents=True)
        Image.new("RGBA", (8, 8), (9, 9, 9, 99)).save(tmp_path / "nowhere" / name)
    with pytest.raises(RequestError, match="has 2 subfolders: a, b; 3 are needed"):
        plan(sweep)


def test_a_study_can_balance_classes_without_an_own_background():
    world = World(classes=3, p_spu=0.7, views=Pixels(tied=(0, 1)))
    recipe = {
        "towers": "linear",
        "embed_dim": 3,
    }
    recipe = {**recipe, "batch_size": 16, "steps": 2}
    names = ["balance", "subsample", "reweight", "group-dro", "dfr"]
    sweep = study(
        world, {"mitigation": names}, ["supervised"], routes=["trained"], n=1000, recipe=recipe
    )
    assert np.isfinite(sweep.run().counter).all()


def test_a_world_is_written_as_a_file_that_is_read(tmp_path):
    (tmp_path / "world.toml").write_text(world_toml(TIED))
    assert world_from(tmp_path / "world.toml", {"p_spu": 0.5}) == TIED.replace(p_spu=0.5)


def test_no_bridge_without_a_head_or_with_classes_without_colour():
    parameters = reading({(0, 3, 3): 1.0})
    assert bridge(ensemble(loss="infonce"), parameters) is None
    assert bridge(ensemble(TIED), parameters) is None
    assert bridge(ensemble(World()), parameters) is None
    # these change the law
    for other in ({"sampler": "balanced"}, {"last_layer": "refitted"}, {"loss": "group-dro"}):
        assert bridge(ensemble(**other), parameters) is None


def test_embeddings_without_scatter_have_finite_distances():
    """No digit covers this pixel, so every embedding is 0."""
    found = bridge(ensemble(), reading({(0, 0, 0): 1.0}))
    assert all(0 <= value <= LARGEST for value in (*found["mu_inv"], *found["mu_spu"]))
