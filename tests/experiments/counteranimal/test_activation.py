"""The audit finds the activation that labelled the photos, and says so where nothing tells."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from experiments.command.screens.counteranimal import activation_view
from experiments.counteranimal.activation import Audit, difference, fits, nearer, run
from experiments.counteranimal.asking import Asking
from experiments.counteranimal.labels import class_names
from experiments.counteranimal.models import load_model
from experiments.errors import RequestError

FLAGS = {"QuickGELU": "on", "GELU": "off"}


def aligned(clip, flag, images, names):
    """Cosine of each photo with each name, less its mean over the names, in their standard deviations."""
    model = load_model(f"open_clip:local-dir:{clip}", quick_gelu=flag)
    with torch.no_grad():
        I = model.encode_image(torch.stack([model.preprocess(image) for image in images]))
        T = model.encode_text(model.tokenizer([f"A photo of {name}." for name in names]))
    s = (torch.nn.functional.normalize(I, dim=-1) @ torch.nn.functional.normalize(T, dim=-1).T).double()
    return (s - s.mean(1, keepdim=True)) / s.std(1, keepdim=True)


def tree_for(folder, clip, name, photos=48, classes=6):
    """Photos of noise, each in that of six classes to which one activation raises it most above the other."""
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)) for _ in range(photos)]
    names = class_names("open_clip")
    wanted, other = (aligned(clip, FLAGS[n], images, names) for n in (name, *(n for n in FLAGS if n != name)))
    for k, index in enumerate((wanted - other)[:, :classes].argmax(1).tolist()):
        group = folder / "photos" / f"{index} class" / ("common-a" if k % 2 else "counter-b")
        group.mkdir(parents=True, exist_ok=True)
        images[k].save(group / f"{k}.png")
    return folder / "photos"


@pytest.mark.parametrize("name", FLAGS)
def test_the_activation_that_fits_is_found(tmp_path, tiny_clip, name):
    data = tree_for(tmp_path, tiny_clip, name)
    asking = Asking(models=[f"open_clip:local-dir:{tiny_clip}"], cache=tmp_path / "cache", workers=1)
    (document,) = run(Audit(data=data, asking=asking, output=tmp_path / "out"))
    found = document["activations"]
    assert (document["fits"], document["loaded_with"]) == (name, "GELU")
    assert {found[n]["activation"] for n in found} == set(FLAGS)
    assert found[name]["alignment"] == max(found[n]["alignment"] for n in found)
    assert document["difference"]["alignment"]["mean"] == pytest.approx(
        found["QuickGELU"]["alignment"] - found["GELU"]["alignment"]
    )
    assert json.loads((tmp_path / "out" / "activation.json").read_text()) == [document]
    assert document["published"] is None  # weights of nobody's table
    (other,) = set(FLAGS) - {name}
    row = {"model": "CLIP-OpenAI-RN50", "nearer": other, "distance": {"GELU": 0.01, "QuickGELU": 0.02}}
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(activation_view([document | {"published": row}]))
    said = " ".join(console.export_text().split())
    assert f"the weights want {name}" in said
    assert f"CLIP-OpenAI-RN50 lies nearer to {other} (points off: GELU 1.00, QuickGELU 2.00)" in said
    assert f"explained by the other one, not {name}" in said


def test_what_has_no_such_activation_is_refused(tmp_path, shared_tree):
    for spec in ("torchvision:resnet18", "timm:test_resnet.r160_in1k"):
        with pytest.raises(RequestError, match=r"is no CLIP of open_clip: or hf:"):
            run(Audit(data=shared_tree, asking=Asking(models=[spec])))


def test_alignment_decides_unless_accuracy_says_otherwise():
    up, down, neither = {"interval": [0.1, 0.3]}, {"interval": [-0.3, -0.1]}, {"interval": [-0.1, 0.1]}
    assert fits({"alignment": up, "accuracy": neither}) == "QuickGELU"
    assert fits({"alignment": down, "accuracy": {"interval": None}}) == "GELU"
    for alignment, accuracy in ((up, down), (down, up), (neither, up), ({"interval": None}, down)):
        assert fits({"alignment": alignment, "accuracy": accuracy}) is None


def test_no_difference_tells_nothing():
    found = difference(np.zeros(12), 0)
    assert (found["mean"], found["interval"], found["sign_test_p"]) == (0.0, None, 1.0)


def test_the_printed_row_speaks_for_the_nearer_activation():
    printed = {"model": "CLIP-LAION400M-ViT/B/32", "common": 0.6713, "counter": 0.3695}

    def found(common, counter):
        return {"printed": printed, "off_printed": {"common": common - 0.6713, "counter": counter - 0.3695}}

    told = nearer({"GELU": found(0.6710, 0.37), "QuickGELU": found(0.7012, 0.4129)})
    assert (told["model"], told["nearer"]) == (printed["model"], "GELU")
    assert told["distance"]["QuickGELU"] == pytest.approx(np.hypot(0.0299, 0.0434))
    assert nearer({"GELU": found(0.66, 0.36), "QuickGELU": found(0.66, 0.36)})["nearer"] is None
    assert nearer({"GELU": {"off_printed": None}, "QuickGELU": found(0.7, 0.4)}) is None
