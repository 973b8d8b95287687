"""The cache changes nothing; failures between photos and scores end in a count or in one
sentence.
"""

from dataclasses import replace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from accelerator import present

from experiments.errors import RequestError, RunError
from experiments.photos import options
from experiments.photos.encoding import FeatureCache, encode_photos
from experiments.photos.labels import LabelSpace, own_classes
from experiments.photos.metrics import right
from experiments.photos.model import LoadedModel
from experiments.photos.models import load
from experiments.photos.options import Options
from experiments.photos.photos import read_photos
from experiments.photos.scoring import (
    NO_ANSWER,
    confusing_space,
    predict,
    score_photos,
    text_features,
)


def encode(model, tree, cache, **more):
    return encode_photos(tree, model, Options(cache=cache, **more))


def small(image):
    return torch.from_numpy(
        np.asarray(image.resize((8, 8)), dtype=np.float32).transpose(2, 0, 1) / 255
    )


def dark(pixels):
    return pixels.mean(dim=(1, 2, 3)) < 0.5


def answers(pixels, labels=1000, broken=dark):
    """Predict class 9 for every photo; scores of broken ones are nan, or one is infinite."""
    logits = torch.zeros(len(pixels), labels)
    logits[:, 9] = 1
    lost = broken(pixels).nonzero()[:, 0]
    logits[lost] = float("nan")
    logits[lost[::2]] = torch.where(torch.arange(labels) == labels // 100, torch.inf, 0.0)
    return logits


def scored(tree, logits, preprocess=small, module=None, **more):
    model = LoadedModel("ImageNet", module or torch.nn.Identity(), logits, preprocess)
    return score_photos(read_photos(tree), model, Options(**more))


def test_photos_with_nan_scores_count_as_wrong(shared_tree):
    found = scored(shared_tree, answers)
    table = predict(found, LabelSpace("1000"))
    lost = table.predicted_index == NO_ANSWER
    assert 0 < lost.sum() < len(lost)
    assert not right(table)[lost].any()
    assert (table["rank"][lost] == 1000).all()
    assert np.isnan(table.margin[lost]).all()
    for space, last in ((own_classes([9, 10, 16, 30]), 4), (confusing_space(found), 20)):
        again = predict(found, space)
        assert (again.predicted_index[lost] == NO_ANSWER).all()
        assert (again["rank"][lost] >= last).all()
        assert (again.predicted_index[~lost] != NO_ANSWER).all()
        assert all(9 in labels for labels in space.allowed.values())
    every = scored(
        shared_tree, lambda pixels: answers(pixels, broken=lambda p: p.mean((1, 2, 3)) > -1)
    )
    with pytest.raises(RunError, match="no finite score for any of 32 photos"):
        predict(every, LabelSpace("1000"))


def test_nan_features_are_not_cached(clip, shared_tree, tmp_path):
    """The key is the same the second time, so only unwritten features are computed again."""
    tree = read_photos(shared_tree)

    def first_is_nan(pixels):
        return clip.encode_image(pixels).index_fill(0, torch.tensor([0]), float("nan"))

    first = encode(replace(clip, encode_image=first_is_nan), tree, tmp_path)
    assert (~np.isfinite(first.features)).any(axis=1).nonzero()[0].tolist() == [0]
    second = encode(clip, tree, tmp_path)
    assert second.passes == 1
    assert np.isfinite(second.features).all()


def test_a_name_without_a_finite_embedding_is_a_failure(tiny_clip, tmp_path):
    clip = load(f"open_clip:local-dir:{tiny_clip}")
    with torch.no_grad():
        clip.module.token_embedding.weight[:] = float("nan")
    with pytest.raises(
        RunError, match="no finite embedding for 2 of 2 labels, the first is 'ostrich'"
    ):
        text_features(clip, [["ostrich"], ["bulbul"]], Options(cache=tmp_path))
    assert not list(tmp_path.rglob("*.safetensors"))


class Moved:
    """A CLIP of two matrices, which `to` moves as a module's weights."""

    def __init__(self):
        rng = torch.Generator().manual_seed(0)
        self.image = torch.randn(3, 4, generator=rng)
        self.text = torch.randn(7, 4, generator=rng)

    def to(self, device):
        self.image, self.text = self.image.to(device), self.text.to(device)

    def encode_image(self, pixels):
        return pixels.mean(dim=(2, 3)) @ self.image

    def encode_text(self, ids):
        return self.text[ids].mean(dim=1)


def lengths(phrases):
    return torch.tensor([[len(phrase) % 7, 1] for phrase in phrases])


def test_photos_and_prompts_are_encoded_on_another_device(shared_tree, monkeypatch):
    """Photos and tokens move to the device, features back; an operation on two devices would
    raise.
    """
    tree = read_photos(shared_tree)
    found = {}
    with present(monkeypatch):
        for device in ("cpu", "cuda"):
            module = Moved()
            chosen = Options(device=device)
            model = LoadedModel(
                "CLIP", module, module.encode_image, small, module.encode_text, lengths
            )
            text, _ = text_features(model, [["ostrich", "bird"], ["bear"]], chosen)
            found[device] = [encode_photos(tree, model, chosen).features, text]
            assert module.image.device.type == device
    for near, far in zip(*found.values(), strict=True):
        np.testing.assert_allclose(near, far, rtol=1e-6)


FULL = {"to.side_effect": torch.OutOfMemoryError("CUDA out of memory")}


@pytest.mark.parametrize(
    ("words", "wrong"),
    [  # once, 1001 scores were read without a shift, and 10 scores were an IndexError
        (
            r"scores of shape \(10,\) per photo.* 1000",
            {"logits": lambda pixels: torch.zeros(len(pixels), 10)},
        ),
        (
            r"scores of shape \(1001,\) per photo",
            {"logits": lambda pixels: torch.zeros(len(pixels), 1001)},
        ),
        (
            "cpu ran out of memory at --batch-size 1; try --device cpu",
            {"module": MagicMock(**FULL), "batch_size": 1},
        ),
    ],
)
def test_a_failure_is_one_sentence(words, wrong, shared_tree):
    with pytest.raises((RequestError, RunError), match=words):
        scored(shared_tree, **{"logits": answers, **wrong})


def test_what_a_feature_depends_on_is_in_its_key(clip, tree, tmp_path):
    photo_set = read_photos(tree)
    first = score_photos(photo_set, clip, Options(cache=tmp_path))
    assert first.passes == len(photo_set.photos)

    def never(*_):
        raise AssertionError("a photo or a prompt went through the model")

    again = score_photos(
        photo_set, replace(clip, encode_image=never, encode_text=never), Options(cache=tmp_path)
    )
    assert again.passes == 0
    assert (again.scores == first.scores).all()
    shouting = replace(
        clip, tokenizer=lambda texts: clip.tokenizer([f"{text} again" for text in texts])
    )
    assert (score_photos(photo_set, shouting, Options(cache=tmp_path)).scores != first.scores).any()
    (tree / "9 ostrich, Struthio camelus/common-ground/0.jpg").touch()  # another modification time
    assert encode(clip, photo_set, tmp_path).passes == 1
    for shard in tmp_path.rglob("*.safetensors"):
        shard.write_bytes(shard.read_bytes()[:100])
    damaged = encode(clip, photo_set, tmp_path)
    assert damaged.passes == len(photo_set.photos)
    assert (damaged.features == first.features).all()
    assert encode(replace(clip, key="other"), photo_set, tmp_path).passes == len(photo_set.photos)


def test_every_option_is_in_the_key_or_changes_rounding_alone(tmp_path, monkeypatch):
    """The model's own key has its weights and activation; a prompt's key has its tokens."""
    # another device need not be here
    monkeypatch.setattr(options, "checked_device", lambda name: name)
    (tmp_path / "own").write_text("a {}\nb {}\n")
    changes = {
        "device": "meta",
        "precision": "bf16",
        "batch_size": 1,
        "workers": 1,
        "cache": tmp_path / "other",
    }
    changes |= {
        "prompts": str(tmp_path / "own"),
        "classes": tmp_path / "own",
        "quick_gelu": "on",
        "trust_pickle": True,
    }
    assert set(changes) == set(Options.model_fields)
    name = FeatureCache(Options(), "key").folder.name
    changed = {
        one
        for one, value in changes.items()
        if FeatureCache(Options(**{one: value}), "key").folder.name != name
    }
    assert changed == {"device", "precision"}
    assert FeatureCache(Options(), "another").folder.name != name
    assert FeatureCache(Options(), None).folder is None


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_interrupted_at_any_shard_gives_the_same_bits(
    clip, shared_tree, tmp_path, monkeypatch, stop
):
    """Each batch is a shard. Stop before one, resume, and compare with an uninterrupted run."""
    tree = read_photos(shared_tree)
    add = FeatureCache.add
    calls = []

    def failing(self, keys, features):
        calls.append(1)
        if len(calls) == stop:
            raise RunError("disk full")
        add(self, keys, features)

    with monkeypatch.context() as patch:
        patch.setattr(FeatureCache, "add", failing)
        with pytest.raises(RunError, match="disk full"):
            encode(clip, tree, tmp_path / "stopped", batch_size=4)
    resumed = encode(clip, tree, tmp_path / "stopped", batch_size=4)
    whole = encode(clip, tree, tmp_path / "whole", batch_size=4)
    assert resumed.passes > 0
    assert (resumed.passes < len(tree.photos)) == (stop > 1)
    assert (resumed.features == whole.features).all()


def test_workers_batches_and_company_change_nothing(clip, squeezenet, shared_tree, tmp_path):
    # Python's own state is not compared: beartype draws from it to choose list items for its
    # checks.
    tree = read_photos(shared_tree)
    state = torch.random.get_rng_state()
    alone = encode(clip, tree, tmp_path / "a")
    assert (torch.random.get_rng_state() == state).all()
    encode(load("torchvision:squeezenet1_1", squeezenet), tree, tmp_path / "b", workers=5)
    both = encode(clip, tree, tmp_path / "b", workers=0)
    assert (both.features == alone.features).all()
    few = encode(clip, tree, tmp_path / "c", batch_size=5)
    # other batches, other order of float32 sums
    assert np.allclose(few.features, alone.features, atol=1e-5)
