"""Groups of a trial: exact weights, readings of the paper's test sets, and the arithmetic behind the reading."""

import numpy as np
import pytest
import torch
from stattest import SHARE, assert_mean

from simulator.pixels.captions import law_of_captions, prompts
from simulator.pixels.groups import accuracies, trial, weights
from simulator.pixels.pairs import draw
from simulator.pixels.views import Pixels
from simulator.world import World

WORLD = World(classes=5, p_inv=0.75, p_spu=0.9, views=Pixels(tied=(0, 1)))
TRIAL = trial(WORLD)
TABLE = World(table=[[0.3, 0.1, 0.0, 0.1], [0.0, 0.2, 0.2, 0.1]], p_inv=0.75, views=Pixels())


def test_rules_of_known_accuracy():
    """Rules that are always right, and that use the object only, the colour only, or the other colour of two."""
    o, a = TRIAL.objects.numpy(), TRIAL.attributes.numpy()
    rules = np.stack([np.ones((len(TRIAL), 5)), *np.eye(5)[np.stack([o, a, np.where(a < 2, 1 - a, a)])]])
    colour = {"common": 1, "counter": 0, "rand": 0.2, "rev": 0, "rest": 0.2, "trained": 0.4 * 0.9 + 0.6 * 0.2}
    other = {**colour, "common": 0, "counter": 0.25, "rev": 1, "trained": 0.4 * 0.025 + 0.6 * 0.2}
    expected = [dict.fromkeys(colour, 1), dict.fromkeys(colour, 0.75), colour, other]
    for k, own in enumerate(expected):
        found = {group: x[k] for group, x in accuracies(WORLD, TRIAL, rules).items()}
        assert list(found) == list(own)
        assert found == pytest.approx(own, abs=1e-12)
    assert min(w.min() for w in weights(WORLD, TRIAL).values()) >= 0
    assert weights(WORLD, TRIAL)["rest"][:2].sum() == 0


def test_rev_shows_the_other_tied_classes_alike():
    """The order of `tied` does not matter. If all classes are tied, rev equals counter and there is no rest."""
    found = weights(WORLD.replace(views=Pixels()), trial(WORLD.replace(views=Pixels())))
    assert "rest" not in found
    assert found["rev"] == pytest.approx(found["counter"], abs=1e-12)
    three = [weights(WORLD.replace(views=Pixels(tied=tied)), TRIAL)["rev"] for tied in ((0, 2, 4), (4, 0, 2))]
    assert (three[0] == three[1]).all()
    for label, attribute, share in ((0, 2, 1 / 6), (2, 4, 1 / 6), (4, 4, 0), (0, 1, 0), (1, 0, 0)):
        shown = TRIAL.attributes.numpy() == attribute
        assert three[0][label, shown].sum() == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize("world", [WORLD, TABLE], ids=["tied", "table"])
def test_the_trained_group_is_the_law_of_training_pairs(world):
    """Frequencies of (label, object, attribute) among drawn pairs equal the weights of the trial."""
    K, A, tried = world.classes, world.background_count, trial(world)
    found = weights(world, tried)["trained"]
    cell = tried.objects.numpy() * A + tried.attributes.numpy()
    law = np.stack([np.bincount(cell, row, minlength=K * A) for row in found]).ravel()
    scenes = draw(world, 70_000, seed=5).scenes
    code = (scenes.labels * K * A + scenes.objects * A + scenes.attributes).numpy()
    assert_mean(np.eye(K * K * A)[code], law, effect=0.03, share=SHARE)


def test_groups_of_a_table_are_those_of_the_gaussian_world():
    """For any rule that sees object and attribute."""
    right = np.random.default_rng(0).integers(2, size=(2, 4))
    tried, mixture = trial(TABLE), TABLE.replace(views=None).mixture()
    found = accuracies(TABLE, tried, np.eye(2)[right[tried.objects.numpy(), tried.attributes.numpy()][None]])
    assert list(found) == ["common", "counter", "unseen", "rand", "trained"]
    hits = right[mixture.objects, mixture.backgrounds[:, 0]] == mixture.labels
    expected = [*mixture.group_average(hits.astype(float)), hits @ mixture.weights]
    assert [found[g][0] for g in ("common", "counter", "unseen", "trained")] == pytest.approx(expected, abs=1e-12)
    name, background = prompts(TABLE, "name"), prompts(TABLE, "background")
    assert name[0, 0, 4] == background[0, 0, 0] == 1
    assert background[1, 1].tolist() == [0, 0.5, 0.5, 0, 0]  # two backgrounds are equally frequent


def test_images_of_a_trial_are_every_object_in_every_colour():
    assert len(TRIAL) == len({(s, a) for s, a in zip(TRIAL.scans.tolist(), TRIAL.attributes.tolist(), strict=True)})
    assert len(TRIAL) == 5 * len(set(TRIAL.scans.tolist()))
    assert torch.equal(TRIAL.images(slice(7, 12)), TRIAL.images()[7:12])


def test_prompts_are_laws_over_captions():
    world = WORLD.replace(mention_inv=0.5, mention_spu=0.25)
    law = law_of_captions(world)
    assert law.sum((1, 2)) == pytest.approx(np.ones(5), abs=1e-12)
    assert law[0, 0, 0] == pytest.approx(0.5 * 0.25 * 0.9, abs=1e-12)
    assert law[2, 5, 5] == pytest.approx(0.5 * 0.75, abs=1e-12)
    assert law[2, 2, 3] == pytest.approx(0.5 * 0.25 * 0.2, abs=1e-12)
    objects = law_of_captions(world.replace(views=Pixels(told="object")))
    assert objects[0, 1, 0] == pytest.approx(0.5 * 0.0625 * 0.25 * 0.9, abs=1e-12)
