"""Damaged and hostile files: one sentence and status 1 or 2, never a traceback."""

import os
import random

import pytest

from tests.experiments.photos.test_photos import PNG, write

NESTED = "[" * 100_000
ROWS = [
    f"{i % 3},{group},sand,{(i + (group == 'counter')) % 4}"
    for i in range(6)
    for group in ("common", "counter")
]
CELLS = [(kind, group) for kind in ("cat", "dog") for group in ("common", "counter")]
SAMPLE = {
    "classes.csv": "class,name,prompt\ncat,tabby,\ndog,,a photo of my dog\n",
    "groups.csv": "class,background,group\ncat,sand,common\n,sea,counter\n",
    "predictions.csv": "class_index,group,background,predicted_index\n" + "\n".join(ROWS) + "\n",
    "photos.csv": (
        "path,class,group\n" + "".join(f"{kind}.png,{kind},{group}\n" for kind, group in CELLS)
    ),
    "cat.png": PNG,
    "dog.png": PNG,
    "photos/cat/sand/1.png": PNG,
    "photos/dog/sea/1.png": PNG,
    "w.toml": "p_spu = 0.9\nclasses = 2\n[[attribute]]\nmu = 0.5\np = 0.8\n",
}
WORDS = {
    "predictions.csv": "counteranimal score predictions.csv",
    "photos.csv": "counteranimal inspect photos.csv --classes classes.csv",
    "classes.csv": "counteranimal inspect photos.csv --classes classes.csv",
    "groups.csv": "counteranimal inspect photos --classes classes.csv --groups groups.csv",
    "cat.png": "counteranimal inspect photos.csv --classes classes.csv",
    "out/summary.json": "counteranimal compare out --output compared",
    "w.toml": "predict --world w.toml",
}
PIECES = (
    b"\0",
    b"\xff\xfe",
    b"\n",
    b'"',
    b",",
    b"nan",
    b"-1",
    b"1e999",
    b"9" * 5000,
    b"{",
    b"[",
    b"null",
    b"\x1b[31m",
)


def damaged(data, draw):
    """The data with bytes changed, cut, repeated or put in."""
    i, j = sorted(draw.randrange(len(data)) for _ in range(2))
    piece = draw.choice(PIECES)
    ways = (
        data[:i],
        data[:i] + data[j:],
        data[:j] + data[i:],
        data[:i] + piece + data[i:],
        data[:i] + piece + data[j:],
    )
    return draw.choice(ways)


def check_refused(run):
    assert run.status in (1, 2)
    assert run.err.startswith("soberclip: ")
    assert run.err.count("\n") == 1


@pytest.mark.parametrize("name", WORDS)
def test_damaged_files(soberclip, tmp_path, monkeypatch, name):
    """Six of the thousands of damages that were tried by hand. Some leave a valid file, and some do
    not.
    """
    monkeypatch.chdir(tmp_path)
    write(tmp_path, SAMPLE)
    assert soberclip("counteranimal", "score", "predictions.csv", "--output", "out").status == 0
    file = tmp_path / name
    draw = random.Random(name)
    data = file.read_bytes()
    refused = 0
    for _ in range(6):
        file.write_bytes(damaged(data, draw))
        run = soberclip(*WORDS[name].split())
        if run.status:
            check_refused(run)
            refused += 1
    assert refused


def test_documents_that_are_nested_too_deeply(soberclip, tmp_path):
    write(tmp_path, {"d/summary.json": NESTED})
    check_refused(
        soberclip("counteranimal", "compare", tmp_path / "d", "--output", tmp_path / "compared")
    )


def test_names_that_are_not_utf8(soberclip, tmp_path):
    root = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(root)
    for words in (("counteranimal", "inspect"), ("predict", "--world")):
        check_refused(soberclip(*words, os.fsdecode(root)))
    os.mkdir(os.fsencode(tmp_path) + b"/out")
    os.rename(root, os.fsencode(tmp_path) + b"/out/caf\xe9")
    with open(os.fsencode(tmp_path) + b"/out/caf\xe9/summary.json", "w") as file:
        file.write("{}")
    check_refused(
        soberclip("counteranimal", "compare", tmp_path / "out", "--output", tmp_path / "compared")
    )
