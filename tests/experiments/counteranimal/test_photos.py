"""One set of photos is the same PhotoSet in every layout; strays are listed, bad layouts are refused."""

import csv
import io
import os
import pickle
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.counteranimal.inspection import inspect, inspection_document
from experiments.counteranimal.labels import class_names, own_vocabulary, templates
from experiments.counteranimal.photos import read_photos, unreadable
from experiments.errors import RequestError
from experiments.published.tables import published_classes

CELLS = [("9 ostrich", "common", "sand", 2), ("9 ostrich", "counter", "sea", 3), ("16 bulbul", "common", "2x", 1)]


def picture(number):
    """PNG bytes that no other number has."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((3, 4, 3), number, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def spread(cells=CELLS):
    """Number of each photo, with its class, group and background."""
    return list(enumerate(cell for *cell, n in cells for _ in range(n)))


def as_tree(root, photos):
    for number, (kind, group, background) in photos:
        folder = root / kind / f"{group}-{background}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(picture(number))
    return root


def as_table(root, photos):
    root.mkdir()
    with (root / "photos.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "class", "group", "background"))
        for number, cell in photos:
            (root / f"{number}.png").write_bytes(picture(number))
            writer.writerow((f"{number}.png", *cell))
    return root / "photos.csv"


def add(tar, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def as_shards(root, photos):
    """Two shards, samples described by JSON beside them, as the webdataset library writes them."""
    import webdataset

    root.mkdir()
    for shard in range(2):
        with webdataset.TarWriter(str(root / f"{shard:03}.tar")) as sink:
            for number, (kind, group, background) in photos[shard::2]:
                described = {"class": kind, "group": group, "background": background}
                sink.write({"__key__": f"{number:05}", "png": picture(number), "json": described})
    return root


def as_paths(root, photos):
    """One shard whose paths are those of a tree."""
    root.mkdir()
    with tarfile.open(root / "all.tar", "w") as tar:
        for number, (kind, group, background) in photos:
            add(tar, f"set/{kind}/{group}-{background}/{number}.png", picture(number))
    return root / "all.tar"


def as_saved(root, photos):
    datasets = pytest.importorskip("datasets")
    kinds, text = sorted({kind for _, (kind, _, _) in photos}), datasets.Value("string")
    columns = {
        "image": [{"bytes": picture(number), "path": None} for number, _ in photos],
        "label": [kinds.index(kind) for _, (kind, _, _) in photos],
        "group": [group for _, (_, group, _) in photos],
        "background": [background for _, (_, _, background) in photos],
    }
    labels = datasets.ClassLabel(names=kinds)
    features = datasets.Features(image=datasets.Image(), label=labels, group=text, background=text)
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(str(root))
    return root


LAYOUTS = [as_tree, as_table, as_shards, as_paths, as_saved]


def contents(tree):
    """What is known of each photo, by the number painted into it."""
    return {
        tree.source.image(photo.path).getpixel((0, 0))[0]: (photo.class_index, photo.group, photo.background)
        for photo in tree.photos
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_holds_the_same(layout, tmp_path):
    tree = read_photos(layout(tmp_path / "data", spread()))
    index = {"9 ostrich": 9, "16 bulbul": 16}
    assert contents(tree) == {number: (index[kind], group, place) for number, (kind, group, place) in spread()}
    assert tree.counts() == {9: (2, 3), 16: (1, 0)}
    assert [photo.path for photo in tree.photos] == sorted(photo.path for photo in tree.photos)
    assert not unreadable(tree)
    assert inspect(tree.root)["n_common"] == 3
    keys = [tree.source.key(photo.path) for photo in tree.photos]
    assert len(set(keys)) == len(keys)
    again = pickle.loads(pickle.dumps(tree.source))  # as a decoding process gets it
    assert again.image(tree.photos[0].path).tobytes() == tree.source.image(tree.photos[0].path).tobytes()


def test_suffixes_of_photos(tmp_path):
    folder = tmp_path / "9 ostrich" / "common-sand"
    folder.mkdir(parents=True)
    formats = {".webp": "WEBP", ".bmp": "BMP", ".tif": "TIFF", ".TIFF": "TIFF", ".jpg": "JPEG"}
    for suffix, kind in formats.items():
        Image.new("RGB", (5, 4)).save(folder / f"a{suffix}", kind)
    tree = read_photos(tmp_path)
    assert {Path(photo.path).suffix for photo in tree.photos} == set(formats)
    assert not unreadable(tree)


def test_groups_from_a_table(tmp_path):
    for place in ("sand", "sea", "fog"):
        for kind in ("ostrich", "bulbul"):
            (tmp_path / kind / place).mkdir(parents=True)
            (tmp_path / kind / place / "a.png").write_bytes(picture(0))
    groups = tmp_path / "groups.csv"
    groups.write_text("class,background,group\n,sand,common\n,sea,counter\nbulbul,sea,common\nbulbul,sand,counter\n")
    tree = read_photos(tmp_path, str(groups))
    assert {(p.class_index, p.background): p.group for p in tree.photos} == {
        (9, "sand"): "common", (9, "sea"): "counter", (16, "sea"): "common", (16, "sand"): "counter",
    }  # fmt: skip
    assert tree.strays == ("bulbul/fog", "groups.csv", "ostrich/fog")
    each = read_photos(tmp_path, "each")
    assert not each.grouped
    assert len(each.photos) == 6
    assert inspect(tmp_path, groups="each")["n"] == 6


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("background,group\nsand,comon\n", "'comon' in line 2"),
        ("background,group\nsand,common\nsand,counter\n", "'sand' .*line 3"),
        ("background,group\nmoon,common\n", "'sand'"),
    ],
)
def test_wrong_tables_of_groups(text, named, tmp_path):
    as_tree(tmp_path, [(0, ("ostrich", "x", "sand"))])
    (tmp_path / "ostrich" / "x-sand").rename(tmp_path / "ostrich" / "sand")
    (tmp_path / "groups.csv").write_text(text)
    with pytest.raises(RequestError, match=named):
        read_photos(tmp_path, str(tmp_path / "groups.csv"))


def test_folders_without_groups_say_what_fits(tmp_path):
    as_tree(tmp_path / "a", [(0, ("ostrich", "sand", "dune"))])
    (tmp_path / "b" / "ostrich").mkdir(parents=True)
    (tmp_path / "b" / "ostrich" / "0.png").write_bytes(picture(0))
    for folder, groups, said in (
        ("a", "prefix", r"'sand-dune'.*--groups FILE.csv .*--groups each"),
        ("b", "prefix", "--groups each"),
        ("a", "eech", "'eech'"),
    ):
        with pytest.raises(RequestError, match=said):
            read_photos(tmp_path / folder, groups)
    assert [p.background for p in read_photos(tmp_path / "b", "each").photos] == [""]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("path,class,group\nb.png,ostrich,common\nc.png,ostrich,counter\n", "2 of 2 photos .*'b.png'"),
        ("path,class\na.png,ostrich\n", "'group'"),
        ("path,class,group\na.png,ostrich,odd\n", "'odd' in 'a.png'"),
        ("path,class,group\n./a.png,ostrich,common\na.png,bulbul,common\n", "line 3"),
    ],
)
def test_wrong_tables_of_photos(text, named, tmp_path):
    (tmp_path / "a.png").write_bytes(picture(0))
    (tmp_path / "photos.csv").write_text(text)
    with pytest.raises(RequestError, match=named):
        read_photos(tmp_path / "photos.csv")
    with pytest.raises(RequestError, match=r"a\.png"):
        read_photos(tmp_path / "a.png")


def test_wrong_shards(tmp_path):
    (tmp_path / "cut.tar").write_bytes(as_paths(tmp_path / "whole", spread()).read_bytes()[:2500])
    (tmp_path / "no.tar").write_bytes(b"x" * 2000)
    for name, said in (("cut", "truncated"), ("no", "cannot be read")):
        with pytest.raises(RequestError, match=rf"{name}\.tar' .*{said}"):
            read_photos(tmp_path / f"{name}.tar")
    for data, said in (
        (None, "no class in its path"),
        (b"{", "does not describe a photo"),
        (b"[]", "does not describe a photo"),
        (b'{"group": "common"}', "'class'"),
        (b'{"class": "ostrich", "group": "odd"}', "'odd'"),
    ):
        with tarfile.open(tmp_path / "one.tar", "w") as tar:
            add(tar, "a.png", picture(0))
            if data is not None:
                add(tar, "a.json", data)
        with pytest.raises(RequestError, match=said):
            read_photos(tmp_path / "one.tar")


def test_members_of_a_shard_count_once(tmp_path):
    """tar -r writes a name again, and the last counts; a hard link has no bytes of its own."""
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in (1, 2):
            add(tar, "ostrich/common-sand/a.png", picture(number))
        link = tarfile.TarInfo("ostrich/counter-sea/b.png")
        link.type, link.linkname = tarfile.LNKTYPE, "ostrich/common-sand/a.png"
        tar.addfile(link)
    tree = read_photos(tmp_path / "a.tar")
    assert contents(tree) == {2: (9, "common", "sand")}
    assert len(tree.photos) == 1
    assert tree.strays == ("a.tar/ostrich/counter-sea/b.png",)
    (tmp_path / "ostrich").mkdir()
    with pytest.raises(RequestError, match=r"holds folders and tar files; name .*a\.tar"):
        read_photos(tmp_path)


def test_a_row_without_a_group_is_told(tmp_path):
    table = as_table(tmp_path / "t", spread())
    table.write_text(table.read_text().replace("0.png,9 ostrich,common", "0.png,9 ostrich,"))
    tree = read_photos(table)
    assert tree.strays == ("0.png",)
    assert len(tree.photos) == 5


def test_wrong_saved_data(tmp_path):
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict({"image": [None], "label": ["ostrich"]})
    data.save_to_disk(str(tmp_path / "bare"))
    datasets.DatasetDict(train=data, test=data).save_to_disk(str(tmp_path / "splits"))
    for name, named in (("bare", "columns image, label"), ("splits", "splits/test, .*splits/train")):
        with pytest.raises(RequestError, match=named):
            read_photos(tmp_path / name)


def names(root, *kinds):
    """A tree with one photo per class."""
    return as_tree(root, [(0, (kind, "common", "x")) for kind in kinds])


def test_an_ambiguous_name_is_asked_about(tmp_path):
    for name, readings in (("crane", "134 .*517"), ("panda", "387 .*388"), ("fox", "277")):
        with pytest.raises(RequestError, match=rf"'{name}' .*{readings}"):
            read_photos(names(tmp_path / name, name))
        assert list(read_photos(names(tmp_path / f"134 {name}", f"134 {name}")).classes) == [134]


def test_wordnet_ids(tmp_path):
    assert read_photos(names(tmp_path / "a", "n01518878")).classes == {9: "n01518878"}
    with pytest.raises(RequestError, match="'n01518879'"):
        read_photos(names(tmp_path / "b", "n01518879"))


def test_classes_of_ones_own(tmp_path):
    as_tree(tmp_path / "data", spread([("Teacup", "common", "table", 1), ("mug_blue", "counter", "sink", 2)]))
    lines = tmp_path / "classes.txt"
    lines.write_text("teapot\nteacup\nmug blue\n")
    tree = read_photos(tmp_path / "data", vocabulary=own_vocabulary(lines))
    assert tree.classes == {1: "Teacup", 2: "mug_blue"}
    assert tree.own
    assert inspect(tmp_path / "data", vocabulary=own_vocabulary(lines))["missing_classes"] == []
    lines.write_text("teapot\nteacups\n")
    with pytest.raises(RequestError, match=r"'Teacup' .*'teacups'"):
        read_photos(tmp_path / "data", vocabulary=own_vocabulary(lines))


def test_own_prompts(tmp_path):
    table = tmp_path / "classes.csv"
    table.write_text("class,name,prompt\ncup,tea cup,\ncup,mug,\npot,,a pot seen from above\npot,jug,\npan,,\n")
    found = own_vocabulary(table)
    assert found.names == ("cup", "pot", "pan")
    assert found.phrases(("a {}", "the {}")) == (
        ("a tea cup", "the tea cup", "a mug", "the mug"),
        ("a jug", "the jug", "a pot seen from above"),
        ("a pan", "the pan"),
    )
    lines = tmp_path / "classes.txt"
    for file, text, named in (
        (table, "class\ncup\n", "1 classes"),
        (table, "name\ncup\n", "class"),
        (lines, "a\nb\na\n", "twice"),
    ):
        file.write_text(text)
        with pytest.raises(RequestError, match=named):
            own_vocabulary(file)


def test_counts_groups_and_backgrounds(tree):
    parsed = read_photos(tree)
    assert parsed.counts() == {9: (5, 4), 10: (3, 6), 16: (6, 5), 30: (3, 0)}
    assert {p.background for p in parsed.photos if p.class_index == 16} == {"sky", "branch-with-fruit", "grass"}
    assert [p.path for p in parsed.photos] == sorted(p.path for p in parsed.photos)
    assert len({p.path for p in parsed.photos}) == len(parsed.photos) == 32  # files that share a stem stay apart


def test_every_published_class_resolves_by_its_first_name(tmp_path):
    tree = read_photos(names(tmp_path, *(c.name.split(",")[0] for c in published_classes())))
    assert sorted(tree.classes) == sorted(c.index for c in published_classes())


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
    assert parsed.counts()[9] == (5, 4)


def test_broken_photos_are_listed(tree):
    folder = tree / "16 bulbul" / "common-sky"
    whole = (folder / "0.jpg").read_bytes()
    (folder / "0.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "0.png").write_bytes(b"not an image")
    (folder / "void.jpeg").write_bytes(b"")
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    calls = []
    bad = unreadable(read_photos(tree), calls.append)
    assert sorted(bad) == [f"16 bulbul/common-sky/{n}" for n in ("0.jpg", "0.png", "gone.jpg", "void.jpeg")]
    assert all("0x" not in reason and str(tree) not in reason for reason in bad.values())
    assert len(calls) == 34
    document = inspection_document(read_photos(tree), bad)
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


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    names(tmp_path, "quux")
    (tmp_path / "imagenet_names.txt").write_text("77\tquux\n", encoding="utf-8-sig")
    assert read_photos(tmp_path).classes == {77: "quux"}
    listed = tmp_path / "names.txt"
    listed.write_text("\n".join(f"name {i}" for i in range(1000)), encoding="utf-8-sig")
    assert class_names(str(listed))[0] == "name 0"
    for file, text in (("t.txt", "a {}\n"), ("t.json", '["a {}"]')):
        (tmp_path / file).write_text(text, encoding="utf-8-sig")
        assert templates(str(tmp_path / file)) == ("a {}",)


def test_wrong_requests_are_one_sentence(tree):
    for folder in (tree.parent / "LAION-fnal", tree.parent):
        with pytest.raises(RequestError, match="LAION-final"):
            read_photos(folder)
    for name, named in (("9 copy", "class 9"), ("1000 copy", "1000 .*999"), ("ostritch", "'ostritch'.*'ostrich'")):
        names(tree, name)
        with pytest.raises(RequestError, match=named):
            read_photos(tree)
        shutil.rmtree(tree / name)
