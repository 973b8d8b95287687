"""Failures between photos and scores end in a count or in one sentence; wrong features are not cached."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerator import present

from experiments.errors import RequestError, RunError
from experiments.photos import encoding
from experiments.photos.encoding import Runtime, encode_photos
from experiments.photos.evaluation import evaluate
from experiments.photos.labels import imagenet, own_classes
from experiments.photos.model import LoadedModel
from experiments.photos.models import load_model
from experiments.photos.photos import read_photos
from experiments.photos.predictions import right
from experiments.photos.scoring import NO_ANSWER, confusing_space, predict, score_photos, text_features


def small(image):
    return torch.from_numpy(np.asarray(image.resize((8, 8)), dtype=np.float32).transpose(2, 0, 1) / 255)


def answers(pixels, labels=1000, broken=lambda pixels: pixels.mean(dim=(1, 2, 3)) < 0.5):
    """Predict class 9 for every photo; scores of broken ones are nan, or one is infinite."""
    logits = torch.zeros(len(pixels), labels)
    logits[:, 9] = 1
    lost = broken(pixels).nonzero()[:, 0]
    logits[lost] = float("nan")
    logits[lost[::2]] = torch.where(torch.arange(labels) == labels // 100, torch.inf, 0.0)
    return logits


def test_photos_with_nan_scores_count_as_wrong(shared_tree):
    found = evaluate(answers, small, None, shared_tree)
    lost = found.predicted_index == NO_ANSWER
    assert 0 < lost.sum() < len(lost)
    assert not right(found)[lost].any()
    assert (found["rank"][lost] == 1000).all()
    assert np.isnan(found.margin[lost]).all()
    with pytest.raises(RunError, match="no finite score for any of 32 photos"):
        evaluate(lambda pixels: answers(pixels, broken=lambda p: p.mean((1, 2, 3)) > -1), small, None, shared_tree)
    tree, model = read_photos(shared_tree), LoadedModel("ImageNet", torch.nn.Identity(), answers, small)
    scored = score_photos(tree, model, imagenet(), (), Runtime())
    for space, last in ((own_classes([9, 10, 16, 30]), 4), (confusing_space(scored), 20)):
        again = predict(scored, space)
        assert (again.predicted_index[lost] == NO_ANSWER).all()
        assert (again["rank"][lost] >= last).all()
        assert (again.predicted_index[~lost] != NO_ANSWER).all()
        assert all(9 in labels for labels in space.allowed.values())


def test_nan_features_are_not_cached(tiny_clip, shared_tree, tmp_path):
    """The key is the same the second time, so only unwritten features are computed again."""
    clip = load_model(f"open_clip:local-dir:{tiny_clip}")
    tree = read_photos(shared_tree)
    encode = clip.encode_image

    def first_is_nan(pixels):
        return encode(pixels).index_fill(0, torch.tensor([0]), float("nan"))

    broken = replace(clip, encode_image=first_is_nan)
    first = encode_photos(tree, broken, Runtime(cache=tmp_path))
    assert np.isnan(first.features[0]).all()
    assert np.isfinite(first.features[1:]).all()
    second = encode_photos(tree, clip, Runtime(cache=tmp_path))
    assert second.passes == 1
    assert np.isfinite(second.features).all()


def test_a_name_without_a_finite_embedding_is_a_failure(tiny_clip, tmp_path):
    clip = load_model(f"open_clip:local-dir:{tiny_clip}")
    with torch.no_grad():
        clip.module.token_embedding.weight[:] = float("nan")
    with pytest.raises(RunError, match="no finite embedding for 2 of 2 labels, the first is 'ostrich'"):
        text_features(clip, [["ostrich"], ["bulbul"]], Runtime(cache=tmp_path))
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("labels", [10, 1001])
def test_scores_of_another_number_are_refused(labels, shared_tree):
    """Once, 1001 scores were read without a shift, and 10 scores were an IndexError."""
    with pytest.raises(RequestError, match=rf"scores of shape \({labels},\) per photo.* 1000"):
        evaluate(lambda pixels: torch.zeros(len(pixels), labels), small, None, shared_tree)


class Moved:
    """A CLIP of two matrices, which `to` moves as a module's weights."""

    def __init__(self):
        rng = torch.Generator().manual_seed(0)
        self.image, self.text = torch.randn(3, 4, generator=rng), torch.randn(7, 4, generator=rng)

    def to(self, device):
        self.image, self.text = self.image.to(device), self.text.to(device)

    def encode_image(self, pixels):
        return pixels.mean(dim=(2, 3)) @ self.image

    def encode_text(self, ids):
        return self.text[ids].mean(dim=1)


def lengths(phrases):
    return torch.tensor([[len(phrase) % 7, 1] for phrase in phrases])


def test_photos_and_prompts_are_encoded_on_another_device(shared_tree, monkeypatch):
    """Photos and tokens move to the device, features back; an operation on two devices would raise."""
    loader, tree, found = encoding.DataLoader, read_photos(shared_tree), {}
    monkeypatch.setattr(encoding, "DataLoader", lambda *a, pin_memory, **k: loader(*a, **k))  # pinning needs a GPU
    with present(monkeypatch):
        for device in ("cpu", "cuda"):
            module, runtime = Moved(), Runtime(device)
            model = LoadedModel("CLIP", module, module.encode_image, small, module.encode_text, lengths)
            text, _ = text_features(model, [["ostrich", "bird"], ["bear"]], runtime)
            found[device] = [encode_photos(tree, model, runtime).features, text]
            assert module.image.device.type == device
    for near, far in zip(*found.values(), strict=True):
        np.testing.assert_allclose(near, far, rtol=1e-6)


def die(image):
    if torch.utils.data.get_worker_info() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return small(image)


def test_a_killed_decoding_process_is_one_sentence(shared_tree):
    with pytest.raises(RunError, match=r"decoding process ended early.* fewer --workers than 1"):
        evaluate(lambda pixels: answers(pixels), die, None, shared_tree, runtime=Runtime(workers=1))


class Heavy(torch.nn.Module):
    def to(self, *_):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_memory_that_ends_before_the_first_batch_is_one_sentence(shared_tree, tmp_path):
    model = LoadedModel("ImageNet", Heavy(), answers, small)
    with pytest.raises(RunError, match="cpu ran out of memory at --batch-size 1; try --device cpu"):
        encode_photos(read_photos(shared_tree), model, Runtime(batch_size=1, cache=tmp_path))
