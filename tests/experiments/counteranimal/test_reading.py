"""A folder of photos is counted, its strays and broken files are listed, and wrong requests are refused."""

import os
import shutil

import pytest

from experiments.counteranimal.inspection import inspection_document
from experiments.counteranimal.labels import class_names, templates
from experiments.counteranimal.photos import unreadable
from experiments.counteranimal.reading import read_photos
from experiments.errors import RequestError
from experiments.published.tables import published_classes


def test_counts_groups_and_backgrounds(tree):
    parsed = read_photos(tree)
    assert parsed.counts() == {9: (5, 4), 10: (3, 6), 16: (6, 5), 30: (3, 0)}
    assert {p.background for p in parsed.photos if p.class_index == 16} == {"sky", "branch-with-fruit", "grass"}
    assert [p.path for p in parsed.photos] == sorted(p.path for p in parsed.photos)
    assert len({p.path for p in parsed.photos}) == len(parsed.photos) == 32  # files that share a stem stay apart


def test_every_published_class_resolves_by_its_first_name(tmp_path):
    for c in published_classes():
        (tmp_path / c.name.split(",")[0] / "common-x").mkdir(parents=True)
    assert sorted(read_photos(tmp_path).classes) == sorted(c.index for c in published_classes())


def test_strays_are_listed_and_not_counted(tree):
    (tree / "notes.txt").write_text("x")
    (tree / "script.py").write_text("x")
    (tree / "9 ostrich, Struthio camelus" / "common-ground" / "Thumbs.db").write_bytes(b"x")
    (tree / "9 ostrich, Struthio camelus" / "other").mkdir()
    (tree / "empty").mkdir()
    parsed = read_photos(tree)
    assert parsed.strays == (
        "9 ostrich, Struthio camelus/common-ground/Thumbs.db",
        "9 ostrich, Struthio camelus/other",
        "empty",
        "notes.txt",
        "script.py",
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
    bad = unreadable(read_photos(tree), lambda: calls.append(1))
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
    assert read_photos(tree).strays == ("16 bulbul/common-sky/caf\\xe9.txt",)
    with open(place + b"/caf\xe9.jpg", "wb"):
        pass
    with pytest.raises(RequestError, match=r"caf\\\\xe9\.jpg' is not UTF-8.*rename it"):
        read_photos(tree)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    (tmp_path / "quux" / "common-x").mkdir(parents=True)
    (tmp_path / "imagenet_names.txt").write_text("77\tquux\n", encoding="utf-8-sig")
    assert read_photos(tmp_path).classes == {77: "quux"}
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"name {i}" for i in range(1000)), encoding="utf-8-sig")
    assert class_names(str(names))[0] == "name 0"
    for file, text in (("t.txt", "a {}\n"), ("t.json", '["a {}"]')):
        (tmp_path / file).write_text(text, encoding="utf-8-sig")
        assert templates(str(tmp_path / file)) == ("a {}",)


def test_wrong_requests_are_one_sentence(tree):
    for folder in (tree.parent / "LAION-fnal", tree.parent):
        with pytest.raises(RequestError, match="LAION-final"):
            read_photos(folder)
    for name, named in (("9 copy", "class 9"), ("1000 copy", "1000 .* 999"), ("ostritch", "'ostritch'.*'ostrich'")):
        (tree / name / "common-x").mkdir(parents=True)
        with pytest.raises(RequestError, match=named):
            read_photos(tree)
        shutil.rmtree(tree / name)
