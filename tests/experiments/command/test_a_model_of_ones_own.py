"""The lines that the README of photos offers for a model of one's own: they run."""

import re
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

import experiments
from experiments.photos.photos import read_photos

README = Path(experiments.__file__).parent / "counteranimal" / "README.md"
SKELETON, RECIPE = re.findall(
    r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)


def lines(code: str) -> int:
    return len([line for line in code.splitlines() if line.strip()])


def test_the_skeleton_of_a_model_scores_the_example_photos(run, shared_tree, tmp_path):
    assert lines(SKELETON) <= 20
    (tmp_path / "own_towers.py").write_text(SKELETON)
    (tmp_path / "own.py").write_text(
        "def model():\n    print(0)\n    from own_towers import model\n    return model()"
    )
    words = (
        "--data",
        shared_tree,
        "--model",
        f"python:{tmp_path / 'own.py'}",
        "--labels",
        45,
        "--workers",
        0,
    )
    (document,), _ = run(
        "evaluate", *words, "--cache", tmp_path / "cache", "--output", tmp_path / "out", "--json"
    )
    assert document["image_passes"] == len(read_photos(shared_tree).photos)
    assert document["family"] == "yours"
    assert 0 <= document["macro"]["common"] <= 1


def test_the_recipe_writes_a_file_of_embeddings(soberclip, tmp_path, monkeypatch):
    """Its rows are those of the loader, in order, and soberclip embeddings measures the file."""
    assert lines(RECIPE) <= 10
    names: dict = {"prompts": ["a photo of a bear", "a photo of a fox" + 99 * "x"]}
    torch.manual_seed(0)
    exec(SKELETON, names)
    own = names["own"] = names["model"]()
    label = torch.arange(200) % 2
    background = torch.arange(200) // 2 % 2
    background[:40] = label[:40]  # the most frequent background of a class is common
    pixels = (
        torch.rand(200, 3, 32, 32)
        + label[:, None, None, None]
        + background[:, None, None, None] / 2
    )
    names["loader"] = DataLoader(TensorDataset(pixels, label, background), batch_size=64)
    monkeypatch.chdir(tmp_path)
    exec(RECIPE, names)
    arrays = np.load("own.npz")
    with torch.no_grad():
        np.testing.assert_allclose(arrays["image"], own.encode_image(pixels).numpy(), atol=1e-5)
    assert arrays["label"].tolist() == label.tolist()
    assert arrays["background"].tolist() == background.tolist()
    assert arrays["text"].shape == (2, arrays["image"].shape[1])
    assert (arrays["text"][0] != arrays["text"][1]).any()
    document = soberclip("embeddings", "own.npz", "--json").document
    assert document["models"][0]["rows"] == 200
    assert document["models"][0]["heads"][0]["head"] == "zero-shot"
