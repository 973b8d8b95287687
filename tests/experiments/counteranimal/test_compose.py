"""Every object on every background: one place an object, nothing half-made, nothing overwritten, one sentence each."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.counteranimal.compose import run as compose
from experiments.counteranimal.evaluation import evaluate
from experiments.counteranimal.factorial import Composition
from experiments.counteranimal.inspection import inspection_document
from experiments.counteranimal.object_effects import paired_effect
from experiments.counteranimal.reading import read_photos
from experiments.errors import RequestError
from simulator.pixels.decoding import decode

OBJECTS = {"9 ostrich": {"a": "red", "b": "blue"}, "bulbul": {"a": "lime"}}
BACKGROUNDS = {"sand/one.jpg": (200, 180, 120), "sand/two.png": (190, 170, 100), "snow.png": (240, 240, 250)}
COMMON = ("ostrich=sand", "16=snow")
STAMPS = Path("/usr/share/tuxpaint/stamps/animals")  # Debian's tuxpaint-stamps-default


def draw_cutout(path, colour, size=(30, 20)):
    """A filled ellipse, transparent around it."""
    from PIL import ImageDraw

    image = Image.new("RGBA", size)
    ImageDraw.Draw(image).ellipse((2, 2, size[0] - 3, size[1] - 3), fill=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture
def asked(tmp_path):
    for folder, cutouts in OBJECTS.items():
        for name, colour in cutouts.items():
            draw_cutout(tmp_path / "objects" / folder / f"{name}.png", colour)
    for name, colour in BACKGROUNDS.items():
        (tmp_path / "scenes" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 60), colour).save(tmp_path / "scenes" / name, quality=100)
    return Composition(
        objects=tmp_path / "objects",
        backgrounds=tmp_path / "scenes",
        common=COMMON,
        size=48,
        output=tmp_path / "out",
    )


def manifest(folder):
    with (folder / "composites.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_every_object_stands_on_every_background(asked):
    document = compose(asked)
    assert (document["composites"], document["written"], document["kept"]) == (9, 9, 0)
    tree = read_photos(asked.output)
    assert tree.counts() == {9: (4, 2), 16: (1, 2)}
    assert tree.strays == ()
    assert {(p.object, p.background) for p in tree.photos if p.class_index == 9} == {
        (f"9 ostrich/{name}.png", background) for name in "ab" for background in ("sand", "snow")
    }
    rows = manifest(asked.output)
    assert {row["file"] for row in rows} == {photo.path for photo in tree.photos}
    assert all(row["file"].split("/")[1] == f"{row['group']}-{row['background']}" for row in rows)
    assert [c["n_common"] for c in inspection_document(tree, {})["classes"]] == [4, 1]
    assert json.loads((asked.output / "compose.json").read_text())["settings"] == document["settings"]


def test_nothing_differs_but_the_background(asked):
    """Where the object is opaque all its composites agree; outside its box they are the photo's plain colour."""
    compose(asked)
    rows = manifest(asked.output)
    for name in {row["object"] for row in rows}:
        mine = [row for row in rows if row["object"] == name]
        assert len({(row["scale"], row["x"], row["y"]) for row in mine}) == 1
        x, y, longer = int(mine[0]["x"]), int(mine[0]["y"]), round(float(mine[0]["scale"]) * 48)
        pixels = np.stack([np.asarray(decode(asked.output / row["file"])) for row in mine]).astype(int)
        middle = pixels[:, y + longer // 3, x + longer // 2]
        assert (middle == middle[0]).all()
        outside = np.ones((48, 48), dtype=bool)
        outside[y : y + longer, x : x + longer] = False
        for row, made in zip(mine, pixels, strict=True):
            plain = BACKGROUNDS[row["photo"]]
            assert np.abs(made[outside] - plain).max() <= 2  # JPEG
    assert len({(row["object"], row["x"], row["y"]) for row in rows}) == 3


def test_another_object_moves_no_other(asked, tmp_path):
    compose(asked)
    draw_cutout(asked.objects / "bulbul" / "A first one.png", "white")
    more = replace(asked, output=tmp_path / "more")
    compose(more)
    before, after = contents(asked.output), contents(more.output)
    assert len(after) == len(before) + 3
    assert all(after[name] == data for name, data in before.items() if name.endswith(".png"))
    other = replace(asked, seed=1, output=tmp_path / "seed")
    compose(other)
    assert {r["x"] for r in manifest(other.output)} != {r["x"] for r in manifest(asked.output)}


def test_what_is_missing_is_made_and_nothing_else(asked):
    compose(asked)
    whole = contents(asked.output)
    files = sorted(asked.output.rglob("*.png"))
    stamps = {file: file.stat().st_mtime_ns for file in files}
    for file in (*files[2:5], asked.output / "composites.csv"):
        file.unlink()
    with pytest.raises(RequestError, match="not finished; run the compose"):
        read_photos(asked.output)
    document = compose(asked)
    assert (document["written"], document["kept"]) == (3, 6)
    assert contents(asked.output) == whole
    assert all(file.stat().st_mtime_ns == stamps[file] for file in (*files[:2], *files[5:]))


def test_a_folder_of_anything_else_is_left_alone(asked, tmp_path):
    compose(asked)
    whole = contents(asked.output)
    for change, expected in (
        ({"size": 64}, "size = 48, not 64"),
        ({"seed": 2}, "seed = 0, not 2"),
        ({"common": ("ostrich=snow", "16=snow")}, "with other common"),
    ):
        with pytest.raises(RequestError, match=expected):
            compose(replace(asked, **change))
    draw_cutout(asked.objects / "bulbul" / "a.png", "black")
    with pytest.raises(RequestError, match="with other contents"):
        compose(asked)
    assert contents(asked.output) == whole
    thesis = tmp_path / "mine" / "thesis.tex"
    thesis.parent.mkdir()
    thesis.write_text("x")
    with pytest.raises(RequestError, match=r"holds other things, 'thesis\.tex' for one; try '.*mine/composites'"):
        compose(replace(asked, output=thesis.parent))
    assert contents(thesis.parent) == {"thesis.tex": b"x"}


def rewritten(path, mode, fill=255):
    Image.new(mode, (9, 9), fill).save(path)


def animated(path):
    frames = [Image.new("RGBA", (9, 9), (i, 0, 0, 99 * i)) for i in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


BAD = {  # what is done to objects o and scenes s, what is said
    "no folder": (
        lambda o, s: s.rename(s.with_name("scenery")),
        r"no folder '.*scenes' for --backgrounds; .*'scenery'",
    ),
    "no class": (lambda o, s: draw_cutout(o / "c.png", "red"), r"'c\.png' lies in no class folder.*'9 ostrich/c\.png'"),
    "class twice": (lambda o, s: draw_cutout(o / "16" / "a.png", "red"), "class 16 is given twice, by .*'16' and 'bul"),
    "no objects": (lambda o, s: (o / "8 hen").mkdir(), r"'8 hen' of --objects holds no file that ends in \.png"),
    "transparent": (
        lambda o, s: rewritten(o / "bulbul" / "a.png", "RGBA", (9, 9, 9, 0)),
        r"1 of 3 cut-outs cannot be used, the first is 'bulbul/a\.png' \(transparent throughout\)",
    ),
    "opaque": (lambda o, s: rewritten(o / "bulbul" / "a.png", "RGB", 9), "'bulbul/a.png' .nowhere transparent"),
    "unreadable": (lambda o, s: (o / "bulbul" / "a.png").write_bytes(b"x"), "a.png' .cannot identify image file"),
    "animated": (lambda o, s: animated(o / "bulbul" / "a.png"), "a.png' .animated, 3 frames"),
    "bad photo": (lambda o, s: (s / "snow.png").write_bytes(b"x"), "1 of 3 photos cannot be used, .* is 'snow.png'"),
    "one background": (lambda o, s: (s / "snow.png").unlink(), "holds one background, 'sand'; two are needed"),
    "no photos": (lambda o, s: [f.unlink() for f in (s / "sand").iterdir()], "'sand' of --backgrounds holds no file"),
    "shared name": (
        lambda o, s: rewritten(s / "sand" / "One.png", "RGB", 9),
        r"^'9 ostrich/a.png' on 'sand/One.png' and '9 ostrich/a.png' on 'sand/one.jpg' would both be "
        r"'9 ostrich/common-sand/a on one.png'; rename one of these files$",
    ),
    "name shared by both": (
        lambda o, s: (
            draw_cutout(o / "9 ostrich" / "a on two.png", "red"),
            rewritten(s / "sand" / "two on one.jpg", "RGB", 9),
        ),
        "'9 ostrich/a on two.png' on 'sand/one.jpg' and '9 ostrich/a.png' on 'sand/two on one.jpg' would both be",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_folders_are_one_sentence(asked, case):
    spoil, expected = BAD[case]
    spoil(asked.objects, asked.backgrounds)
    with pytest.raises(RequestError, match=expected) as caught:
        compose(asked)
    assert "\n" not in str(caught.value)
    assert not asked.output.exists()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"common": ("ostrich=sand",)},
            "'bulbul' has no common background; pass --common 'bulbul=BACKGROUND' with",
        ),
        ({"common": (*COMMON, "16=sand")}, "'bulbul' has no counter background, since all are common"),
        ({"common": (*COMMON, "16=snw")}, "background 'snw' is not one of sand, snow; the nearest is snow"),
        ({"common": (*COMMON, "brambling=snow")}, "'brambling=snow' names a class that has no cut-outs"),
        ({"common": (*COMMON, "hen=")}, "--common 'hen=' is not of the form CLASS=BACKGROUND, as '9 ostrich=sand' is"),
        ({"common": ("no.txt",)}, r"--common 'no\.txt' is neither .* \(No such file or directory\)"),
        ({"size": 16}, r"--size 16 lies outside 32\.\.1024 pixels; the nearest valid value is 32"),
        ({"seed": -1}, "seed = -1 is negative"),
    ],
)
def test_wrong_requests_are_one_sentence(asked, change, expected):
    with pytest.raises(RequestError, match=expected):
        compose(replace(asked, **change))
    with pytest.raises(RequestError, match="lies in --objects, whose files are read"):
        compose(replace(asked, output=asked.objects / "out"))
    assert not asked.output.exists()


def test_more_than_memory_should_hold_is_refused(asked, monkeypatch):
    monkeypatch.setattr("experiments.counteranimal.factorial.MOST_BYTES", 10_000)
    with pytest.raises(RequestError, match="3 cut-outs and 3 photos at --size 48 take"):
        compose(asked)


def test_common_backgrounds_may_stand_in_a_file(asked, tmp_path):
    (tmp_path / "common.txt").write_text("ostrich = sand\n\nbulbul=snow\n", encoding="utf-8-sig")
    assert compose(replace(asked, common=(str(tmp_path / "common.txt"),)))["settings"]["common"] == {
        "9 ostrich": ["sand"],
        "bulbul": ["snow"],
    }


def answer(nine: torch.Tensor) -> torch.Tensor:
    """Logits of a model that says 9 or else 16."""
    return torch.nn.functional.one_hot(torch.where(nine, 9, 16), 1000).float()


def test_what_a_model_reads_is_what_the_effect_says(tmp_path):
    """Red ostriches, blue bulbuls, on white and black: who reads the corner drops by all, who reads hues by nothing."""
    for folder, colour in (("9 ostrich", "red"), ("16 bulbul", "blue")):
        for i in range(6):
            draw_cutout(tmp_path / "objects" / folder / f"{i}.png", colour)
    (tmp_path / "scenes").mkdir()
    for colour in ("white", "black"):
        Image.new("RGB", (64, 64), colour).save(tmp_path / "scenes" / f"{colour}.png")
    compose(
        Composition(
            objects=tmp_path / "objects",
            backgrounds=tmp_path / "scenes",
            common=("9=white", "16=black"),
            size=64,
            output=tmp_path / "out",
        )
    )

    names = tuple(map(str, range(1000)))

    def effect(model):
        preprocess = lambda image: torch.from_numpy(np.array(image, dtype=np.float32).transpose(2, 0, 1))  # noqa: E731
        return paired_effect(evaluate(model, preprocess, None, tmp_path / "out", names=names))

    corner = effect(lambda pixels: answer(pixels[:, 0, 0, 0] > 127))
    assert (corner["difference"], corner["better_on_common"], corner["objects"]) == (1, 12, 12)
    assert corner["mcnemar_p"] == pytest.approx(2**-11)
    hue = effect(lambda pixels: answer((pixels[:, 0] - pixels[:, 2]).mean(dim=(1, 2)) > 0))
    assert (hue["common"], hue["difference"], hue["interval"], hue["mcnemar_p"]) == (1, 0, None, 1)


@pytest.mark.skipif(not STAMPS.is_dir(), reason="no photographed cut-outs here: apt install tuxpaint-stamps-default")
def test_photographed_animals(tmp_path, photo):
    """Real cut-outs with soft edges: read, composed, and free of the white that they were photographed on."""
    chosen = {"105 koala": "marsupials/koala.png", "340 zebra": "mammals/equines/zebra.png", "9": "birds/ostrich.png"}
    for folder, file in chosen.items():
        (tmp_path / "objects" / folder).mkdir(parents=True)
        (tmp_path / "objects" / folder / Path(file).name).write_bytes((STAMPS / file).read_bytes())
    for i, name in enumerate(("grass", "snow")):
        photo(tmp_path / "scenes" / f"{name}.jpg", i, (300, 200))
    common = tuple(f"{folder.split()[0]}=grass" for folder in chosen)
    request = Composition(
        objects=tmp_path / "objects", backgrounds=tmp_path / "scenes", common=common, output=tmp_path / "out"
    )
    assert compose(request)["written"] == 6
    for composed in read_photos(request.output).photos:
        assert decode(request.output / composed.path).size == (224, 224)
