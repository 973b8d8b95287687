"""A key changes with everything that changes a feature, and what cannot be described has no key."""

import functools
import json
import shutil

import numpy as np
import pytest
import torch
from torchvision import transforms

from experiments.counteranimal import identity
from experiments.counteranimal.encoding import Runtime, encode_photos
from experiments.counteranimal.evaluation import evaluate
from experiments.counteranimal.identity import Undescribed, fingerprint, structure
from experiments.counteranimal.loaded import LoadedModel, finished
from experiments.counteranimal.models import load_model
from experiments.counteranimal.photos.reading import read_tree
from experiments.counteranimal.scoring import text_features
from experiments.errors import RequestError


def pipeline(size=32, mean=0.5, interpolation=transforms.InterpolationMode.BICUBIC):
    parts = [transforms.Resize(size, interpolation), transforms.CenterCrop(32), transforms.ToTensor()]
    return transforms.Compose([*parts, transforms.Normalize([mean] * 3, [0.25] * 3)])


def test_equal_pipelines_have_equal_fingerprints():
    assert fingerprint(pipeline()) == fingerprint(pipeline())
    assert fingerprint(torch.nn.Linear(3, 2)) == fingerprint(torch.nn.Linear(3, 2))  # values are the weights' business


@pytest.mark.parametrize(
    "other",
    [pipeline(33), pipeline(mean=0.5 + 1e-12), pipeline(interpolation=transforms.InterpolationMode.BILINEAR)],
)
def test_any_number_in_a_pipeline_counts(other):
    assert fingerprint(other) != fingerprint(pipeline())


def multihead(heads, dropout=0.0):
    return torch.nn.MultiheadAttention(8, heads, dropout=dropout)


def with_buffer(value):
    module = torch.nn.Linear(3, 2)
    module.register_buffer("mask", torch.full((3,), value), persistent=False)  # in no state_dict
    return module


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (multihead(2), multihead(4)),
        (torch.nn.GELU(), torch.nn.GELU("tanh")),
        (torch.nn.LayerNorm(4), torch.nn.LayerNorm(4, eps=1e-6)),
        (with_buffer(0.0), with_buffer(1.0)),
        (np.arange(3), np.arange(3.0)),
        (functools.partial(max, 1), functools.partial(max, 2)),
        ([1, 2], (1, 2)),
        (1, 1.0),
        (1, True),
        ("1", 1),
        ({"a": 1}, {"a": 2}),
        (torch.relu, torch.sigmoid),
    ],
)
def test_what_differs_is_told_apart(one, other):
    assert fingerprint(one) != fingerprint(other)


class OfMyOwn:
    pass


def of_my_own(image):
    return image


@pytest.mark.parametrize("code", [lambda image: image, of_my_own, OfMyOwn(), torch.Generator(), iter([])])
def test_code_of_unknown_version_is_not_described(code):
    with pytest.raises(Undescribed):
        structure(code)
    with pytest.raises(Undescribed):
        structure(transforms.Compose([code]))


def test_a_patched_model_is_not_described():
    module = torch.nn.Linear(3, 2)
    module.forward = lambda x: -x
    with pytest.raises(Undescribed):
        structure(module)
    hooked = torch.nn.Linear(3, 2)
    hooked.register_forward_hook(lambda *_: None)
    with pytest.raises(Undescribed):
        structure(hooked)


def test_cycles_end():
    ring = [1]
    ring.append(ring)
    assert structure(ring) == ["builtins.list", 1, ["again", 0]]


def test_other_heads_with_the_same_weights_are_another_model(tiny_clip, tiny_config, shared_tree, tmp_path):
    """The configuration is no tensor: 84 of 84 answers were the other model's."""
    folder = tmp_path / "other"
    shutil.copytree(tiny_clip, folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"]["head_width"] = 8
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    one, other = (load_model(f"open_clip:local-dir:{path}") for path in (tiny_clip, folder))
    assert one.settings["weights_hash"] == other.settings["weights_hash"]
    assert one.key != other.key
    tree = read_tree(shared_tree)
    first, second = (encode_photos(tree, m, tmp_path / "cache", Runtime()) for m in (one, other))
    assert second.passes == len(tree.photos)
    ours, theirs = (np.concatenate(list(e.cache.read(list(e.keys.values())))) for e in (first, second))
    assert not np.allclose(ours, theirs, atol=1e-3)


def test_a_library_of_another_version_computes_again(tiny_clip, monkeypatch):
    spec = f"open_clip:local-dir:{tiny_clip}"
    before = load_model(spec).key
    assert load_model(spec).key == before is not None
    monkeypatch.setattr(identity, "version", lambda name: "0.0")
    assert load_model(spec).key not in (before, None)


def test_one_weight_makes_another_model():
    def model(value):
        module = torch.nn.Linear(3, 2)
        with torch.no_grad():
            module.weight.fill_(1)
            module.bias.fill_(value)
        return finished(LoadedModel("m", "ImageNet", module, module, pipeline()))

    assert model(0.0).key == model(0.0).key is not None
    assert model(0.0).key != model(1e-30).key


def test_models_of_every_library_are_described(squeezenet, timm_weights):
    for spec, weights in (("torchvision:squeezenet1_1", squeezenet), ("timm:test_resnet.r160_in1k", timm_weights)):
        assert load_model(spec, weights).key is not None


def bright(sign):
    def preprocess(image):
        return sign * torch.from_numpy(
            np.asarray(image.resize((4, 4)), dtype=np.float32).transpose(2, 0, 1) / 255 - 0.5
        )

    return preprocess


def classifier():
    """Dark pictures are 9, bright ones 16."""
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 1000, bias=False))
    with torch.no_grad():
        module[1].weight.zero_()
        module[1].weight[9] = -1
        module[1].weight[16] = 1
    return module.eval()


def test_two_lambdas_of_opposite_sign_share_nothing(shared_tree, tmp_path):
    """Their repr without addresses was the same."""
    tree, module = read_tree(shared_tree), classifier()
    models = [finished(LoadedModel("m", "ImageNet", module, module, bright(sign))) for sign in (1, -1)]
    assert [m.key for m in models] == [None, None]
    together = [encode_photos(tree, model, tmp_path, Runtime()) for model in models]
    one, other = (np.concatenate(list(e.cache.read(list(e.keys.values())))) for e in together)
    assert (one[:, 9] == -other[:, 9]).all()
    assert encode_photos(tree, models[0], tmp_path, Runtime()).passes == len(tree.photos)  # nothing was kept
    with pytest.raises(RequestError, match="leave cache out"):
        evaluate(module, bright(1), None, tree, cache=tmp_path)
    positive, negative = (evaluate(module, bright(sign), None, tree) for sign in (1, -1))
    assert (positive.predicted != negative.predicted).all()


def test_what_is_not_kept_leaves_no_folder(shared_tree, tmp_path):
    module = classifier()
    model = finished(LoadedModel("m", "ImageNet", module, module, bright(1)))
    encoded = encode_photos(read_tree(shared_tree), model, tmp_path, Runtime())
    assert len(list(tmp_path.iterdir())) == 1
    del encoded
    assert not list(tmp_path.iterdir())


def test_another_tokenizer_gets_another_text(tiny_clip, tmp_path):
    from dataclasses import replace

    model = load_model(f"open_clip:local-dir:{tiny_clip}")
    shouting = replace(model, tokenizer=lambda texts: model.tokenizer([f"{text} again" for text in texts]))
    phrases = [["an ostrich"], ["a bulbul"]]
    ours, theirs = (text_features(m, phrases, Runtime(), tmp_path)[0] for m in (model, shouting))
    assert not np.allclose(ours, theirs, atol=1e-3)
    assert (text_features(model, phrases, Runtime(), tmp_path)[0] == ours).all()
