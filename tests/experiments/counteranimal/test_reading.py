"""Both layouts, strays, broken files, and one sentence for each wrong request."""

import os

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


def test_bare_names_resolve_to_the_same_classes(tree):
    indexed = read_photos(tree)
    for folder, bare in (
        ("9 ostrich, Struthio camelus", "ostrich"),
        ("10 brambling, Fringilla montifringilla", "Brambling"),
        ("30 bullfrog, Rana catesbeiana", "bullfrog"),
        ("16 bulbul", "bulbul"),
    ):
        (tree / folder).rename(tree / bare)
    assert read_photos(tree).counts() == indexed.counts()


def test_every_published_class_resolves_by_its_first_name(tmp_path):
    for c in published_classes():
        (tmp_path / c.name.split(",")[0] / "common-x").mkdir(parents=True)
    assert sorted(read_photos(tmp_path).classes) == sorted(c.index for c in published_classes())


def test_the_trees_own_list_is_asked_first(tmp_path):
    (tmp_path / "quux" / "common-x").mkdir(parents=True)
    (tmp_path / "imagenet_names.txt").write_text("0\ttench\n77\tquux, nothing\n")
    assert read_photos(tmp_path).classes == {77: "quux"}


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
    """They were noticed when the predictions were written, after all photos had been encoded."""
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
    with pytest.raises(RequestError, match=r"there is no folder .*LAION-fnal.*'LAION-final'"):
        read_photos(tree.parent / "LAION-fnal")
    with pytest.raises(RequestError, match=r"no photos two levels below.*try .*LAION-final"):
        read_photos(tree.parent)
    (tree / "9 copy" / "common-x").mkdir(parents=True)
    with pytest.raises(RequestError, match="class 9 is given twice"):
        read_photos(tree)
    (tree / "9 copy").rename(tree / "1000 copy")
    with pytest.raises(RequestError, match=r"1000 .*outside 0..999; the nearest valid index is 999"):
        read_photos(tree)
    (tree / "1000 copy").rename(tree / "ostritch")
    with pytest.raises(RequestError, match=r"'ostritch'.*nearest is 'ostrich'"):
        read_photos(tree)


def test_backgrounds_need_no_group(tmp_path):
    (tmp_path / "9 ostrich" / "ground").mkdir(parents=True)
    (tmp_path / "9 ostrich" / "ground" / "a.jpg").write_bytes(b"")
    assert [(p.group, p.background) for p in read_photos(tmp_path, "each").photos] == [("", "ground")]
