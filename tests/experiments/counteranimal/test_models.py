"""Loading: activations follow the tag, refusals are one sentence, nothing stored in a file is run."""

import json
import time

import pytest
import torch
from safetensors.torch import load_file, save_file

from experiments.counteranimal.identity import weights_hash
from experiments.counteranimal.models import activations, load_model
from experiments.errors import RequestError


@pytest.fixture(scope="module")
def named_clip(tmp_path_factory, tiny_config):
    """A small architecture under a name of its own, as if open_clip shipped it."""
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
    assert "Traceback" not in text
    return text


def test_unknown_names_get_the_nearest():
    assert "nearest is open_clip:ViT" in spec_error("openclip:ViT")
    assert "'ViT-B-32'" in spec_error("open_clip:ViT-B32/openai")
    assert "nearest is 'laion400m_e3" in spec_error("open_clip:ViT-B-32/laion400m")
    assert "'resnet50'" in spec_error("torchvision:resnet5O")
    assert "nearest is IMAGENET1K_V1" in spec_error("torchvision:resnet50/IMAGENET_V1")
    assert "'resnet50'" in spec_error("timm:resnet5O.a1_in1k")
    assert "a1_in1k" in spec_error("timm:resnet50.a1_in2k")
    assert "config.json" in spec_error("hf:nowhere")


def test_missing_weights_say_what_to_do(tmp_path, tiny_config):
    assert "add a tag (for instance open_clip:ViT-B-32/" in spec_error("open_clip:ViT-B-32")
    assert "pass --weights FILE" in spec_error("timm:resnet18")
    assert "there is no weights file" in spec_error("open_clip:ViT-B-32/openai", weights=tmp_path / "x.pt")
    assert "0 weights files" in spec_error(f"open_clip:local-dir:{folder_without_weights(tmp_path, tiny_config)}")


def folder_without_weights(folder, config):
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    return folder


@pytest.mark.parametrize(
    "spec", ["open_clip:ViT-B-32/laion400m_e31", "timm:test_resnet.r160_in1k", "torchvision:squeezenet1_1"]
)
def test_an_unreachable_hub_is_one_quick_sentence(spec, tmp_path, monkeypatch):
    from experiments.counteranimal import weights

    monkeypatch.setattr(weights, "reachable", lambda host: False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    start = time.monotonic()
    assert "pass it with --weights FILE" in spec_error(spec)
    assert time.monotonic() - start < 20


def refuse(*_, **__):
    raise OSError("no network in this test")


def test_activation_is_the_tags_business(named_clip, tiny_clip, monkeypatch):
    """The same name and file: the tag's configuration decides, the flag overrides it."""
    import open_clip.pretrained as pretrained

    file = tiny_clip / "open_clip_model.safetensors"
    assert load_model(f"open_clip:{named_clip}", file).settings["activation"] == "GELU"
    monkeypatch.setitem(pretrained._PRETRAINED, named_clip, {"quick": {"quick_gelu": True, "mean": (0.1, 0.2, 0.3)}})
    tagged = load_model(f"open_clip:{named_clip}/quick", file)
    assert tagged.settings["activation"] == "QuickGELU"
    assert "mean=[0.1, 0.2, 0.3]" in tagged.settings["preprocessing"].replace("(", "[").replace(")", "]")
    assert load_model(f"open_clip:{named_clip}/quick", file, quick_gelu="off").settings["activation"] == "GELU"
    assert load_model(f"open_clip:{named_clip}", file, quick_gelu="on").settings["activation"] == "QuickGELU"
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plain = load_model(f"open_clip:{named_clip}", file)
    assert not torch.equal(tagged.encode_image(pixels), plain.encode_image(pixels))


def test_real_tags_carry_their_activation():
    from open_clip.pretrained import get_pretrained_cfg

    assert get_pretrained_cfg("ViT-B-32", "laion400m_e31")["quick_gelu"]
    assert not get_pretrained_cfg("ViT-B-32", "laion2b_s34b_b79k").get("quick_gelu", False)


def test_models_come_in_evaluation_mode(tiny_clip, squeezenet):
    assert not load_model(f"open_clip:local-dir:{tiny_clip}").module.training
    assert not load_model("torchvision:squeezenet1_1", squeezenet).module.training


def test_weights_that_do_not_fit_name_the_keys(tiny_clip, squeezenet, timm_weights, tmp_path):
    assert "classifier.1.weight" in spec_error(
        "torchvision:squeezenet1_1", weights=timm_weights
    ) or "more" in spec_error("torchvision:squeezenet1_1", weights=timm_weights)
    assert "do not fit" in spec_error("timm:test_resnet.r160_in1k", weights=squeezenet)
    state = load_file(tiny_clip / "open_clip_model.safetensors")
    state["visual.proj"] = torch.zeros(3, 3)
    save_file(state, tmp_path / "bad.safetensors")
    text = spec_error(f"open_clip:local-dir:{tiny_clip}", weights=tmp_path / "bad.safetensors")
    assert "visual.proj" in text
    (tmp_path / "noise.safetensors").write_bytes(b"noise")
    assert "cannot be read as weights" in spec_error(
        "torchvision:squeezenet1_1", weights=tmp_path / "noise.safetensors"
    )


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_code_in_weights_is_refused(tiny_clip, tmp_path, capsys):
    torch.save({"x": Evil()}, tmp_path / "evil.pt")
    for spec in ("torchvision:squeezenet1_1", "timm:test_resnet.r160_in1k", f"open_clip:local-dir:{tiny_clip}"):
        assert "--trust-pickle" in spec_error(spec, weights=tmp_path / "evil.pt")
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit warns about itself
def test_torchscript_needs_the_flag(tiny_clip, tmp_path):
    model = load_model(f"open_clip:local-dir:{tiny_clip}").module

    class Holder(torch.nn.Module):
        def __init__(self, weights):
            super().__init__()
            for i, (_, value) in enumerate(weights.items()):
                self.register_buffer(f"b{i}", value)

        def forward(self, x):
            return x

    torch.jit.script(Holder(model.state_dict())).save(tmp_path / "script.pt")
    assert "--trust-pickle" in spec_error(f"open_clip:local-dir:{tiny_clip}", weights=tmp_path / "script.pt")


def test_quick_gelu_is_for_clips(squeezenet):
    assert "takes --quick-gelu auto only" in spec_error(
        "torchvision:squeezenet1_1", weights=squeezenet, quick_gelu="on"
    )


def test_hash_is_of_names_and_bytes():
    a, b = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    assert weights_hash(a) != weights_hash(b)
    b.load_state_dict(a.state_dict())
    assert weights_hash(a) == weights_hash(b)
    assert activations(torch.nn.Sequential(a, torch.nn.GELU(), torch.nn.ReLU())) == "GELU+ReLU"
