"""Exported worlds: pictures that keep the law, captions in words, files that other libraries load,
and resumption.
"""

import csv
import gc
import io
import json
import os
import re
import signal
import tarfile

import numpy as np
import pytest
from PIL import Image
from reference import latents_of
from stattest import assert_mean, assert_scale, mean_size, seeds_for

from experiments.errors import RequestError
from experiments.ground_truth import export as exporting
from experiments.ground_truth.export import export, size_of
from experiments.ground_truth.pictures import levels_per_unit, pixels, png, templates
from experiments.ground_truth.sentences import sentence
from simulator import World
from simulator.accuracy import won
from theory.binned_captions import NONE, BinnedCaptions
from theory.learners import Bayes

WORLD = World(mu_spu=1.5, sigma_xi=6.0, bare=0.2, mention_spu=0.7)
# two full shards: a stream drawn twice gives equal pictures
SIZES = {"n": 250, "seed": 3, "test_images": 220}
FLAGS = ("--mu-spu", 1.5, "--sigma-xi", 6)
ROW = {"learner": "bayes", "prompt": None, "common": 0.9554, "counter": 0.3623}
ROW |= {"equivalent_correlation": 0.9, "shortfall": 0.0, "interval95": None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small export in shards of 100."""
    path = tmp_path_factory.mktemp("export") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "SHARD", 100)
        export(WORLD, path, **SIZES)
    return path


@pytest.fixture
def quick(monkeypatch):
    """Without the theory, which takes half a minute per export."""
    for name, value in (
        ("theory_rows", lambda _: []),
        ("worded_rows", lambda _: []),
        ("_readme", lambda *_: ""),
    ):
        monkeypatch.setattr(exporting, name, value)
    monkeypatch.setattr(exporting, "SHARD", 100)


def members(path):
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def test_templates_are_orthonormal_symmetric_and_smooth():
    D = templates(20)
    assert pytest.approx(np.eye(20), abs=1e-12) == D.T @ D
    pictures = D.T.reshape(-1, 8, 8)
    assert pictures == pytest.approx(pictures[:, :, ::-1], abs=1e-12)
    assert np.abs(np.diff(pictures[:2], axis=1)).max() < 0.1


def test_eight_bits_cost_a_matched_filter_less_than_two_thousandths():
    rng = np.random.default_rng(0)
    n = 20_000
    levels = levels_per_unit(np.diag([2.0, 2.5]), 0.5625)
    assert levels == 32
    for background in (1, -1):
        z = [1, 1.5 * background] + rng.normal(size=(n, 2)) * [1, 0.5]
        x = z @ templates(2).T + 0.75 * rng.normal(size=(n, 64))
        shown, clipped = pixels(x, levels)
        assert clipped < 1e-4
        before, after = (
            won(Bayes().scores(WORLD, y)).mean()
            for y in (x @ templates(2), latents_of(shown, levels, 2))
        )
        assert abs(before - after) < 0.002
    assert (np.asarray(Image.open(io.BytesIO(png(shown[0])))) == shown[0]).all()
    x = np.zeros((1, 64))
    x[0, :4] = -129, -128, 127, 128  # in grey levels, from the middle at 128
    shown, clipped = pixels(x, 1.0)
    assert clipped == 2 / 64
    assert shown[0, 0, ::2].tolist() == [0, 0, 255, 255, 128, 128, 128, 128]


def test_captions_have_the_law_that_the_optimum_assumes():
    """The share of every caption, from the exact law. As many captions in shards would take minutes
    to read.
    """
    words = BinnedCaptions(WORLD)
    sizes, shades = np.divmod(np.arange(30), 6)
    kinds = np.stack([np.full(30, NONE), sizes, shades - 1], axis=1)  # a shade of -1 is omitted
    expected = (
        0.8
        * np.where(kinds[:, 2] == NONE, 0.3, 0.7)
        * (np.exp(words.log_shares(kinds)) @ words.mixture.weights)
    )
    expected = np.append(expected, [0.1, 0.1])
    _, captions, labels, _ = exporting._pairs(words, 0, "test", mean_size(0.2))
    kinds = np.concatenate([kinds, words.bare(np.arange(2))])
    assert expected.sum() == pytest.approx(1, abs=1e-9)
    assert_mean((captions[:, None] == kinds).all(axis=-1), expected, effect=0.25, what="captions")
    bare = captions[:, 0] != NONE
    assert (captions[bare, 0] == labels[bare]).all()


def test_three_classes_are_told_by_one_size_each():
    told = sentence(World(classes=3, dim_image=64), np.array([NONE, 4, 0, 1, 2, 3, 0]))
    assert told == "a photo of a huge bear tiny fox small cat on grey snow light grass black sand"


def test_files_are_as_the_manifest_says(folder):
    assert size_of(WORLD, 250, 220) > 0
    train = [members(folder / f"train-0000{i}.tar") for i in range(3)]
    assert [len(part) for part in train] == [300, 300, 150]
    assert len({name for part in train for name in part}) == 750
    assert set(json.loads(train[0]["000000000.json"])) == {"label", "background"}
    assert train[0]["000000000.txt"].decode().startswith("a photo of a ")
    rows = list(csv.DictReader((folder / "manifest.csv").read_text().splitlines()))
    tests = {}
    for path in folder.glob("test-*.tar"):
        tests |= members(path)
    assert len(rows) == 440
    pictures = [
        content
        for part in (*train, tests)
        for file, content in part.items()
        if file.endswith("png")
    ]
    assert len(set(pictures)) == len(pictures) == 250 + 440, "every shard has pictures of its own"
    for row in rows:
        facts = json.loads(tests[row["file"].replace("png", "json")])
        assert (str(facts["label"]), facts["group"]) == (row["label"], row["group"])
        assert (facts["label"] == facts["background"]) == (row["group"] == "common")
    bytes_ = sum(path.stat().st_size for path in folder.glob("*.tar"))
    assert json.loads((folder / "export.json").read_text())["bytes"] == bytes_
    readme = (folder / "README.txt").read_text()
    prompts = json.loads((folder / "prompts.json").read_text())
    assert "0.9554   0.3623   0.9000" in readme
    assert "train-{00000..00002}.tar" in readme
    assert "--train-num-samples 50 " in readme
    assert "--warmup 0 " in readme  # of five steps in all
    assert re.search(
        r"1000 equally likely values,\s+with an error of 0.05, need up to 9.8 more", readme
    )
    assert prompts["bare"] == ["a photo of a bear", "a photo of a fox"]
    assert prompts["object"] == ["a photo of a large animal", "a photo of a small animal"]
    longest = json.loads((folder / "model/open_clip_config.json").read_text())["model_cfg"][
        "text_cfg"
    ]
    # a photo of a large animal on grey ground, with a start and an end
    assert longest["context_length"] == 11


# webdataset leaves them to the collector
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_webdataset_loads_it(folder):
    import webdataset

    files = [str(path) for path in sorted(folder.glob("train-*.tar"))]
    rows = list(
        webdataset.WebDataset(files, shardshuffle=False)
        .decode("pil")
        .to_tuple("png", "txt", "json")
    )
    assert len(rows) == 250
    picture, caption, facts = rows[0]
    assert picture.size == (16, 16)
    assert caption.startswith("a photo")
    assert facts.keys() == {"label", "background"}
    gc.collect()


def test_a_started_export_resumes_and_any_other_folder_is_refused(folder, tmp_path, quick):
    assert json.loads((folder / "export.json").read_text())["bytes"] == size_of(WORLD, 250, 220), (
        "foretold to the byte"
    )
    lost = folder / "train-00001.tar"
    kept = folder / "train-00000.tar"
    content = lost.read_bytes()
    written = kept.stat().st_mtime_ns
    lost.unlink()
    export(WORLD, folder, **SIZES)
    assert lost.read_bytes() == content
    assert kept.stat().st_mtime_ns == written
    with pytest.raises(RequestError, match="seed is 3 there and 4 here"):
        export(WORLD, folder, **{**SIZES, "seed": 4})
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RequestError, match="holds no export"):
        export(WORLD, tmp_path, **SIZES)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    export(WORLD, tmp_path / "shorter", **{**SIZES, "n": 200})
    assert (tmp_path / "shorter" / "train-00001.tar").read_bytes() == content


def test_every_test_image_counts_once_in_the_fraction_of_clipped_values(
    tmp_path, monkeypatch, quick
):
    """Shards have 100 images and 20; here all values of the shorter ones are clipped."""
    monkeypatch.setattr(
        exporting, "pixels", lambda x, levels: (pixels(x, levels)[0], float(len(x) == 20))
    )
    assert export(WORLD, tmp_path / "data", n=1, test_images=120)["clipped"] == pytest.approx(
        20 / 120
    )


@pytest.mark.deep
def test_an_export_that_was_killed_resumes_to_the_same_bytes(folder, tmp_path, quick):
    """SIGKILL leaves half a shard under a temporary name. The next run removes it and writes the
    same files.
    """
    data = tmp_path / "data"
    whole = exporting.png
    left = [170]

    def png(picture):
        left[0] -= 1
        return whole(picture) if left[0] else os.kill(os.getpid(), signal.SIGKILL)

    if (child := os.fork()) == 0:
        exporting.png = png
        export(WORLD, data, **SIZES)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert (data / "train-00000.tar").exists()
    assert not (data / "train-00001.tar").exists()
    record = json.loads((folder / "export.json").read_text())
    document = export(WORLD, data, **SIZES)
    assert document["loss"] == record["loss"]
    skip = {"README.txt", "export.json"}  # without theory here
    ours, theirs = ({p.name: p for p in path.iterdir() if p.is_file()} for path in (data, folder))
    assert set(ours) == set(theirs)
    assert all(ours[name].read_bytes() == theirs[name].read_bytes() for name in set(ours) - skip)


@pytest.mark.deep
def test_the_error_of_the_loss_is_the_scatter_between_exports(tmp_path, monkeypatch, quick):
    """An error four times too large or too small is found."""
    monkeypatch.setattr(exporting, "BATCH", 24)
    factor = 4
    freedom = exporting.BATCHES - 1
    seeds = range(seeds_for(factor, freedom))
    found = [export(WORLD, tmp_path / str(seed), n=1, seed=seed, test_images=1) for seed in seeds]
    loss, error = np.array([[one["loss"], one["loss_error"]] for one in found]).T
    assert_scale(loss, error, factor=factor, freedom=freedom, what="loss")


def test_the_command_names_its_size_and_every_prompt(soberclip, tmp_path, monkeypatch):
    """Where some captions omit the background, the animal's phrase alone is a prompt, too."""
    for rows, prompt in (("theory_rows", "name"), ("worded_rows", "object")):
        monkeypatch.setattr(
            exporting, rows, lambda world, prompt=prompt: [ROW | {"prompt": prompt}]
        )
    run = soberclip("export", *FLAGS, "--n", 20, "--test-images", 5, "-o", tmp_path / "data")
    assert (run.status, "GB" in run.err, "no background" in run.out) == (0, True, True)


@pytest.fixture
def without_theory(soberclip, tmp_path, monkeypatch):
    """(an export in shards of 20 whose theory must not be computed, its command)."""
    monkeypatch.setattr(exporting, "SHARD", 20)
    words = (
        "export",
        *FLAGS,
        "--bare",
        ".2",
        "--n",
        30,
        "--test-images",
        40,
        "-o",
        tmp_path / "data",
    )
    with monkeypatch.context() as patch:
        for rows in ("theory_rows", "worded_rows"):
            patch.setattr(exporting, rows, lambda world: pytest.fail("the theory was computed"))
        run = soberclip(*words, "--no-theory")
    assert run.status == 0
    assert "--no-theory" in run.out
    return tmp_path / "data", words


def test_place_works_without_the_theory_which_a_second_export_adds(
    soberclip, without_theory, tmp_path, monkeypatch
):
    folder, words = without_theory
    said = (folder / "README.txt").read_text()
    assert (
        "p' and r of the learners are missing, since this folder was exported with --no-theory"
        in said
    )
    # of 40 images
    wrong = {"common": 2, "counter": 24}
    lines = ["file,prediction"]
    for row in csv.DictReader((folder / "manifest.csv").read_text().splitlines()):
        wrong[row["group"]] -= 1
        lines.append(f"{row['file']},{int(row['label']) ^ (wrong[row['group']] >= 0)}")
    (tmp_path / "p.csv").write_text("\n".join(lines))
    placed = soberclip("place", tmp_path / "p.csv", "--data", folder, "--json").document
    assert placed["theory"] is None
    assert [one["accuracy"] for one in placed["groups"]] == [0.95, 0.4]
    assert 0.8 < placed["equivalent_correlation"] < 1
    assert "The theory is missing" in " ".join(
        soberclip("place", tmp_path / "p.csv", "--data", folder).out.split()
    )

    pictures = {file.name: file.stat().st_mtime_ns for file in folder.glob("*.tar")}
    for rows in ("theory_rows", "worded_rows"):
        monkeypatch.setattr(exporting, rows, lambda world: [ROW])
    assert soberclip(*words).status == 0
    assert {file.name: file.stat().st_mtime_ns for file in folder.glob("*.tar")} == pictures
    assert json.loads((folder / "export.json").read_text())["theory"] == [ROW, ROW]
    assert "--no-theory" not in (folder / "README.txt").read_text()


def test_the_lines_of_its_readme_load_every_pair_in_plain_pytorch(without_theory, monkeypatch):
    folder, _ = without_theory
    readme = (folder / "README.txt").read_text()
    (code,) = re.findall(
        r"^import glob, json, tarfile\nimport numpy.*?(?=^TO )", readme, re.DOTALL | re.MULTILINE
    )
    monkeypatch.chdir(folder)
    names: dict = {}
    exec(code, names)
    assert names["images"].shape == (30, 1, 16, 16)
    assert 0.1 < names["images"].std() < 3
    assert len(names["captions"]) == len(names["labels"]) == 30
    known = members(folder / "train-00000.tar") | members(folder / "train-00001.tar")
    for i, (grey, caption, label) in enumerate(names["pairs"]):
        key = f"{i:09d}"
        assert caption == known[f"{key}.txt"].decode()
        assert label == json.loads(known[f"{key}.json"])["label"]
        assert (grey[0].numpy() == np.asarray(Image.open(io.BytesIO(known[f"{key}.png"])))).all()
