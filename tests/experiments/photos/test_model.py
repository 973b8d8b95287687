"""The cache key changes with everything that changes a feature; a user's own code has no key."""

import json
import shutil
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from experiments import provenance
from experiments.photos import encoding
from experiments.photos import model as model_module
from experiments.photos.encoding import Runtime
from experiments.photos.model import LoadedModel, feature_key, finished
from experiments.photos.models import load_model
from experiments.photos.scoring import text_features


def copied(tiny_clip, folder, change):
    """A copy of the tiny CLIP with a changed configuration."""
    shutil.copytree(tiny_clip, folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    change(config)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return load_model(f"open_clip:local-dir:{folder}")


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config["model_cfg"]["vision_cfg"].update(head_width=8),
        lambda config: config["model_cfg"]["text_cfg"].update(heads=4),
        lambda config: config["preprocess_cfg"].update(mean=[0.4, 0.5, 0.6 + 1e-12]),
        lambda config: config["preprocess_cfg"].update(interpolation="bilinear"),
        lambda config: config["preprocess_cfg"].update(resize_mode="squash"),
        lambda config: config["model_cfg"].update(quick_gelu=True),
    ],
)
def test_a_configuration_with_the_same_weights_is_another_model(tiny_clip, tmp_path, change):
    one, other = load_model(f"open_clip:local-dir:{tiny_clip}"), copied(tiny_clip, tmp_path / "other", change)
    assert one.settings["weights_hash"] == other.settings["weights_hash"]
    assert one.key != other.key
    assert copied(tiny_clip, tmp_path / "same", lambda config: None).key == one.key is not None


def test_another_tokenizer_gets_another_text(tiny_clip, tmp_path):
    model = load_model(f"open_clip:local-dir:{tiny_clip}")
    shouting = replace(model, tokenizer=lambda texts: model.tokenizer([f"{text} again" for text in texts]))
    phrases = [["an ostrich"], ["a bulbul"]]
    ours, theirs = (text_features(m, phrases, Runtime(cache=tmp_path))[0] for m in (model, shouting))
    assert not np.allclose(ours, theirs, atol=1e-3)
    assert (text_features(model, phrases, Runtime(cache=tmp_path))[0] == ours).all()


def test_every_field_of_a_runtime_is_in_the_key_or_changes_rounding_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "checked_device", lambda name: name)  # another device need not be here
    others = {"device": "meta", "precision": "bf16", "batch_size": 1, "workers": 1, "cache": tmp_path / "other"}
    assert set(others) == {field.name for field in fields(Runtime)}
    one = Runtime(cache=tmp_path)
    name = one.features("key").folder.name
    changed = {
        field for field, value in others.items() if replace(one, **{field: value}).features("key").folder.name != name
    }
    assert changed == {"device", "precision"}
    assert one.features("another").folder.name != name
    assert one.features(None).folder is None


def test_every_library_and_part_is_in_the_key(monkeypatch):
    parts = {"weights_hash": "a", "preprocessing": "b", "kind": "c", "name": "d"}
    keys = [feature_key(parts), *(feature_key({**parts, name: "other"}) for name in parts)]
    assert feature_key(dict(reversed(parts.items()))) == keys[0], "the order of the parts is no part of it"
    for library in model_module.DISTRIBUTIONS:
        with monkeypatch.context() as later:
            later.setattr(provenance, "version", lambda name, new=library: "9.9" if name == new else "1.0")
            keys.append(feature_key(parts))
    with monkeypatch.context() as later:
        later.setattr(model_module, "FORMAT", model_module.FORMAT + 1)
        keys.append(feature_key(parts))
    assert len(set(keys)) == len(keys) == 6 + len(model_module.DISTRIBUTIONS)


def test_every_library_weight_and_part_is_in_the_key(monkeypatch):
    def key(value=0.0):
        module = torch.nn.Linear(3, 2)
        with torch.no_grad():
            module.weight.fill_(1)
            module.bias.fill_(value)
        return finished(LoadedModel("ImageNet", module, module, str, configuration={})).key

    parts = {"weights_hash": "a", "preprocessing": "b", "kind": "c", "name": "d"}
    keys = [feature_key(parts), *(feature_key({**parts, name: "other"}) for name in parts)]
    assert feature_key(dict(reversed(parts.items()))) == keys[0], "the order of the parts is no part of it"
    assert key() == key() is not None
    keys += [key(), key(1e-30)]
    for library in ("torch", "torchvision", "numpy", "pillow", "open_clip_torch", "timm", "transformers", "tokenizers"):
        with monkeypatch.context() as later:
            later.setattr(provenance, "version", lambda name, new=library: "9.9" if name == new else "1.0")
            keys.append(key())
    monkeypatch.setattr(model_module, "FORMAT", 0)  # features of an older format are not read
    keys.append(key())
    assert len(set(keys)) == len(keys) == 5 + 2 + 8 + 1
