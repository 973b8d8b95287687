"""One model at a time, loaded only for what is not kept; several processes share the photos of one."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from experiments.counteranimal import asking as asking_module
from experiments.counteranimal.asking import Asking
from experiments.counteranimal.photos.reading import read_tree
from experiments.errors import RequestError, RunError


def forbid(*_, **__):
    pytest.fail("a model was loaded")


def test_a_model_whose_answers_are_kept_is_not_loaded(tiny_clip, shared_tree, tmp_path, monkeypatch):
    tree = read_tree(shared_tree)
    one = Asking(models=[f"open_clip:local-dir:{tiny_clip}"], cache=tmp_path, workers=0)
    first = one.ask(tree, one.model())
    monkeypatch.setattr(asking_module, "load", forbid)
    again = one.ask(tree, one.model())
    assert (first.encoded.passes, again.encoded.passes) == (len(tree.photos), 0)
    assert one.settings(again.model) == one.settings(first.model)
    ours, theirs = (a.score(next(a.encoded.cache.read(list(a.encoded.keys.values())))) for a in (first, again))
    assert (ours == theirs).all()


def test_another_reading_is_another_model(tiny_clip, shared_tree, tmp_path, monkeypatch):
    """QuickGELU, or files that were touched since."""
    folder = shutil.copytree(tiny_clip, tmp_path / "clip")
    spec, loads, load = f"open_clip:local-dir:{folder}", [], asking_module.load
    monkeypatch.setattr(asking_module, "load", lambda *how: loads.append(how) or load(*how))
    for changes in ({}, {"quick_gelu": "on"}, {"quick_gelu": "off"}):
        Asking(models=[spec], cache=tmp_path / "c", workers=0, **changes).model()
    assert len(loads) == 3
    os.utime(folder / "open_clip_config.json", ns=(1, 1))
    Asking(models=[spec], cache=tmp_path / "c", workers=0).model()
    assert len(loads) == 4


def test_a_folder_beside_a_weights_file_is_part_of_what_is_read(tiny_clip, tmp_path, monkeypatch):
    folder, loads, load = shutil.copytree(tiny_clip, tmp_path / "clip"), [], asking_module.load
    weights = shutil.copy(folder / "open_clip_model.safetensors", tmp_path / "w.safetensors")
    monkeypatch.setattr(asking_module, "load", lambda *how: loads.append(how) or load(*how))
    for _ in range(2):
        Asking(models=[f"open_clip:local-dir:{folder}"], weights=[weights], cache=tmp_path / "c", workers=0).model()
    os.utime(folder / "open_clip_config.json", ns=(1, 1))
    Asking(models=[f"open_clip:local-dir:{folder}"], weights=[weights], cache=tmp_path / "c", workers=0).model()
    assert len(loads) == 2


def test_a_model_that_is_no_longer_what_was_remembered_is_refused(tiny_clip, shared_tree, tmp_path):
    spec = f"open_clip:local-dir:{tiny_clip}"
    one = Asking(models=[spec], cache=tmp_path, workers=0)
    one.model()
    (record,) = (tmp_path / "known").iterdir()
    record.write_text(json.dumps(json.loads(record.read_text()) | {"key": "0" * 64}))
    with pytest.raises(RunError, match="has changed since its features were kept"):
        one.ask(read_tree(shared_tree), one.model())
    assert one.ask(read_tree(shared_tree), one.model()).encoded.passes == 32  # run again, as the sentence says
    record.write_text("{")  # a damaged record is no record
    assert one.ask(read_tree(shared_tree), one.model()).encoded.passes == 0


def test_all_models_are_checked_before_the_first_is_loaded(tiny_clip, tmp_path, monkeypatch):
    monkeypatch.setattr(asking_module, "load", forbid)
    good = f"open_clip:local-dir:{tiny_clip}"
    for bad, said in (
        ("open_clip:ViT-B-33/openai", "has no model 'ViT-B-33'"),
        ("open_clip:ViT-B-32/opennai", "has no tag 'opennai'"),
        ("torchvision:resnet51", "has no model 'resnet51'"),
        ("timm:resnet51", "has no model 'resnet51'"),
        ("hf:nowhere", "is no folder with a config.json"),
        ("python:nowhere.py", "there is no Python file 'nowhere.py'"),
        ("keras:x", "does not start with one of"),
    ):
        with pytest.raises(RequestError, match=said):
            Asking(models=[good, bad], cache=tmp_path)
    with pytest.raises(RequestError, match="no model is given"):
        Asking(models=[], cache=tmp_path)


MODEL = """
import numpy
import torch

class Own(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def preprocess(self, image):
        return torch.tensor(numpy.asarray(image.resize((2, 2))), dtype=torch.float32).permute(2, 0, 1)

    {method}

def model():
    return Own()
"""
LOGITS = "def logits(self, x): return torch.nn.functional.one_hot(x.mean((1, 2, 3)).long() % 3, 1000) * self.scale"
TOWERS = """def encode_image(self, x): return x.mean((2, 3)) - 128
    def encode_text(self, ids): return torch.nn.functional.one_hot(ids[:, 0] % 3, 3).float() * self.scale
    def tokenizer(self, texts): return torch.tensor([[len(text)] for text in texts])"""


@pytest.mark.parametrize(("method", "family"), [(LOGITS, "ImageNet"), (TOWERS, "CLIP")])
def test_a_model_of_ones_own_is_a_file(method, family, shared_tree, tmp_path):
    (tmp_path / "own.py").write_text(MODEL.format(method=method))
    one = Asking(models=[f"python:{tmp_path / 'own.py'}"], cache=tmp_path / "c", workers=0)
    tree = read_tree(shared_tree)
    asked = one.ask(tree, one.model())
    assert asked.model.family == family
    assert len(asked.encoded.keys) == len(tree.photos)
    assert asked.score(next(asked.encoded.cache.read(list(asked.encoded.keys.values())))).shape == (32, 1000)


def test_an_object_that_hides_its_weights_is_not_kept(shared_tree, tmp_path):
    """Two nets of one architecture behind a plain object had one key, and the second got the first one's features."""
    code = (
        "import torch, numpy\nfrom types import SimpleNamespace as S\nfrom torchvision.transforms import v2\n"
        "torch.manual_seed({seed})\nnet = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 1000))\n"
        "look = v2.Compose([v2.Resize((2, 2)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])\n"
        "def model(): return S(preprocess=look, logits=net)\n"
    )
    answers = []
    for seed in (1, 2):
        (tmp_path / "own.py").write_text(code.format(seed=seed))
        one = Asking(models=[f"python:{tmp_path / 'own.py'}"], cache=tmp_path / "c", workers=0)
        asked = one.ask(read_tree(shared_tree), one.model())
        assert (asked.model.key, asked.encoded.passes) == (None, 32)
        answers.append(next(asked.encoded.cache.read(list(asked.encoded.keys.values()))))
    assert (answers[0] != answers[1]).any()


def test_a_file_that_is_no_model(tmp_path):
    for text, said in (
        ("x = 1", "defines no model"),
        ("def model(): return 3", "is a int without preprocess, encode_image, encode_text, tokenizer"),
        ("def model(): raise ValueError('no disk')", "failed with ValueError: no disk"),
        ("def model(: pass", "failed with SyntaxError"),
    ):
        (tmp_path / "own.py").write_text(text)
        with pytest.raises(RequestError, match=said):
            Asking(models=[f"python:{tmp_path / 'own.py'}"], cache=tmp_path).model()


def command(*arguments):
    return [sys.executable, "-m", "experiments", "counteranimal", "evaluate", *map(str, arguments)]


@pytest.mark.deep
def test_a_run_that_was_killed_goes_on(shared_tree, tiny_clip, squeezenet, tmp_path):
    """kill -9 while the second model encodes: the first is finished, and neither is passed again."""
    clip = f"open_clip:local-dir:{tiny_clip}"
    arguments = [
        "--data", shared_tree, "--model", clip, "--model", "torchvision:squeezenet1_1", "--weights", "-", "--weights",
        squeezenet, "--workers", 0, "--batch-size", 1, "--cache", tmp_path / "c", "--output", tmp_path / "out",
        "--json",
    ]  # fmt: skip
    process = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while time.monotonic() < end and not list((tmp_path / "out").glob("*/summary.json")):
        time.sleep(0.02)
    process.kill()
    process.communicate()
    again = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=240)
    first, second = json.loads(again.stdout)
    assert first["image_passes"] == 0
    whole = subprocess.run(
        command(*arguments[:-5], "--cache", tmp_path / "d", "--output", tmp_path / "whole", "--json"),
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert [d["macro"] for d in (first, second)] == [d["macro"] for d in json.loads(whole.stdout)]
