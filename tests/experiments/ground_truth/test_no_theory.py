"""An export without the theory, and the lines of README.txt that load its pairs in plain PyTorch."""

import io
import json
import re
import tarfile

import numpy as np
import pytest
from PIL import Image

from experiments.ground_truth import export as exporting

WORLD = ("--mu-spu", "1.5", "--sigma-xi", "6", "--bare", ".2")
SIZES = ("--n", 30, "--test-images", 40)
ROW = {"learner": "bayes", "prompt": None, "common": 0.9554, "counter": 0.3623}
ROW |= {"equivalent_correlation": 0.9, "shortfall": 0.0, "interval95": None}


@pytest.fixture
def folder(soberclip, tmp_path, monkeypatch):
    """An export in shards of 20 whose theory must not be computed."""
    monkeypatch.setattr(exporting, "SHARD", 20)
    with monkeypatch.context() as patch:
        for rows in ("theory_rows", "worded_rows"):
            patch.setattr(exporting, rows, lambda world: pytest.fail("the theory was computed"))
        run = soberclip("export", *WORLD, *SIZES, "--no-theory", "-o", tmp_path / "data")
    assert run.status == 0
    assert "--no-theory" in run.out
    return tmp_path / "data"


def test_place_works_without_the_theory_which_a_second_export_adds(soberclip, folder, tmp_path, monkeypatch):
    said = (folder / "README.txt").read_text()
    assert "p' and r of the learners are missing, since this folder was exported with --no-theory" in said
    with (folder / "manifest.csv").open() as file:
        rows = [line.strip().split(",") for line in file][1:]
    wrong = {"common": 2, "counter": 24}  # of 40 images
    lines = ["file,prediction"]
    for name, label, group in rows:
        wrong[group] -= 1
        lines.append(f"{name},{int(label) ^ (wrong[group] >= 0)}")
    (tmp_path / "p.csv").write_text("\n".join(lines))
    placed = soberclip("place", tmp_path / "p.csv", "--data", folder, "--json").document
    assert placed["theory"] is None
    assert [one["accuracy"] for one in placed["groups"]] == [0.95, 0.4]
    assert 0.8 < placed["equivalent_correlation"] < 1
    run = soberclip("place", tmp_path / "p.csv", "--data", folder)
    assert run.status == 0
    assert f"{placed['equivalent_correlation']:.3f}" in run.out
    assert "points short" in run.out
    assert "The theory is missing" in " ".join(run.out.split())

    pictures = {file.name: file.stat().st_mtime_ns for file in folder.glob("*.tar")}
    for rows in ("theory_rows", "worded_rows"):
        monkeypatch.setattr(exporting, rows, lambda world: [ROW])
    assert soberclip("export", *WORLD, *SIZES, "-o", folder).status == 0
    assert {file.name: file.stat().st_mtime_ns for file in folder.glob("*.tar")} == pictures
    assert json.loads((folder / "export.json").read_text())["theory"] == [ROW, ROW]
    assert "--no-theory" not in (folder / "README.txt").read_text()


def test_the_lines_of_its_readme_load_every_pair_in_plain_pytorch(folder, monkeypatch):
    (code,) = re.findall(
        r"^import glob, json, tarfile\nimport numpy.*?(?=^TO )",
        (folder / "README.txt").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    monkeypatch.chdir(folder)
    names: dict = {}
    exec(code, names)
    assert names["images"].shape == (30, 1, 16, 16)
    assert 0.1 < names["images"].std() < 3
    assert len(names["captions"]) == len(names["labels"]) == 30
    known = {}
    for path in sorted(folder.glob("train-*.tar")):
        with tarfile.open(path) as archive:
            known |= {member.name: archive.extractfile(member).read() for member in archive}
    for i, (pixels, caption, label) in enumerate(names["pairs"]):
        key = f"{20 * (i // 20) + i % 20:09d}"
        assert caption == known[f"{key}.txt"].decode()
        assert label == json.loads(known[f"{key}.json"])["label"]
        assert (pixels[0].numpy() == np.asarray(Image.open(io.BytesIO(known[f"{key}.png"])))).all()
