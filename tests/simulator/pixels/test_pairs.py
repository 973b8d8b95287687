"""Pairs of pixel worlds follow the world's law, images match captions, and groups of a trial have
exact weights.
"""

import numpy as np
import pytest
import torch
from stattest import SHARE, assert_mean

from simulator.gaussian.pairs import draw_codes
from simulator.pixels.captions import law_of_captions, prompts
from simulator.pixels.groups import accuracies, trial, weights
from simulator.pixels.pairs import draw, draw_scenes
from simulator.pixels.scenery import PARTS, scenery
from simulator.pixels.views import Pixels
from simulator.streams import independent
from simulator.world import World

WORLD = World(
    classes=5, p_inv=0.75, p_spu=0.9, mention_inv=0.8, mention_spu=0.4, views=Pixels(tied=(0, 1))
)


def test_labels_and_captions_are_those_of_the_gaussian_world():
    """Both kinds of world read the same streams and agree pair by pair."""
    world = WORLD.replace(views=Pixels())
    scenes = draw_scenes((world,), 500, 1, 2, streams=("train/3",))
    y, o, a, multiples = draw_codes(
        (world.replace(views=None),), 500, independent(1, 2, ("train/3",)), device="cpu"
    )
    assert torch.equal(scenes.labels, y)
    assert torch.equal(scenes.objects, o)
    assert torch.equal(scenes.attributes, a[..., 0])
    assert torch.equal(scenes.captions < world.classes, multiples != 0)


def test_training_validation_and_test_share_no_scan():
    objects = scenery(WORLD.replace(classes=10)).objects
    rows = [set(objects.rows(part).tolist()) for part in PARTS]
    assert sum(map(len, rows)) == len(objects) == 1797 == len(set.union(*rows))
    distinct = {
        part: {x.numpy().tobytes() for x in objects.pixels[objects.rows(part)]} for part in PARTS
    }
    assert not distinct["train"] & distinct["test"], "the source contains a scan twice"
    assert not distinct["validation"] & distinct["test"]
    drawn = draw(WORLD.replace(classes=10), 20_000).scenes
    assert set(drawn.scans.tolist()) <= rows[0]
    assert torch.equal(objects.labels[drawn.scans], drawn.objects)
    tried = trial(WORLD.replace(classes=10))
    assert set(tried.scans.tolist()) == rows[2]
    assert set(trial(WORLD.replace(classes=10), "validation").scans.tolist()) == rows[1]


@pytest.mark.parametrize("attribute", ["object-colour", "background-colour"])
def test_pixels_of_object_and_ground_are_what_the_scan_says(attribute):
    pairs = draw(WORLD.replace(views=Pixels(attribute=attribute)), 300)
    scene, scenes = pairs.scenery, pairs.scenes
    coverage = scene.objects.pixels[scenes.scans].double() / 255
    colour = scene.colours[scenes.attributes].double()[..., None, None]
    bare = scene.bare.double()[None, :, None, None]
    front, ground = (colour, bare) if attribute == "object-colour" else (bare, colour)
    assert (pairs.images - (coverage * front + (1 - coverage) * ground)).abs().max() <= 0.5 + 1e-4
    full = (coverage == 1).expand_as(pairs.images)
    none = (coverage == 0).expand_as(pairs.images)
    assert torch.equal(pairs.images[full], front.expand(pairs.images.shape)[full].to(torch.uint8))
    assert torch.equal(pairs.images[none], ground.expand(pairs.images.shape)[none].to(torch.uint8))


@pytest.mark.parametrize(
    ("told", "law"),
    [
        ("label", {"classes": 5}),
        ("object", {"classes": 5}),
        ("label", {"table": np.full((5, 3), 1 / 15)}),
    ],
)
def test_captions_say_what_is_shown(told, law):
    world = World(**law, p_inv=0.75, mention_inv=0.8, mention_spu=0.4, views=Pixels(told=told))
    pairs = draw(world, 300)
    code = pairs.labels if told == "label" else pairs.scenes.objects
    scenes = pairs.scenes
    assert pairs.texts.shape[1] == 5 + world.background_count
    for o, a, says, vector in zip(
        code, scenes.attributes, scenes.captions, pairs.texts, strict=True
    ):
        says_o = says[0] < 5
        says_a = says[1] < world.background_count
        assert vector.nonzero()[:, 0].tolist() == [o] * says_o + [5 + a] * says_a


def test_captions_of_other_pairs_name_what_an_image_shows_by_chance():
    """Six deviations of a share; captions that follow their image, and other fields, are those of
    matched pairs.
    """
    matched = World(classes=5, p_spu=0.6, views=Pixels())
    n = 20_000
    eps = 0.3
    chance = 1 / 5
    own = matched.draw(n).scenes
    drawn = matched.replace(mismatch=eps).draw(n).scenes
    assert torch.equal(own.objects, drawn.objects)
    assert torch.equal(own.attributes, drawn.attributes)
    for shown, named in (
        (drawn.objects, drawn.captions[:, 0]),
        (drawn.attributes, drawn.captions[:, 1]),
    ):
        expected = 1 - eps + eps * chance
        assert abs((shown == named).double().mean() - expected) < 6 * np.sqrt(
            expected * (1 - expected) / n
        )
    # Another pair's caption names an object and an attribute that go together.
    stray = (drawn.captions != own.captions).any(dim=1)
    together = (drawn.captions[:, 0] == drawn.captions[:, 1])[stray].double().mean()
    assert 0.4 < together < 0.6


def test_the_last_of_a_class_is_the_last_that_is_chosen():
    objects = scenery(World(classes=3, views=Pixels())).objects
    rows = objects.rows("test")
    last = objects.chosen(
        "test", torch.tensor([0, 2]), torch.full((2,), 1 - 2.0**-53, dtype=torch.float64)
    )
    assert last.tolist() == [rows[objects.counts("test")[0] - 1], rows[-1]]


def test_enlarged_scans_are_the_same_scans():
    small = draw(WORLD, 50)
    large = draw(WORLD.replace(views=Pixels(tied=(0, 1), size=32)), 50)
    averaged = torch.nn.functional.avg_pool2d(large.images.double(), 4)
    correlation = np.corrcoef(averaged.flatten(), small.images.double().flatten())[0, 1]
    assert correlation > 0.98
    assert torch.equal(small.scenes.scans, large.scenes.scans)


# Groups of a trial: the paper's test sets as we read them, and the arithmetic behind the reading.

TRIAL = trial(WORLD)
TABLE = World(table=[[0.3, 0.1, 0.0, 0.1], [0.0, 0.2, 0.2, 0.1]], p_inv=0.75, views=Pixels())


def test_rules_of_known_accuracy():
    """Rules that are always right, and that use the object only, the colour only, or the other
    colour of two.
    """
    o = TRIAL.objects.numpy()
    a = TRIAL.attributes.numpy()
    rules = np.stack(
        [np.ones((len(TRIAL), 5)), *np.eye(5)[np.stack([o, a, np.where(a < 2, 1 - a, a)])]]
    )
    colour = {
        "common": 1,
        "counter": 0,
        "rand": 0.2,
        "rev": 0,
        "rest": 0.2,
        "trained": 0.4 * 0.9 + 0.6 * 0.2,
    }
    other = {**colour, "common": 0, "counter": 0.25, "rev": 1, "trained": 0.4 * 0.025 + 0.6 * 0.2}
    expected = [dict.fromkeys(colour, 1), dict.fromkeys(colour, 0.75), colour, other]
    for k, own in enumerate(expected):
        found = {group: x[k] for group, x in accuracies(WORLD, TRIAL, rules).items()}
        assert list(found) == list(own)
        assert found == pytest.approx(own, abs=1e-12)
    assert min(w.min() for w in weights(WORLD, TRIAL).values()) >= 0
    assert weights(WORLD, TRIAL)["rest"][:2].sum() == 0
    assert torch.equal(TRIAL.images(slice(7, 12)), TRIAL.images()[7:12])


def test_rev_shows_the_other_tied_classes_alike():
    """The order of `tied` does not matter. If all classes are tied, rev equals counter and there is
    no rest.
    """
    found = weights(WORLD.replace(views=Pixels()), trial(WORLD.replace(views=Pixels())))
    assert "rest" not in found
    assert found["rev"] == pytest.approx(found["counter"], abs=1e-12)
    three = [
        weights(WORLD.replace(views=Pixels(tied=tied)), TRIAL)["rev"]
        for tied in ((0, 2, 4), (4, 0, 2))
    ]
    assert (three[0] == three[1]).all()
    for label, attribute, share in ((0, 2, 1 / 6), (2, 4, 1 / 6), (4, 4, 0), (0, 1, 0), (1, 0, 0)):
        shown = TRIAL.attributes.numpy() == attribute
        assert three[0][label, shown].sum() == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize("world", [WORLD, TABLE], ids=["tied", "table"])
def test_the_trained_group_is_the_law_of_training_pairs(world):
    """Frequencies of (label, object, attribute) among drawn pairs equal the weights of the
    trial.
    """
    K = world.classes
    A = world.background_count
    tried = trial(world)
    found = weights(world, tried)["trained"]
    cell = tried.objects.numpy() * A + tried.attributes.numpy()
    law = np.stack([np.bincount(cell, row, minlength=K * A) for row in found]).ravel()
    scenes = draw(world, 70_000, seed=5).scenes
    code = (scenes.labels * K * A + scenes.objects * A + scenes.attributes).numpy()
    assert_mean(np.eye(K * K * A)[code], law, effect=0.03, share=SHARE)


def test_groups_of_a_table_are_those_of_the_gaussian_world():
    """For any rule that sees object and attribute."""
    right = np.random.default_rng(0).integers(2, size=(2, 4))
    tried = trial(TABLE)
    mixture = TABLE.replace(views=None).mixture()
    found = accuracies(
        TABLE, tried, np.eye(2)[right[tried.objects.numpy(), tried.attributes.numpy()][None]]
    )
    assert list(found) == ["common", "counter", "unseen", "rand", "trained"]
    hits = right[mixture.objects, mixture.backgrounds[:, 0]] == mixture.labels
    expected = [*mixture.group_average(hits.astype(float)), hits @ mixture.weights]
    assert [found[g][0] for g in ("common", "counter", "unseen", "trained")] == pytest.approx(
        expected, abs=1e-12
    )
    name = prompts(TABLE, "name")
    background = prompts(TABLE, "background")
    assert name[0, 0, 4] == background[0, 0, 0] == 1
    assert background[1, 1].tolist() == [0, 0.5, 0.5, 0, 0]  # two backgrounds are equally frequent


def test_prompts_are_laws_over_captions():
    world = WORLD.replace(mention_inv=0.5, mention_spu=0.25)
    law = law_of_captions(world)
    assert law.sum((1, 2)) == pytest.approx(np.ones(5), abs=1e-12)
    assert law[0, 0, 0] == pytest.approx(0.5 * 0.25 * 0.9, abs=1e-12)
    assert law[2, 5, 5] == pytest.approx(0.5 * 0.75, abs=1e-12)
    assert law[2, 2, 3] == pytest.approx(0.5 * 0.25 * 0.2, abs=1e-12)
    objects = law_of_captions(world.replace(views=Pixels(told="object")))
    assert objects[0, 1, 0] == pytest.approx(0.5 * 0.0625 * 0.25 * 0.9, abs=1e-12)
