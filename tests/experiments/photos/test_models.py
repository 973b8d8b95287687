"""Loading: activations follow the tag, errors are one sentence, code stored in a file does not run."""

import json
import shutil
import time

import pytest
import torch
from safetensors.torch import load_file, save_file

from experiments.errors import RequestError
from experiments.photos.models import load_model
from tests.experiments.photos.test_transformers_models import saved

TIMM = "timm:test_resnet.r160_in1k"


@pytest.fixture(scope="module")
def named_clip(tmp_path_factory, tiny_config):
    """A small architecture with its own name, as if open_clip shipped it."""
    import open_clip

    folder = tmp_path_factory.mktemp("configs")
    (folder / "tiny-named.json").write_text(json.dumps(tiny_config))
    open_clip.add_model_config(folder / "tiny-named.json")
    return "tiny-named"


def spec_error(spec, **arguments):
    with pytest.raises(RequestError) as caught:
        load_model(spec, **arguments)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("spec", "said"),
    [
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
    ],
)
def test_unknown_names_get_the_nearest(spec, said):
    assert said in spec_error(spec)


@pytest.mark.parametrize(
    ("spec", "way_out"),
    [
        ("open_clip:ViT-B-32/laion400m_e31", "--weights FILE"),
        ("timm:test_resnet.r160_in1k", "--weights FILE"),
        ("torchvision:squeezenet1_1", "--weights FILE"),
        ("hf:nobody/has-this", "HF_HUB_OFFLINE=1"),
    ],
)
def test_an_unreachable_hub_is_one_sentence(spec, way_out, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network in this test")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    assert way_out in spec_error(spec)


@pytest.mark.parametrize("spec", ["open_clip:ViT-B-32/laion400m_e31", "timm:test_resnet.r160_in1k", "hf:nobody/x"])
def test_a_hub_that_does_not_answer_is_not_waited_for(spec, monkeypatch):
    """Its client would retry for a minute; afterwards it may be asked again."""
    from huggingface_hub import constants

    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # the port that discards
    assert "http://127.0.0.1:9 does not answer, and not all of its files are in the cache; pass" in spec_error(spec)
    assert not waits
    assert constants.HF_HUB_OFFLINE is False


def test_the_tag_decides_the_activation(named_clip, tiny_clip, monkeypatch):
    """Name and file are the same. The tag's configuration decides, the flag overrides it."""
    import open_clip.pretrained as pretrained

    file = tiny_clip / "open_clip_model.safetensors"
    assert load_model(f"open_clip:{named_clip}", file).settings["activation"] == "GELU"
    monkeypatch.setitem(pretrained._PRETRAINED, named_clip, {"quick": {"quick_gelu": True, "mean": (0.1, 0.2, 0.3)}})
    tagged = load_model(f"open_clip:{named_clip}/quick", file)
    assert tagged.settings["activation"] == "QuickGELU"
    assert "mean=[0.1, 0.2, 0.3]" in tagged.settings["preprocessing"].replace("(", "[").replace(")", "]")
    assert load_model(f"open_clip:{named_clip}/quick", file, quick_gelu="off").settings["activation"] == "GELU"
    assert load_model(f"open_clip:{named_clip}", file, quick_gelu="on").settings["activation"] == "QuickGELU"
    assert not tagged.module.training
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plain = load_model(f"open_clip:{named_clip}", file)
    assert not torch.equal(tagged.encode_image(pixels), plain.encode_image(pixels))


def test_weights_that_do_not_fit_name_the_keys(tiny_clip, squeezenet, timm_weights, tmp_path):
    assert "features.0.weight" in spec_error("torchvision:squeezenet1_1", weights=timm_weights)
    assert "do not fit" in spec_error("timm:test_resnet.r160_in1k", weights=squeezenet)
    assert "--quick-gelu" in spec_error("torchvision:squeezenet1_1", weights=squeezenet, quick_gelu="on")
    assert "x.pt" in spec_error("open_clip:ViT-B-32/openai", weights=tmp_path / "x.pt")
    state = load_file(tiny_clip / "open_clip_model.safetensors")
    state["visual.proj"] = torch.zeros(3, 3)
    save_file(state, tmp_path / "bad.safetensors")
    assert "visual.proj" in spec_error(f"open_clip:local-dir:{tiny_clip}", weights=tmp_path / "bad.safetensors")
    folder = shutil.copytree(tiny_clip, tmp_path / "damaged")
    (folder / "open_clip_model.safetensors").write_bytes(b"noise")
    text = spec_error(f"open_clip:local-dir:{folder}")
    assert ("cannot be loaded" in text, "network" in text) == (True, False), "the folder is here"
    assert folder.name in spec_error("torchvision:squeezenet1_1", weights=folder / "open_clip_model.safetensors")


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_code_in_weights_is_refused(tiny_clip, tmp_path, capsys):
    torch.save({"x": Evil()}, tmp_path / "evil.pt")
    for spec in ("torchvision:squeezenet1_1", "timm:test_resnet.r160_in1k", f"open_clip:local-dir:{tiny_clip}"):
        assert "--trust-pickle" in spec_error(spec, weights=tmp_path / "evil.pt")
    assert "must not run" not in capsys.readouterr().out


def test_code_in_weights_runs_with_the_flag(timm_weights, tmp_path, capsys):
    torch.save({"state_dict": load_file(timm_weights), "note": Evil()}, tmp_path / "evil.pt")
    trusted = load_model(TIMM, tmp_path / "evil.pt", trust_pickle=True)
    assert trusted.settings["weights_hash"] == load_model(TIMM, timm_weights).settings["weights_hash"]
    assert "must not run" in capsys.readouterr().out


def test_a_folder_without_some_weights_is_refused(tmp_path):
    """transformers fills missing weights with random numbers, so two loads would disagree."""
    folder = tmp_path / "clip"
    saved(folder, "clip")
    assert load_model(f"hf:{folder}").key == load_model(f"hf:{folder}").key is not None
    state = load_file(folder / "model.safetensors")
    lost = {name: value for name, value in state.items() if name != "visual_projection.weight"}
    save_file(lost, folder / "model.safetensors", metadata={"format": "pt"})
    assert "first visual_projection.weight" in spec_error(f"hf:{folder}")
    save_file({**lost, "visual_projection.weight": torch.zeros(3, 3)}, folder / "model.safetensors", {"format": "pt"})
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
    averaged = {name: value * 2 if value.is_floating_point() else value for name, value in state.items()}
    for more, factor in (({}, 1), ({f"{key}_ema": averaged}, 2)):
        torch.save({key: wrapped, "epoch": 3, **more}, tmp_path / "checkpoint.pth")
        assert torch.equal(load_model(TIMM, tmp_path / "checkpoint.pth").module.state_dict()[name], factor * value)
