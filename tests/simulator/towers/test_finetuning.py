"""Fine-tuning a small random CLIP: losses equal the libraries' own, pairs and images are those of
the world.
"""

from copy import deepcopy

import numpy as np
import pytest
import torch

open_clip = pytest.importorskip("open_clip")

from open_clip.loss import ClipLoss
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch.nn import functional as F

from simulator.pixels.captions import sentence
from simulator.pixels.groups import trial
from simulator.pixels.scenery import scenery
from simulator.pixels.views import Pixels
from simulator.towers import finetuning as tuning
from simulator.towers.finetuning import PairSet, Pretrained, zero_head
from simulator.towers.recipe import Recipe
from simulator.world import World

SIDE = 16
MEAN = (0.4, 0.5, 0.6)
STD = (0.2, 0.3, 0.4)
WORLD = World(classes=3, p_spu=0.8, mention_spu=0.5, views=Pixels(size=SIDE))


@pytest.fixture
def model():
    vision = {"image_size": SIDE, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8}
    text = {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = open_clip.model.CLIP(16, vision, text).eval()
    return Pretrained(module, open_clip.SimpleTokenizer(context_length=12), MEAN, STD)


@pytest.fixture
def pairs(model):
    scene = scenery(WORLD.replace(classes=3))
    return PairSet(scene, tuning.caption_tokens(model, scene), WORLD, 48, 5, "train/0")


def recipe(loss, **fields):
    shared = {
        "batch_size": 16,
        "steps": 30,
        "optimizer": "adamw",
        "lr": 1e-3,
        "averaging": 0.0,
        "warmup": 2,
        "n": 48,
    }
    return Recipe(**{"loss": loss, **shared, **fields})


def test_images_are_read_as_the_model_reads_photos(model, pairs):
    pixels = pairs.pick(torch.arange(6))[0]
    preprocess = image_transform_v2(PreprocessCfg(size=SIDE, mean=MEAN, std=STD), is_train=False)
    photos = [Image.fromarray(np.moveaxis(one.numpy(), 0, -1)) for one in pixels]
    own = F.normalize(
        model.module.encode_image(torch.stack([preprocess(photo) for photo in photos])), dim=-1
    )
    # float32 through one block
    torch.testing.assert_close(model.images(pixels), own, rtol=1e-5, atol=1e-5)


def test_pairs_are_the_worlds_and_captions_say_what_they_mention(model, pairs):
    drawn = WORLD.draw(48, 5, stream="train/0")
    images, tokens, labels = pairs.pick(torch.arange(48))
    assert torch.equal(images, drawn.images)
    assert torch.equal(labels, drawn.labels)
    shown = zip(
        labels, drawn.scenes.attributes, drawn.scenes.captions[:, 1] < WORLD.classes, strict=True
    )
    said = [sentence(drawn.scenery, int(y), int(a) if speaks else None) for y, a, speaks in shown]
    assert torch.equal(tokens, model.tokenizer(said))
    assert {" in " in text for text in said} == {True, False}


def test_an_epoch_shows_every_pair_once_in_an_order_of_its_own(pairs):
    shown = iter(pairs.batches(20))  # of 48: eight per epoch are left out
    epochs = [torch.cat([next(shown)[0].flatten(1) for _ in range(2)]) for _ in range(2)]
    everything = pairs.pick(torch.arange(48))[0].flatten(1)
    rows = [[int((everything == one).all(1).nonzero()[0]) for one in epoch] for epoch in epochs]
    assert rows[0] != rows[1]
    assert all(len(own) == 40 for own in rows)
    again = iter(pairs.batches(20))
    assert torch.equal(epochs[0], torch.cat([next(again)[0].flatten(1) for _ in range(2)]))


@pytest.mark.parametrize("loss", ["infonce", "supervised"])
def test_training_lowers_the_loss_of_what_it_trains_and_leaves_the_rest(model, pairs, loss):
    before = deepcopy(model.module.state_dict())
    before_random = torch.random.get_rng_state()
    head = zero_head(model, 3) if loss == "supervised" else None
    steps = []
    found = tuning.finetune(model, head, recipe(loss), pairs, steps.append)
    assert torch.equal(torch.random.get_rng_state(), before_random)
    assert len(found) == sum(steps) == 30
    assert np.mean(found[-3:]) < 0.9 * np.mean(found[:3])
    moved = {
        name
        for name, value in model.module.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert "logit_scale" not in moved
    assert ("text_projection" in moved) == (loss == "infonce")
    assert {name.split(".")[0] for name in moved} >= {"visual"}
    assert (head is None) or all(not torch.equal(x, torch.zeros_like(x)) for x in head.parameters())


def test_the_first_losses_are_open_clips_own_and_that_of_equal_scores(model, pairs):
    images, tokens, _ = next(pairs.batches(16))
    with torch.no_grad():
        plain = ClipLoss()(model.images(images), model.texts(tokens), model.scale)
    first = [
        tuning.finetune(model, head, recipe("infonce", steps=1), pairs)[0]
        for head in (None, zero_head(model, 3))
    ]
    assert first == pytest.approx([float(plain), np.log(3)], rel=1e-5)  # float32


def test_the_rate_warms_up_and_matrices_alone_decay(model, pairs, monkeypatch):
    """AdamW's first step changes a number by the rate, a third of the peak with a warm-up of two
    steps.
    """
    monkeypatch.setattr(
        PairSet, "batches", lambda self, size: iter([self.pick(torch.arange(size))])
    )
    own = (model.module.visual.proj, model.module.visual.ln_post.weight)
    rate = 1e-3 / 3
    kept = [p.detach() * (1 - decay * rate) for p, decay in zip(own, (0.3, 0.0), strict=True)]
    tuning.finetune(model, None, recipe("infonce", steps=3, warmup=2, weight_decay=0.3), pairs)
    for after, before in zip(own, kept, strict=True):
        torch.testing.assert_close((after - before).abs().max().item(), rate, rtol=1e-3, atol=0)


def test_a_loss_that_is_not_finite_ends_it(model, pairs):
    with torch.no_grad():
        model.module.visual.proj[0, 0] = float("nan")
    before = deepcopy(model.module.state_dict())
    assert np.isnan(tuning.finetune(model, None, recipe("infonce"), pairs)).tolist() == [True]
    after = model.module.state_dict()
    assert all(
        torch.equal(value.nan_to_num(), after[name].nan_to_num()) for name, value in before.items()
    )


def test_a_model_says_the_nearest_caption_and_a_head_its_highest_score(model, pairs):
    tried = trial(WORLD, "validation")
    said = model.tokenizer([f"a photo of a {n}" for n in ("zero", "one", "two")])
    names = F.normalize(model.module.encode_text(said), dim=-1)
    I = model.images(tried.images())
    assert torch.equal(tuning.predicted(model, None, pairs.tokens, tried), (I @ names.T).argmax(1))
    head = zero_head(model, 3)
    with torch.no_grad():
        head.bias[1] = 1.0
    assert (tuning.predicted(model, head, pairs.tokens, tried) == 1).all()
