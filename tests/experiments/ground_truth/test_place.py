"""p' from predictions: a stranger's own lines agree, and wrong files are refused in one sentence."""

import csv
import io
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.errors import RequestError
from experiments.ground_truth import export as exporting
from experiments.ground_truth import place as placing
from experiments.ground_truth.export import export
from experiments.ground_truth.place import place
from simulator import World
from theory.learners import Bayes

WORLD = World(mu_spu=1.5, sigma_xi=6.0)
ROW = {"learner": "bayes", "prompt": None, "common": 0.9554, "counter": 0.3623}
ROW |= {"equivalent_correlation": 0.9, "shortfall": 0.0}
COUNTS = {"common": (19_000, 20_000), "counter": (8_000, 20_000)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("place") / "data"
    with pytest.MonkeyPatch.context() as patch:  # the truth has a test of its own
        for rows in ("theory_rows", "worded_rows"):
            patch.setattr(exporting, rows, lambda world: [ROW])
        export(WORLD, path, n=10, test_images=1000)
    return path


def answers(data) -> list[tuple[str, int]]:
    """A classifier of the two slowest symmetric waves, from the files alone."""
    i = np.arange(8)
    down = np.tile(np.cos(np.pi * (2 * i + 1) / 16)[:, None], 8)
    rows = []
    for group in ("common", "counter"):
        with tarfile.open(data / f"test-{group}-00000.tar") as archive:
            for name in archive.getnames():
                if name.endswith("png"):
                    picture = np.asarray(Image.open(io.BytesIO(archive.extractfile(name).read())), float)
                    rows.append((name, int((picture[::2, ::2] * down).sum() < 0)))
    return rows


def write(path, rows, header=("file", "prediction")):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_a_strangers_lines_agree(data, tmp_path):
    rows = answers(data)
    labels = {row["file"]: row for row in csv.DictReader((data / "manifest.csv").read_text().splitlines())}
    right = {"common": [], "counter": []}
    for name, answer in rows:
        right[labels[name]["group"]].append(answer == int(labels[name]["label"]))
    common, counter = (np.mean(right[group]) for group in right)
    grid = np.linspace(0.001, 0.999, 999)
    ideal = Bayes().accuracy(WORLD.replace(p_spu=grid))
    regret = grid * (ideal.common - common) + (1 - grid) * (ideal.counter - counter)
    found = place(write(tmp_path / "p.csv", rows), data)
    assert (found.accuracy.common, found.accuracy.counter) == (common, counter)
    assert found.correlation == pytest.approx(grid[regret.argmin()], abs=0.001)
    assert found.shortfall == pytest.approx(regret.min(), abs=1e-5)
    low, high = found.interval
    assert low < found.correlation < high
    assert 0.6 < common < 0.95
    assert found.own == 0.9


def test_counts_of_groups_have_the_same_place_as_a_file(tmp_path):
    path = write(
        tmp_path / "g.csv", [("common", 0.95, 20_000), ("counter", 0.4, 20_000)], ("group", "accuracy", "count")
    )
    assert place(path, world=WORLD).correlation == place(COUNTS, world=WORLD).correlation


def test_all_groups_are_within_their_intervals_together():
    """P(k = n) = .975^.5 at the end of the interval of n right answers: sqrt(.95) per group, and one tail of it."""
    found = place({"common": (100, 100), "counter": (0, 100)}, world=WORLD)
    low, _ = found.accuracy.interval.ends["common"]
    assert low**100 == pytest.approx((1 - 0.95**0.5) / 2)


@pytest.mark.parametrize(
    ("counts", "expected"), [((1000, 0), 1.0), ((0, 1000), 0.0)], ids=["beyond the ideal curve", "below it"]
)
def test_a_drop_beyond_the_ideal_curve_is_said(soberclip, tmp_path, monkeypatch, counts, expected):
    monkeypatch.setattr(placing, "theory_rows", lambda world: [ROW])
    found = place(dict(zip(COUNTS, ((k, 1000) for k in counts), strict=True)), world=WORLD)
    assert (found.correlation, found.beyond) == (expected, True)
    rows = [(group, k / 1000, 1000) for group, k in zip(COUNTS, counts, strict=True)]
    path = write(tmp_path / "g.csv", rows, ("group", "accuracy", "count"))
    run = soberclip("place", path, "--mu-spu", "1.5", "--sigma-xi", "6")
    assert run.status == 0
    assert "than that of every ideal classifier" in run.out
    assert "not that of training or between seeds" in run.out
    assert not place(COUNTS, world=WORLD).beyond


def test_the_command_reads_an_export(soberclip, data, tmp_path):
    run = soberclip("place", write(tmp_path / "p.csv", answers(data)), "--data", data, "--json")
    assert run.status == 0
    document = run.document
    assert document["difference"] == pytest.approx(document["equivalent_correlation"] - 0.9)
    theory = {(row["learner"], row["prompt"]): row["equivalent_correlation"] for row in document["theory"]}
    assert theory["infonce", "name"] == pytest.approx(0.6207, abs=1e-4)
    assert theory["infonce, captions in words", "name"] == pytest.approx(0.6222, abs=2e-3)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: rows[1:], r"lacks 1 of 2000 files, such as 'common-000000000\.png'"),
        (lambda rows: [*rows, rows[0]], "twice"),
        (lambda rows: [*rows, ("mine.png", 0)], "'mine.png', which the manifest lacks"),
        (lambda rows: [(rows[0][0], "bear"), *rows[1:]], "predicts 'bear'"),
        (lambda rows: [], "no rows"),
    ],
)
def test_wrong_files_are_refused(data, tmp_path, change, sentence):
    path = write(tmp_path / "p.csv", change(answers(data)))
    with pytest.raises(RequestError, match=sentence):
        place(path, data)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([("common", 0.9, 10)], "expected the groups common, counter; got common"),
        ([("common", 0.9, 10), ("common", 0.9, 10)], "twice"),
        ([("common", 95, 10), ("counter", 0.9, 10)], "expected a fraction"),
        ([("common", 0.9, 0), ("counter", 0.9, 10)], "at least one image"),
        ([("common", "high", 1), ("counter", 0.9, 10)], "could not convert"),
    ],
)
def test_wrong_accuracies_are_refused(soberclip, tmp_path, rows, sentence):
    path = write(tmp_path / "g.csv", rows, ("group", "accuracy", "count"))
    run = soberclip("place", path, "--mu-spu", "1.5", "--sigma-xi", "6")
    assert run.status == 2
    assert sentence in run.err
    assert run.err.count("\n") == 1


def test_wrong_requests_are_refused(soberclip, data, tmp_path):
    path = write(tmp_path / "p.csv", [("common-000000000.png", 0)], ("file", "answer"))
    for flags, sentence in (
        (["--data", data], "no column 'prediction'"),
        (["--data", tmp_path], "is not a folder that soberclip export wrote"),
        (["--data", data, "--mu-spu", "2"], "leave out --world"),
        ([], "name the folder of an export"),
    ):
        run = soberclip("place", path, *flags)
        assert run.status == 2
        assert sentence in run.err


def test_the_lines_of_the_readme_place_a_classifier_of_the_animal_alone(monkeypatch):
    root = Path(__file__).parents[3]
    monkeypatch.syspath_prepend(root / "experiments" / "command" / "entry")
    (code,) = re.findall(
        r"^```py\n(.*?)^```", (root / "experiments/lab/README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    exec(code, {})
