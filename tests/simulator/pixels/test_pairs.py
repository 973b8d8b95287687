"""Pairs of pixel worlds follow the world's law, and images match captions."""

import numpy as np
import pytest
import torch

from simulator.gaussian.pairs import draw_codes
from simulator.pixels import groups
from simulator.pixels.pairs import draw, draw_scenes
from simulator.pixels.scenery import PARTS, scenery
from simulator.pixels.views import Pixels
from simulator.streams import independent
from simulator.world import World

WORLD = World(classes=5, p_inv=0.75, p_spu=0.9, mention_inv=0.8, mention_spu=0.4, views=Pixels(tied=(0, 1)))


def test_labels_and_captions_are_those_of_the_gaussian_world():
    """Both kinds of world read the same streams and agree pair by pair."""
    world = WORLD.replace(views=Pixels())
    scenes = draw_scenes((world,), 500, 1, 2, streams=("train/3",))
    codes = draw_codes((world.replace(views=None),), 500, independent(1, 2, ("train/3",)), device="cpu")
    assert torch.equal(scenes.labels, codes.labels)
    assert torch.equal(scenes.objects, codes.objects)
    assert torch.equal(scenes.attributes, codes.backgrounds[..., 0])
    assert torch.equal(scenes.captions < world.classes, codes.multiples != 0)


def test_training_validation_and_test_share_no_scan():
    objects = scenery(WORLD.replace(classes=10)).objects
    rows = [set(objects.rows(part).tolist()) for part in PARTS]
    assert sum(map(len, rows)) == len(objects) == 1797 == len(set.union(*rows))
    distinct = {part: {x.numpy().tobytes() for x in objects.pixels[objects.rows(part)]} for part in PARTS}
    assert not distinct["train"] & distinct["test"], "the source contains a scan twice"
    assert not distinct["validation"] & distinct["test"]
    drawn = draw(WORLD.replace(classes=10), 20_000).scenes
    assert set(drawn.scans.tolist()) <= rows[0]
    assert torch.equal(objects.labels[drawn.scans], drawn.objects)
    tried = groups.trial(WORLD.replace(classes=10))
    assert set(tried.scans.tolist()) == rows[2]
    assert set(groups.trial(WORLD.replace(classes=10), "validation").scans.tolist()) == rows[1]


@pytest.mark.parametrize("attribute", ["object-colour", "background-colour"])
def test_pixels_of_object_and_ground_are_what_the_scan_says(attribute):
    pairs = draw(WORLD.replace(views=Pixels(attribute=attribute)), 300)
    scene, scenes = pairs.scenery, pairs.scenes
    coverage = scene.objects.pixels[scenes.scans].double() / 255
    colour = scene.colours[scenes.attributes].double()[..., None, None]
    bare = scene.bare.double()[None, :, None, None]
    front, ground = (colour, bare) if attribute == "object-colour" else (bare, colour)
    assert (pairs.images - (coverage * front + (1 - coverage) * ground)).abs().max() <= 0.5 + 1e-4
    full, none = (coverage == 1).expand_as(pairs.images), (coverage == 0).expand_as(pairs.images)
    assert torch.equal(pairs.images[full], front.expand(pairs.images.shape)[full].to(torch.uint8))
    assert torch.equal(pairs.images[none], ground.expand(pairs.images.shape)[none].to(torch.uint8))


@pytest.mark.parametrize(
    ("told", "law"),
    [("label", {"classes": 5}), ("object", {"classes": 5}), ("label", {"table": np.full((5, 3), 1 / 15)})],
)
def test_captions_say_what_is_shown(told, law):
    world = World(**law, p_inv=0.75, mention_inv=0.8, mention_spu=0.4, views=Pixels(told=told))
    pairs = draw(world, 300)
    code, scenes = pairs.labels if told == "label" else pairs.scenes.objects, pairs.scenes
    assert pairs.texts.shape[1] == 5 + world.background_count
    for o, a, says, vector in zip(code, scenes.attributes, scenes.captions, pairs.texts, strict=True):
        says_o, says_a = says[0] < 5, says[1] < world.background_count
        assert vector.nonzero()[:, 0].tolist() == [o] * says_o + [5 + a] * says_a


def test_captions_of_other_pairs_name_what_an_image_shows_by_chance():
    """Six deviations of a share; captions that follow their image, and other fields, are those of matched pairs."""
    matched = World(classes=5, p_spu=0.6, views=Pixels())
    n, eps, chance = 20_000, 0.3, 1 / 5
    own, drawn = matched.draw(n).scenes, matched.replace(mismatch=eps).draw(n).scenes
    assert torch.equal(own.objects, drawn.objects)
    assert torch.equal(own.attributes, drawn.attributes)
    for shown, named in ((drawn.objects, drawn.captions[:, 0]), (drawn.attributes, drawn.captions[:, 1])):
        expected = 1 - eps + eps * chance
        assert abs((shown == named).double().mean() - expected) < 6 * np.sqrt(expected * (1 - expected) / n)
    # Another pair's caption names an object and an attribute that go together.
    stray = (drawn.captions != own.captions).any(dim=1)
    together = (drawn.captions[:, 0] == drawn.captions[:, 1])[stray].double().mean()
    assert 0.4 < together < 0.6


def test_the_last_of_a_class_is_the_last_that_is_chosen():
    """3 (1 - 2^-53) rounds to 3."""
    objects = scenery(World(classes=3, views=Pixels())).objects
    rows = objects.rows("test")
    last = objects.chosen("test", torch.tensor([0, 2]), torch.full((2,), 1 - 2.0**-53, dtype=torch.float64))
    assert last.tolist() == [rows[objects.counts("test")[0] - 1], rows[-1]]


def test_enlarged_scans_are_the_same_scans():
    small, large = draw(WORLD, 50), draw(WORLD.replace(views=Pixels(tied=(0, 1), size=32)), 50)
    averaged = torch.nn.functional.avg_pool2d(large.images.double(), 4)
    correlation = np.corrcoef(averaged.flatten(), small.images.double().flatten())[0, 1]
    assert correlation > 0.98
    assert torch.equal(small.scenes.scans, large.scenes.scans)
