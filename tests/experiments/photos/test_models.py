"""Models: their own libraries' scores, cache keys, refusals of one sentence; code stored in a file
does not run.
"""

import json
import shutil
import time
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from experiments import provenance
from experiments.errors import RequestError, SoberclipError
from experiments.photos import model as model_module
from experiments.photos.model import LoadedModel, feature_key, finished
from experiments.photos.models import load, resolve, score
from experiments.photos.options import Options
from experiments.photos.photos import read_photos

TIMM = "timm:test_resnet.r160_in1k"
SIZE = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
WORDS = [
    "[PAD]",
    "[UNK]",
    "[BOS]",
    "[EOS]",
    "a",
    "photo",
    "of",
    "the",
    ".",
    "cat",
    "dog",
    "house",
    "tree",
]
LABELS = [
    "cat",
    "dog",
    "the house",
    "tree of the house",
    "dog of a cat of a house of a tree of a dog",
]
TEXT = {**SIZE, "vocab_size": len(WORDS), "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
VISION = {**SIZE, "image_size": 32, "patch_size": 8}
ROBERTA = {
    "project_dim": 16,
    "pooler_fn": "cls",
    "max_position_embeddings": 80,
    "type_vocab_size": 1,
}


def tokenizer(masked):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("[BOS]", 2), ("[EOS]", 3)]
    words.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=ends
    )
    special = {f"{name.lower()}_token": f"[{name}]" for name in ("PAD", "UNK", "BOS", "EOS")}
    names = ["input_ids", "attention_mask"] if masked else ["input_ids"]
    return PreTrainedTokenizerFast(tokenizer_object=words, model_input_names=names, **special)


def processor():
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(size={"height": 32, "width": 32}, do_center_crop=False)


def saved(folder, family):
    """A tiny saved model of a family of transformers, with tokenizer and image processor."""
    import transformers as t

    own = {
        "siglip": {"max_position_embeddings": 64, "projection_size": 16},
        "chinese_clip": {"type_vocab_size": 1},
        "altclip": ROBERTA,
    }
    size = {} if family == "siglip" else {"projection_dim": 8}
    text = {**TEXT, "max_position_embeddings": 77, **own.get(family, {})}
    config = t.AutoConfig.for_model(family, text_config=text, vision_config=VISION, **size)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = t.AutoModelForZeroShotImageClassification.from_config(config).eval()
        # initial weights are so small that all texts are nearly one
        for name, value in module.named_parameters():
            if value.ndim > 1 and "text" in name:
                torch.nn.init.normal_(value, std=0.3)
    module.save_pretrained(folder)
    tokenizer(family != "siglip").save_pretrained(folder)
    processor().save_pretrained(folder)
    return module


@pytest.mark.parametrize(
    "family", ["clip", "metaclip_2", "clipseg", "siglip", "chinese_clip", "altclip"]
)
def test_scores_are_those_of_transformers_pipeline(tmp_path, family):
    from transformers import pipeline

    module = saved(tmp_path, family)
    rng = np.random.default_rng(0)
    photos = [Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)) for _ in range(3)]
    model = load(f"hf:{tmp_path}")
    prompts = [f"A photo of {label}." for label in LABELS]
    with torch.no_grad():
        pixels = torch.stack([model.preprocess(photo) for photo in photos])
        I = torch.nn.functional.normalize(model.encode_image(pixels), dim=-1)
        T = torch.nn.functional.normalize(model.encode_text(model.tokenizer(prompts)), dim=-1)
        each = torch.cat([model.encode_text(model.tokenizer([prompt])) for prompt in prompts])
        # padding changes nothing
        torch.testing.assert_close(torch.nn.functional.normalize(each, dim=-1), T)
        logits = module.logit_scale.exp() * I @ T.T + getattr(module, "logit_bias", torch.zeros(()))
    expected = logits.sigmoid() if family == "siglip" else logits.softmax(-1)
    words = tokenizer(family != "siglip")
    images = processor()
    ask = pipeline(
        "zero-shot-image-classification", module, tokenizer=words, image_processor=images
    )
    for row, photo in zip(expected, photos, strict=True):
        found = {
            one["label"]: one["score"]
            for one in ask(photo, LABELS, hypothesis_template="A photo of {}.")
        }
        np.testing.assert_allclose([found[label] for label in LABELS], row, atol=1e-5)
    assert float(torch.cdist(T, T).max()) > 0.1


def spec_error(spec, file=None):
    with pytest.raises(RequestError) as caught:
        load(spec, file)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_all_models_are_checked_before_the_first_is_loaded(tiny_clip):
    """`resolve` loads none; an unknown name gets the nearest."""
    for bad, words in (
        ("openclip:ViT", "open_clip:ViT"),
        ("open_clip:ViT-B32/openai", "'ViT-B-32'"),
        ("open_clip:ViT-B-32/laion400m", "laion400m_e3"),
        ("open_clip:ViT-B-32", "add a tag (openai"),
        ("torchvision:resnet5O", "'resnet50'"),
        ("torchvision:resnet50/IMAGENET_V1", "IMAGENET1K_V1"),
        ("timm:resnet5O.a1_in1k", "'resnet50'"),
        ("timm:resnet50.a1_in2k", "a1_in1k"),
        ("timm:resnet18", "pass --weights FILE"),
        ("hf:nowhere", "config.json"),
        ("python:nowhere.py", "nowhere.py"),
    ):
        with pytest.raises(RequestError) as refused:
            resolve([f"open_clip:local-dir:{tiny_clip}", bad], None, Options())
        assert words in str(refused.value)
    with pytest.raises(RequestError, match="no model is given"):
        resolve([], None, Options())
    specs = resolve(["published:CLIP-LAION400M-ViT/B/32", "torchvision:resnet50"], None, Options())
    assert specs == [("open_clip:ViT-B-32/laion400m_e31", None), ("torchvision:resnet50", None)]


@pytest.mark.parametrize(
    "spec", ["open_clip:ViT-B-32/laion400m_e31", TIMM, "torchvision:squeezenet1_1", "hf:nobody/x"]
)
def test_a_hub_that_does_not_answer_is_not_waited_for(spec, tmp_path, monkeypatch):
    """Its client would retry for a minute; afterwards it may be asked again. torchvision's files
    are not there.
    """
    from huggingface_hub import constants

    waits = []
    way_out = "pass the folder of its files" if spec.startswith("hf:") else "--weights FILE"
    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(
        "urllib.request.urlopen", MagicMock(side_effect=OSError("no network in this test"))
    )
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # the port that discards
    silent = "http://127.0.0.1:9 does not answer, and not all of its files are in the cache"
    for offline, words in ((True, "without a network set HF_HUB_OFFLINE=1, or "), (False, silent)):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        text = spec_error(spec)
        assert way_out in text
        assert words in text or spec.startswith("torchvision:")
        assert constants.HF_HUB_OFFLINE is offline
    assert not waits


def test_the_tag_decides_the_activation(tiny_config, tiny_clip, tmp_path, monkeypatch):
    """Name and file are the same. The tag's configuration decides, the flag overrides it."""
    import open_clip
    from open_clip import pretrained

    name = "tiny-named"  # a small architecture, as if open_clip shipped it
    (tmp_path / f"{name}.json").write_text(json.dumps(tiny_config))
    open_clip.add_model_config(tmp_path / f"{name}.json")
    file = tiny_clip / "open_clip_model.safetensors"
    plain = load(f"open_clip:{name}", file)
    assert plain.settings["activation"] == "GELU"
    monkeypatch.setitem(
        pretrained._PRETRAINED, name, {"quick": {"quick_gelu": True, "mean": (0.1, 0.2, 0.3)}}
    )
    tagged = load(f"open_clip:{name}/quick", file)
    assert tagged.settings["activation"] == "QuickGELU"
    assert "mean=[0.1, 0.2, 0.3]" in tagged.settings["preprocessing"].replace("(", "[").replace(
        ")", "]"
    )
    for tag, choice, activation in (("/quick", "off", "GELU"), ("", "on", "QuickGELU")):
        model = load(f"open_clip:{name}{tag}", file, Options(quick_gelu=choice))
        assert model.settings["activation"] == activation
    assert not tagged.module.training
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(tagged.encode_image(pixels), plain.encode_image(pixels))


def test_weights_that_do_not_fit_name_the_keys(tiny_clip, squeezenet, timm_weights, tmp_path):
    assert "features.0.weight" in spec_error("torchvision:squeezenet1_1", timm_weights)
    assert "do not fit" in spec_error(TIMM, squeezenet)
    assert "x.pt" in spec_error("open_clip:ViT-B-32/openai", tmp_path / "x.pt")
    assert "--weights does not go with hf:" in spec_error("hf:a/b", squeezenet)
    state = load_file(tiny_clip / "open_clip_model.safetensors")
    state["visual.proj"] = torch.zeros(3, 3)
    save_file(state, tmp_path / "bad.safetensors")
    assert "visual.proj" in spec_error(
        f"open_clip:local-dir:{tiny_clip}", tmp_path / "bad.safetensors"
    )
    folder = shutil.copytree(tiny_clip, tmp_path / "damaged")
    (folder / "open_clip_model.safetensors").write_bytes(b"noise")
    text = spec_error(f"open_clip:local-dir:{folder}")
    assert ("cannot be loaded" in text, "network" in text) == (True, False), "the folder is here"
    assert folder.name in spec_error(
        "torchvision:squeezenet1_1", folder / "open_clip_model.safetensors"
    )


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_code_in_weights_runs_with_the_flag_alone(tiny_clip, timm_weights, tmp_path, capsys):
    torch.save({"state_dict": load_file(timm_weights), "note": Evil()}, tmp_path / "evil.pt")
    for spec in ("torchvision:squeezenet1_1", TIMM, f"open_clip:local-dir:{tiny_clip}"):
        assert "--trust-pickle" in spec_error(spec, tmp_path / "evil.pt")
    assert "must not run" not in capsys.readouterr().out
    trusted = load(TIMM, tmp_path / "evil.pt", Options(trust_pickle=True))
    assert trusted.settings["weights_hash"] == load(TIMM, timm_weights).settings["weights_hash"]
    assert "must not run" in capsys.readouterr().out


def test_a_folder_without_some_weights_is_refused(tmp_path):
    """transformers fills missing weights with random numbers, so two loads would disagree; half
    ones become single.
    """
    folder = tmp_path / "clip"
    saved(folder, "clip").half().save_pretrained(folder)
    first = load(f"hf:{folder}")
    assert {value.dtype for value in first.module.parameters()} == {torch.float32}
    assert first.key == load(f"hf:{folder}").key is not None
    state = load_file(folder / "model.safetensors")
    lost = {name: value for name, value in state.items() if name != "visual_projection.weight"}
    for state in (lost, {**lost, "visual_projection.weight": torch.zeros(3, 3)}):
        save_file(state, folder / "model.safetensors", {"format": "pt"})
        assert "first visual_projection.weight" in spec_error(f"hf:{folder}")
    (folder / "model.safetensors").write_bytes(b"noise")
    assert spec_error(f"hf:{folder}").startswith(f"hf:{folder} cannot be loaded")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "resnet"}))
    assert "'resnet'" in spec_error(f"hf:{folder}")
    (folder / "config.json").write_text("{")
    assert spec_error(f"hf:{folder}").startswith(f"hf:{folder} cannot be loaded")


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_training_checkpoints(timm_weights, tmp_path, key):
    """Names may have the prefixes of wrappers; the running mean of the weights has precedence."""
    state = load_file(timm_weights)
    name, value = next(iter(state.items()))
    wrapped = {f"_orig_mod.module.{name}": value for name, value in state.items()}
    averaged = {
        name: value * 2 if value.is_floating_point() else value for name, value in state.items()
    }
    for more, factor in (({}, 1), ({f"{key}_ema": averaged}, 2)):
        torch.save({key: wrapped, "epoch": 3, **more}, tmp_path / "checkpoint.pth")
        assert torch.equal(
            load(TIMM, tmp_path / "checkpoint.pth").module.state_dict()[name], factor * value
        )


CHANGES = [  # of a configuration whose weights stay
    lambda config: None,
    lambda config: config["model_cfg"]["vision_cfg"].update(head_width=8),
    lambda config: config["preprocess_cfg"].update(mean=[0.4, 0.5, 0.6 + 1e-12]),
    lambda config: config["model_cfg"].update(quick_gelu=True),
]


def test_a_configuration_with_the_same_weights_is_another_model(tiny_clip, tmp_path):
    models = [load(f"open_clip:local-dir:{tiny_clip}")]
    for number, change in enumerate(CHANGES):
        folder = shutil.copytree(tiny_clip, tmp_path / str(number))
        config = json.loads((folder / "open_clip_config.json").read_text())
        change(config)
        (folder / "open_clip_config.json").write_text(json.dumps(config))
        models.append(load(f"open_clip:local-dir:{folder}"))
    assert len({model.settings["weights_hash"] for model in models}) == 1
    keys = [model.key for model in models]
    assert keys[0] == keys[1] is not None
    assert len(set(keys)) == len(CHANGES)


def test_every_library_weight_and_part_is_in_the_key(monkeypatch):
    def key(value=0.0):
        module = torch.nn.Linear(3, 2)
        with torch.no_grad():
            module.weight.fill_(1)
            module.bias.fill_(value)
        return finished(LoadedModel("ImageNet", module, module, str, configuration={})).key

    parts = {"weights_hash": "a", "preprocessing": "b", "kind": "c", "name": "d"}
    keys = [feature_key(parts), *(feature_key({**parts, name: "other"}) for name in parts)]
    assert feature_key(dict(reversed(parts.items()))) == keys[0], (
        "the order of the parts is no part of it"
    )
    assert key() == key() is not None
    keys += [key(), key(1e-30)]
    for library in (
        "torch",
        "torchvision",
        "numpy",
        "pillow",
        "open_clip_torch",
        "timm",
        "transformers",
        "tokenizers",
    ):
        with monkeypatch.context() as later:
            later.setattr(
                provenance, "version", lambda name, new=library: "9.9" if name == new else "1.0"
            )
            keys.append(key())
    monkeypatch.setattr(model_module, "FORMAT", 0)  # features of an older format are not read
    keys.append(key())
    assert len(set(keys)) == len(keys) == 5 + 2 + 8 + 1


MODEL = """
import numpy
import torch

class Own(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def preprocess(self, image):
        small = numpy.asarray(image.resize((2, 2)))
        return torch.tensor(small, dtype=torch.float32).permute(2, 0, 1)

    {method}

def model():
    return Own()
"""
LOGITS = (
    "def logits(self, x): return torch.nn.functional.one_hot(x.mean((1, 2, 3)).long() % 3, 1000) *"
    " self.scale"
)
TOWERS = """def encode_image(self, x): return x.mean((2, 3)) - 128
    def encode_text(self, ids):
        return torch.nn.functional.one_hot(ids[:, 0] % 3, 3).float() * self.scale
    def tokenizer(self, texts): return torch.tensor([[len(text)] for text in texts])"""


def own(folder, text):
    """The specification of a model of one's own, with the text of its file."""
    (folder / "own.py").write_text(text)
    return f"python:{folder / 'own.py'}"


@pytest.mark.parametrize(("method", "family"), [(LOGITS, None), (TOWERS, "CLIP"), (TOWERS, "mine")])
def test_a_model_of_ones_own_is_a_file(method, family, shared_tree, tmp_path):
    """Its family is what it says, whatever its methods are; without a word it is "yours"."""
    words = "" if family is None else f"family = {family!r}\n\n    "
    model = load(own(tmp_path, MODEL.format(method=words + method)))
    assert model.family == (family or "yours")
    for _ in range(2):
        scored = score(read_photos(shared_tree), model, Options())
        assert scored.scores.shape == (32, 1000)
        assert scored.passes == 32  # a user's code is not cached


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("resize((2, 2))", "resize((2, 3)) if image.width % 2 else image", "different shapes"),
        (
            "image.resize((2, 2))",
            "image.size",
            "none of the 32 photos .*preprocess.. of .* failed with .*Error",
        ),
        ("x.mean((2, 3))", "x.mean((5, 3))", "encode_image.. of .* failed with IndexError"),
        ("x.mean((2, 3)) - 128", "x.mean()", "shape .. for 32 photos"),
        ("x.mean((2, 3)) - 128", "x.mean((2, 3))[:, :2]", "photos in 2 dimensions and texts in 3"),
        ("ids[:, 0]", "ids[:, 9]", "encode_text.. of .* failed with IndexError"),
        ("len(text)", "len(3)", "tokenizer.. of .* failed with TypeError"),
        ("def model():", "def another():", "KeyError: 'model'"),
        ("return Own()", "return 3", "needs preprocess, encode_image, encode_text, tokenizer"),
        ("return Own()", "raise ValueError('no disk')", "line [0-9]+: ValueError: no disk"),
        ("def model():", "def model(:", "line [0-9]+: SyntaxError"),
        ("def preprocess", "family = 3\n\n    def preprocess", "is 3; expected a word"),
    ],
)
def test_an_error_in_a_users_model_is_one_sentence(old, new, words, shared_tree, tmp_path):
    text = MODEL.format(method=TOWERS)
    assert old in text
    spec = own(tmp_path, text.replace(old, new))
    with pytest.raises(SoberclipError, match=words) as caught:
        score(read_photos(shared_tree), load(spec), Options())
    assert "\n" not in str(caught.value)
