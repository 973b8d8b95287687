"""Composites: every object on every background, at one place; no file is partial or overwritten."""

import csv
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image, ImageDraw

from experiments.errors import RequestError, RunError
from experiments.photos.compose import run as compose
from experiments.photos.photos import read_photos
from simulator.pixels.decoding import decode
from tests.experiments.conftest import group_counts

# two files have one name
OBJECTS = {"9 ostrich": {"a": "red", "b": "blue"}, "bulbul": {"a": "lime"}}
BACKGROUNDS = {
    "sand/one.jpg": (200, 180, 120),
    "sand/two.png": (190, 170, 100),
    "snow.png": (240, 240, 250),
}
COMMON = ("ostrich=sand", "16=snow")


def draw_cutout(path, colour):
    """A filled ellipse, transparent around it."""
    image = Image.new("RGBA", (30, 20))
    ImageDraw.Draw(image).ellipse((2, 2, 27, 17), fill=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture
def arguments(tmp_path):
    for folder, cutouts in OBJECTS.items():
        for name, colour in cutouts.items():
            draw_cutout(tmp_path / "objects" / folder / f"{name}.png", colour)
    for name, colour in BACKGROUNDS.items():
        (tmp_path / "scenes" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 60), colour).save(tmp_path / "scenes" / name, quality=100)
    folders = {
        "objects": tmp_path / "objects",
        "backgrounds": tmp_path / "scenes",
        "output": tmp_path / "out",
    }
    return {**folders, "common": COMMON, "size": 48}


def manifest(folder):
    with (folder / "composites.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def contents(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_every_object_stands_on_every_background_and_nothing_else_differs(arguments):
    """On opaque pixels all composites of an object agree; outside its box they have the photo's
    plain colour.
    """
    assert compose(**arguments)["composites"] == 9
    tree = read_photos(arguments["output"])
    rows = manifest(arguments["output"])
    assert group_counts(tree) == {9: (4, 2), 16: (1, 2)}
    assert {(p.object, p.background) for p in tree.photos.itertuples() if p.class_index == 9} == {
        (f"9 ostrich/{name}.png", background) for name in "ab" for background in ("sand", "snow")
    }
    assert {row["file"] for row in rows} == set(tree.photos.path)
    assert all(row["file"].split("/")[1] == f"{row['group']}-{row['background']}" for row in rows)
    for name in {row["object"] for row in rows}:
        mine = [row for row in rows if row["object"] == name]
        assert len({(row["scale"], row["x"], row["y"]) for row in mine}) == 1
        x = int(mine[0]["x"])
        y = int(mine[0]["y"])
        longer = round(float(mine[0]["scale"]) * 48)
        pixels = np.stack(
            [np.asarray(decode(arguments["output"] / row["file"])) for row in mine]
        ).astype(int)
        middle = pixels[:, y + longer // 3, x + longer // 2]
        assert (middle == middle[0]).all()
        outside = np.ones((48, 48), dtype=bool)
        outside[y : y + longer, x : x + longer] = False
        for row, made in zip(mine, pixels, strict=True):
            plain = BACKGROUNDS[row["photo"]]
            assert np.abs(made[outside] - plain).max() <= 2  # JPEG
    assert len({(row["scale"], row["x"], row["y"]) for row in rows}) == 3


def test_another_object_moves_no_other(arguments, tmp_path):
    compose(**arguments)
    draw_cutout(arguments["objects"] / "bulbul" / "A first one.png", "white")
    more = arguments | {"output": tmp_path / "more"}
    other = arguments | {
        "seed": 1,
        "output": tmp_path / "seed",
    }
    compose(**more)
    before = contents(arguments["output"])
    after = contents(more["output"])
    assert len(after) == len(before) + 3
    assert all(after[name] == data for name, data in before.items() if name.endswith(".png"))
    compose(**other)
    assert {r["x"] for r in manifest(other["output"])} != {
        r["x"] for r in manifest(arguments["output"])
    }


def test_a_folder_with_files_is_left_alone_and_a_failure_leaves_none(
    arguments, tmp_path, monkeypatch
):
    thesis = tmp_path / "mine" / "thesis.tex"
    thesis.parent.mkdir()
    thesis.write_text("x")
    with pytest.raises(RequestError, match="thesis"):
        compose(**arguments | {"output": thesis.parent})
    assert contents(thesis.parent) == {"thesis.tex": b"x"}
    with monkeypatch.context() as full:
        full.setattr(
            "experiments.photos.compose.write_table", MagicMock(side_effect=OSError(28, "no space"))
        )
        with pytest.raises(RunError, match="could not be written: no space"):
            compose(**arguments)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mine", "objects", "scenes"]
    arguments["output"].mkdir()  # an empty folder is as good as none
    assert compose(**arguments)["composites"] == 9


def rewritten(path, mode, fill=255):
    Image.new(mode, (9, 9), fill).save(path)


def animated(path):
    frames = [Image.new("RGBA", (9, 9), (i, 0, 0, 99 * i)) for i in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


FOLDERS = {  # words in the error -> change of objects o and scenes s
    "scenes'; the nearest is 'scenery'": lambda o, s: s.rename(s.with_name("scenery")),
    "c.png": lambda o, s: draw_cutout(o / "c.png", "red"),
    "class 16 is given twice": lambda o, s: draw_cutout(o / "16" / "a.png", "red"),
    "8 hen": lambda o, s: (o / "8 hen").mkdir(),
    "nowhere transparent": lambda o, s: rewritten(o / "bulbul" / "a.png", "RGB", 9),
    "bulbul/a.png": lambda o, s: (o / "bulbul" / "a.png").write_bytes(b"x"),
    "3 frames": lambda o, s: animated(o / "bulbul" / "a.png"),
    "snow.png": lambda o, s: (s / "snow.png").write_bytes(b"x"),
    "one background, 'sand'": lambda o, s: (s / "snow.png").unlink(),
    "9 ostrich/common-sand/a on one.png": lambda o, s: rewritten(s / "sand" / "One.png", "RGB", 9),
}
REQUESTS = {
    "'bulbul' has no common": {"common": ("ostrich=sand",)},
    "'bulbul' has no counter": {"common": (*COMMON, "16=sand")},
    "'snw'": {"common": (*COMMON, "16=snw")},
    "'brambling=snow'": {"common": (*COMMON, "brambling=snow")},
    "'hen='": {"common": (*COMMON, "hen=")},
    "no.txt": {"common": ("no.txt",)},
    "16": {"size": 16},
    "-1": {"seed": -1},
    "3 cut-outs and 3 photos": {"size": 1024},
}


@pytest.mark.parametrize("words", [*FOLDERS, *REQUESTS])
def test_a_wrong_request_is_one_sentence(arguments, monkeypatch, words):
    # the real bound is gigabytes
    monkeypatch.setattr("experiments.photos.compose.MOST_BYTES", 10_000_000)
    FOLDERS.get(words, lambda *_: None)(arguments["objects"], arguments["backgrounds"])
    with pytest.raises(RequestError) as caught:
        compose(**arguments | REQUESTS.get(words, {}))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not arguments["output"].exists()
