"""One model at a time; all are checked before the first is loaded, and cached features are not computed again."""

from itertools import product

import pytest
from PIL import Image

from experiments.errors import RequestError, SoberclipError
from experiments.photos import model_config
from experiments.photos.model_config import ModelConfig
from experiments.photos.photos import read_photos


def forbid(*_, **__):
    pytest.fail("a model was loaded")


def test_all_models_are_checked_before_the_first_is_loaded(tiny_clip, tmp_path, monkeypatch):
    monkeypatch.setattr(model_config, "load", forbid)
    good = f"open_clip:local-dir:{tiny_clip}"
    for bad in (
        "open_clip:ViT-B-33/openai",
        "torchvision:resnet51",
        "timm:resnet51",
        "hf:nowhere",
        "python:nowhere.py",
    ):
        with pytest.raises(RequestError, match=bad.partition(":")[2].partition("/")[0]):
            ModelConfig(models=[good, bad], cache=tmp_path)
    with pytest.raises(RequestError, match="no model is given"):
        ModelConfig(models=[], cache=tmp_path)


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


@pytest.mark.parametrize(("method", "said"), [(LOGITS, None), (TOWERS, "CLIP"), (TOWERS, "mine")])
def test_a_model_of_ones_own_is_a_file(method, said, shared_tree, tmp_path):
    """Its family is what it says, whatever its methods are; without a word it is "yours"."""
    text = MODEL.format(method=method if said is None else f"family = {said!r}\n\n    {method}")
    (tmp_path / "own.py").write_text(text)
    config = ModelConfig(models=[f"python:{tmp_path / 'own.py'}"], cache=tmp_path / "c", workers=0)
    model = config.load()
    assert model.family == (said or "yours")
    for _ in range(2):
        scored = config.run(read_photos(shared_tree), model)
        assert scored.scores.shape == (32, 1000)
        assert scored.encoded.passes == 32  # a user's code is not cached


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("resize((2, 2))", "resize((2, 3)) if image.width % 2 else image", "different shapes"),
        ("image.resize((2, 2))", "image.size", "none of the 32 photos .*preprocess.. of .* failed with .*Error"),
        ("x.mean((2, 3))", "x.mean((5, 3))", "encode_image.. of .* failed with IndexError"),
        ("x.mean((2, 3)) - 128", "x.mean()", "shape .. for 32 photos"),
        ("x.mean((2, 3)) - 128", "x.mean((2, 3))[:, :2]", "photos in 2 dimensions and texts in 3"),
        ("ids[:, 0]", "ids[:, 9]", "encode_text.. of .* failed with IndexError"),
        ("len(text)", "len(3)", "tokenizer.. of .* failed with TypeError"),
    ],
)
def test_an_error_in_a_users_model_is_one_sentence(old, new, said, shared_tree, tmp_path):
    text = MODEL.format(method=TOWERS)
    assert old in text
    (tmp_path / "own.py").write_text(text.replace(old, new))
    config = ModelConfig(models=[f"python:{tmp_path / 'own.py'}"], cache=tmp_path / "c", workers=0)
    with pytest.raises(SoberclipError, match=said) as caught:
        config.run(read_photos(shared_tree), config.load())
    assert "\n" not in str(caught.value)


SURE = """def logits(self, x):
        s = x.mean((1, 2, 3)) - 128
        return torch.stack([s, 0 * s], dim=1)"""


def test_a_model_without_spread_is_scored_and_later_models_run(tmp_path, run):
    """Logits of two labels are one number per photo, so there are no other heads and no curve."""
    for index, (name, shade) in enumerate((("saw", 200), ("teacup", 50))):
        for group, i in product(("common", "counter"), range(8)):
            file = tmp_path / "photos" / name / f"{group}-{group}" / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4), (shade + i, shade, shade + index)).save(file)
    (tmp_path / "classes.csv").write_text("class,name\nsaw,hand saw\nteacup,\n")
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(MODEL.format(method=SURE))
    models = (part for name in ("one", "two") for part in ("--model", f"python:{tmp_path / name}.py"))
    words = ("evaluate", "--data", tmp_path / "photos", *models, "--classes", tmp_path / "classes.csv")
    words += ("--cache", tmp_path / "cache", "--workers", 0, "--output", tmp_path / "out")
    documents, _ = run(*words, "--json")
    assert len(documents) == 2
    for document in documents:
        assert document["equivalent"] is None
        assert "the scores of two labels are one number per photo" in document["equivalent_lacks"]
        assert document["macro"] == {"common": 1.0, "counter": 1.0, "drop": 0.0}
        assert document["intervals"]["macro"]["common"] == pytest.approx([0.025 ** (1 / 16), 1])  # 16 of 16
    screen, _ = run(*words)
    for said in ("one number per photo", "2 classes are too few to resample", "100.00 % of 8 photos"):
        assert said in " ".join(screen.split())


def test_a_file_without_a_model(tmp_path):
    for text, said in (
        ("x = 1", "KeyError: 'model'"),
        ("def model(): return 3", "needs preprocess, encode_image, encode_text, tokenizer"),
        ("def model(): raise ValueError('no disk')", "ValueError: no disk"),
        ("def model(: pass", "SyntaxError"),
        (MODEL.format(method=f"family = 3\n\n    {LOGITS}"), "is 3; expected a word"),
    ):
        (tmp_path / "own.py").write_text(text)
        with pytest.raises(RequestError, match=said):
            ModelConfig(models=[f"python:{tmp_path / 'own.py'}"], cache=tmp_path).load()


def test_a_row_of_table_3_is_loaded_by_its_checkpoint():
    config = ModelConfig(models=["published:CLIP-LAION400M-ViT/B/32", "torchvision:resnet50"])
    assert config.specs == ("open_clip:ViT-B-32/laion400m_e31", "torchvision:resnet50")
