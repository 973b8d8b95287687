"""The same photos give the same PhotoSet in every layout; strays are listed, bad layouts are
refused.
"""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.errors import RequestError
from experiments.photos.labels import imagenet, imagenet_index, own_vocabulary, templates
from experiments.photos.photos import has_groups, inspect, read_photos
from tests.experiments.conftest import group_counts

CELLS = [
    ("9 ostrich", "common", "sand", 2),
    ("9 ostrich", "counter", "sea", 3),
    ("16 bulbul", "common", "2x", 1),
]


def picture(number):
    """PNG bytes, different for each number."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((3, 4, 3), number, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def spread(cells=CELLS):
    """Number of each photo, with its class, group and background."""
    return list(enumerate(cell for *cell, n in cells for _ in range(n)))


PNG = picture(0)


def write(root, files):
    """Files by name: bytes or text."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)


def as_tree(root, photos):
    write(
        root, {f"{kind}/{group}-{place}/{n}.png": picture(n) for n, (kind, group, place) in photos}
    )
    return root


def as_table(root, photos):
    rows = "".join(f"{number}.png,{','.join(cell)}\n" for number, cell in photos)
    write(root, {f"{number}.png": picture(number) for number, _ in photos})
    write(root, {"photos.csv": f"path,class,group,background\n{rows}"})
    return root / "photos.csv"


def contents(tree):
    """Number painted into each photo -> its class, group and background."""
    return {
        tree.image(photo.path).getpixel((0, 0))[0]: (
            photo.class_index,
            photo.group,
            photo.background,
        )
        for photo in tree.photos.itertuples()
    }


@pytest.mark.parametrize("layout", [as_tree, as_table])
def test_every_layout_holds_the_same(layout, tmp_path):
    tree = read_photos(layout(tmp_path / "data", spread()))
    index = {"9 ostrich": 9, "16 bulbul": 16}
    assert contents(tree) == {
        number: (index[kind], group, place) for number, (kind, group, place) in spread()
    }
    assert list(tree.photos.path) == sorted(tree.photos.path)
    document = inspect(tree.root)
    assert (document["n_common"], document["unreadable"]) == (3, [])
    assert len(set(tree.keys())) == len(tree.photos)


def test_suffixes_of_photos(tmp_path):
    """macOS writes ._1.jpg beside 1.jpg, and viewers write folders of thumbnails."""
    names = [f"a{suffix}" for suffix in (".webp", ".bmp", ".tif", ".TIFF", ".jpg")]
    place = "9 ostrich/common-sand"
    hidden = (f"{place}/._1.png", "9 ostrich/.thumbs/1.png", f".git/{place}.png", f"{place}/a.gif")
    write(tmp_path, dict.fromkeys((*(f"{place}/{name}" for name in names), *hidden), PNG))
    assert {Path(path).name for path in read_photos(tmp_path).photos.path} == set(names)


def test_groups_from_a_table(tmp_path):
    write(
        tmp_path,
        {
            f"{kind}/{place}/a.png": PNG
            for place in ("sand", "sea", "fog")
            for kind in ("ostrich", "bulbul")
        },
    )
    groups = tmp_path / "groups.csv"
    groups.write_text(
        "class,background,group\n,sand,common\n,sea,counter\nbulbul,sea,common\nbulbul,sand,counter\n"
    )
    tree = read_photos(tmp_path, str(groups))
    assert {(p.class_index, p.background): p.group for p in tree.photos.itertuples()} == {
        (9, "sand"): "common",
        (9, "sea"): "counter",
        (16, "sea"): "common",
        (16, "sand"): "counter",
    }
    assert tree.strays == ("bulbul/fog", "groups.csv", "ostrich/fog")
    each = inspect(tmp_path, groups="each")
    assert (each["n"], has_groups(read_photos(tmp_path, "each").photos)) == (6, False)
    table = as_table(tmp_path / "t", spread())
    table.write_text(table.read_text().replace("0.png,9 ostrich,common", "0.png,9 ostrich,"))
    tree = read_photos(table)
    assert (tree.strays, len(tree.photos)) == (("0.png",), 5)


SAND = {"ostrich/sand/0.png": PNG}


def listed(*rows, header="path,class,group"):
    return {"a.png": PNG, "p.csv": "\n".join((header, *rows, ""))}


def classes(*kinds, below=""):
    """A tree with one photo per class."""
    return {f"{below}{kind}/common-x/0.png": PNG for kind in kinds}


@pytest.mark.parametrize(
    ("files", "data", "groups", "named"),
    [
        *(
            ({**SAND, "g.csv": f"background,group\n{rows}\n"}, ".", "g.csv", named)
            for rows, named in (
                ("sand,comon", "'comon' in line 2"),
                ("sand,common\nsand,counter", "'sand' .*line 3"),
                ("moon,common", "'sand'"),
            )
        ),
        (SAND, ".", "prefix", "'sand'.*--groups"),
        (SAND, ".", "eech", "'eech'"),
        (listed(), "a.png", "prefix", "a.png"),
        (listed("b.png,ostrich,common"), "p.csv", "prefix", "1 of 1 photos .*'b.png'"),
        (listed("a.png,ostrich", header="path,class"), "p.csv", "prefix", "'group'"),
        (listed("a.png,ostrich,odd"), "p.csv", "prefix", "'odd' in 'a.png'"),
        (listed("./a.png,ostrich,common", "a.png,bulbul,common"), "p.csv", "prefix", "line 3"),
        *(
            (classes("9 ostrich", below="LAION-final/"), data, "prefix", "LAION-final")
            for data in ("LAION-fnal", ".")
        ),
        *(
            (classes(*kinds), ".", "prefix", named)
            for named, *kinds in (
                ("class 9", "9 ostrich", "9 copy"),
                ("8 .*'hen'.*'ostrich' is class 9", "8 ostrich"),
                ("1000 .*999", "1000 copy"),
                ("'ostritch'.*'ostrich'", "ostritch"),
                ("no leading index", "7" * 200),
                ("'n01518879'", "n01518879"),
                ("'crane' .*134 .*517", "crane"),
                ("'panda' .*387 .*388", "panda"),
            )
        ),
    ],
)
def test_what_is_not_a_photo_set(files, data, groups, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, files)
    with pytest.raises(RequestError, match=named):
        read_photos(tmp_path / data, groups)


def test_a_number_before_the_name_of_its_class_is_accepted():
    from torchvision.models import ResNet50_Weights

    for names in (imagenet().names, ResNet50_Weights.IMAGENET1K_V1.meta["categories"]):
        for index, name in enumerate(names):
            assert imagenet_index(f"{index} {name}") == index
    assert imagenet_index("n01518878") == 9
    assert [imagenet_index(name) for name in ("517 crane", "388 panda")] == [517, 388]


def test_own_classes_and_prompts(tmp_path):
    table = tmp_path / "classes.csv"
    table.write_text(
        "class,name,prompt\ncup,tea cup,\ncup,mug,\npot,,a pot seen from above\npot,jug,\npan,,\n"
    )
    found = own_vocabulary(table)
    assert found.names == ("cup", "pot", "pan")
    assert found.phrases(("a {}", "the {}")) == (
        ("a tea cup", "the tea cup", "a mug", "the mug"),
        ("a jug", "the jug", "a pot seen from above"),
        ("a pan", "the pan"),
    )
    as_tree(
        tmp_path / "data",
        spread([("pan", "common", "table", 1), ("red pot", "counter", "sink", 2)]),
    )
    lines = tmp_path / "classes.txt"
    lines.write_text("cup\npan\nred pot\n")
    document = inspect(tmp_path / "data", vocabulary=own_vocabulary(lines))
    assert {c["class_index"]: c["folder"] for c in document["classes"]} == {1: "pan", 2: "red pot"}
    assert document["missing_classes"] == []
    with pytest.raises(RequestError, match="red pot"):
        read_photos(tmp_path / "data", vocabulary=found)
    for file, text, named in (
        (table, "class\ncup\n", "1 classes"),
        (table, "name\ncup\n", "class"),
        (lines, "a\nb\na\n", "twice"),
    ):
        file.write_text(text)
        with pytest.raises(RequestError, match=named):
            own_vocabulary(file)


def test_strays_are_listed_and_not_counted(tree):
    (tree / "notes.txt").write_text("x")
    (tree / "9 ostrich, Struthio camelus" / "common-ground" / "Thumbs.db").write_bytes(b"x")
    (tree / "9 ostrich, Struthio camelus" / "other").mkdir()
    (tree / "empty").mkdir()
    parsed = read_photos(tree)
    assert parsed.strays == (
        "30 bullfrog, Rana catesbeiana/counter-",
        "9 ostrich, Struthio camelus/common-ground/Thumbs.db",
        "9 ostrich, Struthio camelus/other",
        "empty",
        "notes.txt",
    )
    assert group_counts(parsed) == {9: (5, 4), 10: (3, 6), 16: (6, 5), 30: (3, 0)}
    assert len(set(parsed.photos.path)) == 32  # files that share a stem stay apart


def test_broken_photos_are_listed(tree):
    folder = tree / "16 bulbul" / "common-sky"
    whole = (folder / "0.jpg").read_bytes()
    (folder / "0.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "0.png").write_bytes(b"not an image")
    (folder / "void.jpeg").write_bytes(b"")
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    document = inspect(tree)
    bad = {photo["path"]: photo["reason"] for photo in document["unreadable"]}
    assert list(bad) == [
        f"16 bulbul/common-sky/{n}" for n in ("0.jpg", "0.png", "gone.jpg", "void.jpeg")
    ]
    assert all("0x" not in reason and str(tree) not in reason for reason in bad.values())
    assert (document["n_common"], document["n_counter"]) == (15, 15)
    assert document["empty_groups"] == [{"class_index": 30, "group": "counter"}]
    assert (document["published_n_common"], document["published_n_counter"]) == (7174, 5926)
    assert 23 in document["missing_classes"]


def test_names_that_are_not_utf8_are_refused_before_any_work(tree):
    place = os.fsencode(tree / "16 bulbul" / "common-sky")
    with open(place + b"/caf\xe9.txt", "wb"):
        pass
    assert "16 bulbul/common-sky/caf\\xe9.txt" in read_photos(tree).strays
    with open(place + b"/caf\xe9.jpg", "wb"):
        pass
    with pytest.raises(RequestError, match=r"caf\\\\xe9\.jpg' is not UTF-8.*rename it"):
        read_photos(tree)


def test_a_byte_order_mark_is_no_part_of_a_prompt(tmp_path):
    (tmp_path / "t.txt").write_text("a {}\n", encoding="utf-8-sig")
    assert templates(str(tmp_path / "t.txt")) == ("a {}",)
    for text in ("a\n", "{} {}\n", "{} {x}\n", ""):
        (tmp_path / "t.txt").write_text(text)
        with pytest.raises(RequestError, match=r"t\.txt' must hold \{\} exactly once"):
            templates(str(tmp_path / "t.txt"))
