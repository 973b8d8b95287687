"""p' from predictions: answers counted by hand agree, and wrong files are refused in one
sentence.
"""

import csv
import io
import json
import re
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from reference import latents_of
from scipy.integrate import quad
from scipy.stats import norm

from experiments.ground_truth import export as exporting
from experiments.ground_truth import truth
from experiments.ground_truth.export import RECORD, export
from experiments.ground_truth.place import place
from simulator import World
from simulator.accuracy import Accuracy
from tests.experiments.ground_truth.test_export import FLAGS, ROW, members
from theory import learners
from theory.ideal_curve import equivalent

WORLD = World(mu_spu=1.5, sigma_xi=6.0)
COUNTS = {"common": (19_000, 20_000), "counter": (8_000, 20_000)}
FILES = ("file", "prediction")
GROUPED = ("group", "accuracy", "count")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("place") / "data"
    with pytest.MonkeyPatch.context() as patch:  # the truth has a test of its own
        for rows in ("theory_rows", "worded_rows"):
            patch.setattr(exporting, rows, lambda world: [ROW])
        export(WORLD, path, n=10, test_images=1000)
    return path


def pictures_of(path: Path) -> list[tuple[str, np.ndarray]]:
    files = members(path).items()
    return [
        (name, np.asarray(Image.open(io.BytesIO(content))))
        for name, content in files
        if name.endswith("png")
    ]


def answers(data: Path) -> list[tuple[str, int]]:
    """A classifier of the slowest wave alone, from the files."""
    down = np.tile(np.cos(np.pi * (2 * np.arange(8) + 1) / 16)[:, None], 8)
    paths = [data / f"test-{group}-00000.tar" for group in ("common", "counter")]
    return [
        (name, int((picture[::2, ::2].astype(float) * down).sum() < 0))
        for path in paths
        for name, picture in pictures_of(path)
    ]


def write(path, rows, header=FILES):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_the_place_is_that_of_answers_that_are_counted_by_hand(data, tmp_path):
    own = answers(data)
    right = Counter()
    for row in csv.DictReader((data / "manifest.csv").read_text().splitlines()):
        right[row["group"]] += dict(own)[row["file"]] == int(row["label"])
    world = World(**tomllib.loads((data / "world.toml").read_text()))
    found = place(write(tmp_path / "p.csv", own), data)
    assert found == place({group: (n, 1000) for group, n in right.items()}, world=world)
    assert found.interval[0] < found.correlation < found.interval[1]
    assert 0.05 < found.correlation < 0.95
    assert found.own == 0.9


@pytest.mark.deep
@pytest.mark.parametrize(
    "fields",
    [
        {"classes": 3, "mu_inv": 2.0, "mu_spu": 2.5},
        {"table": [[0.35, 0.15], [0.1, 0.4]], "mu_spu": 1.5},
        {"table": [[0.3, 0.1, 0.0], [0.2, 0.2, 0.2]], "mu_spu": 1.5},
    ],
    ids=["three classes", "table", "three groups"],
)
def test_a_classifier_of_the_animal_comes_to_its_place_in_other_worlds(
    tmp_path, monkeypatch, fields
):
    """Nearest template of the animal, on the files; theory has the group accuracies of this linear
    rule.
    """
    monkeypatch.setattr(exporting, "_loss", lambda *_: (0.0, 0.0))
    world = World(**fields, sigma_xi=6.0)
    n = 1000
    levels = export(world, tmp_path / "data", n=10, test_images=n, theory=False)["grey_levels"]
    pictures = {
        name: picture
        for path in tmp_path.glob("data/test-*.tar")
        for name, picture in pictures_of(path)
    }
    z = latents_of(np.stack([*pictures.values()]), levels, world.latents)
    score = z[:, : world.class_count] if world.class_count > 2 else z[:, :1] * [1, -1]
    path = write(tmp_path / "p.csv", zip(pictures, score.argmax(axis=1), strict=True))
    found = place(path, tmp_path / "data")
    a = world.mu_inv / np.sqrt(world.sigma_inv**2 + world.nu_image)
    own = quad(lambda t: norm.pdf(t) * norm.cdf(t + a) ** (world.class_count - 1), -9, 9)[0]
    expected = own if world.class_count > 2 else norm.cdf(a)
    for accuracy in found.accuracy:
        assert accuracy == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(n))
    p = equivalent(world, Accuracy.of([expected] * len(found.counts))).correlation
    if len(found.counts) == 2:
        assert found.interval[0] < p < found.interval[1]
    else:
        assert found.correlation == pytest.approx(p, abs=0.05)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((1000, 0), 1.0), ((0, 1000), 0.0)],
    ids=["beyond the ideal curve", "below it"],
)
def test_a_drop_beyond_the_ideal_curve_is_said(counts, expected):
    found = place(dict(zip(COUNTS, ((k, 1000) for k in counts), strict=True)), world=WORLD)
    assert (found.correlation, found.beyond) == (expected, True)
    assert not place(COUNTS, world=WORLD).beyond


# every background is usual for its class
ONE_GROUP = World(table=[[0.25, 0.25], [0.25, 0.25]], sigma_xi=6.0)


def test_a_table_whose_images_have_one_group_has_a_place(soberclip, tmp_path):
    """There is no drop, so p' has no number; r is what Bayes' rule has more."""
    found = place({"common": (700, 1000)}, world=ONE_GROUP)
    assert np.isnan([found.correlation, *found.interval]).all()
    assert not found.beyond
    bayes = learners.named("bayes").accuracy(ONE_GROUP)
    assert found.shortfall == pytest.approx(bayes.common - 0.7, abs=2e-3)
    (tmp_path / "t.csv").write_text(".25,.25\n.25,.25\n")
    path = write(tmp_path / "g.csv", [("common", 0.7, 1000)], GROUPED)
    printed, document = (
        soberclip("place", path, "--table", tmp_path / "t.csv", "--sigma-xi", "6", *flag)
        for flag in ((), ("--json",))
    )
    assert "p′ is not determined: all images are common, so there is no drop" in printed.out
    assert document.document["equivalent_correlation"] is None


def test_without_a_background_p_is_not_determined(soberclip, tmp_path):
    found = place({"common": (900, 1000), "counter": (500, 1000)}, world=World(mu_spu=0.0))
    assert np.isnan(found.correlation)
    assert not found.beyond
    # .57 * 100 < 57
    path = write(tmp_path / "g.csv", [("common", 0.9, 100), ("counter", 0.57, 100)], GROUPED)
    document = soberclip("place", path, "--mu-spu", "0", "--json").document
    assert document["groups"][1]["accuracy"] == 0.57
    assert document["equivalent_correlation"] is document["difference"] is None
    assert len(document["interval95"]["equivalent_correlation"]) == 2


def test_a_drop_between_common_and_unseen_images_is_compared_with_theirs():
    """Each class has one background, so there are no counter images."""
    world = World(table=[[0.5, 0.0], [0.0, 0.5]], mu_spu=1.5, sigma_xi=6.0)
    inside = place({"common": (900, 1000), "unseen": (500, 1000)}, world=world)
    assert not inside.beyond
    assert 0 < inside.correlation < 1
    assert place({"common": (1000, 1000), "unseen": (0, 1000)}, world=world).beyond


def test_theory_of_captions_in_words_is_that_of_the_world():
    """That of latents is on the golden screen."""
    rows = {(row["learner"], row["prompt"]): row for row in truth.worded_rows(WORLD)}
    low, high = rows["infonce, captions in words", "name"]["interval95"]
    assert low - 5e-5 < 0.6222 < high + 5e-5 < low + 0.003


@pytest.mark.parametrize(
    ("header", "change", "part"),
    [
        (FILES, lambda rows: rows[1:], "lacks 1 of 2000 files, such as 'common-000000000.png'"),
        (FILES, lambda rows: [*rows, rows[0]], "twice"),
        (FILES, lambda rows: [*rows, ("mine.png", 0)], "'mine.png'"),
        (FILES, lambda rows: [(rows[0][0], "bear"), *rows[1:]], "'bear'"),
        (FILES, lambda rows: [(rows[0][0], 2), *rows[1:]], "predicts '2'"),
        (FILES, lambda rows: [], "no rows"),
        (("file", "answer"), lambda rows: rows[:1], "no column 'prediction'"),
        (
            GROUPED,
            lambda _: [("common", 0.9, 10)],
            "expected the groups common, counter; got common",
        ),
        (GROUPED, lambda _: [("common", 0.9, 10), ("common", 0.9, 10)], "twice"),
        (GROUPED, lambda _: [("common", 95, 10), ("counter", 0.9, 10)], "95"),
        (GROUPED, lambda _: [("common", 0.9, 0), ("counter", 0.9, 10)], "count '0' in line 2"),
        (
            GROUPED,
            lambda _: [("common", "high", 1), ("counter", 0.9, 10)],
            "accuracy 'high' in line 2",
        ),
        (
            GROUPED,
            lambda _: [("common", 0.9, 10), ("counter", 0.9, "1e1")],
            "count '1e1' in line 3",
        ),
    ],
)
def test_wrong_files_are_refused(soberclip, data, tmp_path, header, change, part):
    path = write(tmp_path / "p.csv", change(answers(data)), header)
    run = soberclip("place", path, *(FLAGS if header == GROUPED else ("--data", data)))
    assert (run.status, run.out, run.err.count("\n")) == (2, "", 1)
    assert part in run.err


def test_the_lines_of_the_readme_place_a_classifier_of_the_animal_alone(monkeypatch):
    root = Path(__file__).parents[3]
    monkeypatch.syspath_prepend(root / "experiments" / "command" / "entry")
    (code,) = re.findall(
        r"^```py\n(.*?)^```", (root / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    animal, background = torch.as_tensor(WORLD.test_law().draw(1).frames[0]).T
    exec(code, {"my_classifier": lambda images: (images @ animal < 0).long()})
    with pytest.raises(AssertionError):
        exec(code, {"my_classifier": lambda images: (images @ (animal + background) < 0).long()})


def test_the_command_reads_an_export_and_refuses_wrong_requests(soberclip, data, tmp_path):
    path = write(tmp_path / "p.csv", answers(data))
    document = soberclip("place", path, "--data", data, "--json").document
    assert document["difference"] == pytest.approx(document["equivalent_correlation"] - 0.9)
    assert document["theory"] == [ROW, ROW]  # as the export has found it
    record = json.loads((data / RECORD).read_text())
    wrong = {
        "half": {key: record[key] for key in ("verb", "request")},
        "damaged": {**record, "request": {}},
    }
    for folder, document in wrong.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / RECORD).write_text(json.dumps(document))
    manifest = (data / "manifest.csv").read_text()
    (tmp_path / "label").mkdir()
    (tmp_path / "label" / RECORD).write_text(json.dumps(record))
    (tmp_path / "label" / "manifest.csv").write_text(manifest.replace("000.png,0,", "000.png,,", 1))
    for flags, sentence in (
        (["--data", tmp_path / "half"], "is not finished"),
        (["--data", tmp_path / "damaged"], "is damaged"),
        (["--data", tmp_path / "label"], "has the label ''"),
        (["--data", tmp_path], "is not a folder that soberclip export wrote"),
        (["--data", data, "--mu-spu", "2"], "either the folder of an export"),
        ([], "the folder of an export"),
    ):
        run = soberclip("place", path, *flags)
        assert (run.status, sentence in run.err) == (2, True)
