"""Every format gives the same bundle; arrays that contradict each other are refused in one
sentence.
"""

import zipfile

import numpy as np
import pytest
import torch
from planted_embeddings import planted
from safetensors.torch import save_file

from experiments.errors import RequestError
from experiments.heads.bundle import FEWEST, checked, read

N = 80


@pytest.fixture
def arrays():
    return planted(np.random.default_rng(0), N, 4)


def as_npz(path, arrays):
    np.savez(path / "a.npz", **arrays)
    return path / "a.npz"


def as_safetensors(path, arrays):
    # there are no words
    numbers = arrays | {"group": (arrays["group"] == "counter").astype(np.uint8)}
    save_file(
        {name: torch.tensor(array) for name, array in numbers.items()}, path / "a.safetensors"
    )
    return path / "a.safetensors"


@pytest.mark.parametrize("write", [as_npz, as_safetensors])
def test_every_format_holds_the_same(write, arrays, tmp_path):
    found = checked(read(write(tmp_path, arrays)))
    expected = checked(arrays)
    chosen = np.array([3, 0, 70])
    np.testing.assert_allclose(found.rows(chosen), expected.rows(chosen), atol=1e-6)
    np.testing.assert_allclose(found.text, expected.text, atol=1e-6)
    np.testing.assert_allclose(found.text_background, expected.text_background, atol=1e-6)
    for name in ("label", "common", "background"):
        assert (getattr(found, name) == getattr(expected, name)).all()
    assert (found.names, found.train, found.notes) == (("0", "1"), None, ())


def test_half_precision_and_prompts_by_class(arrays, tmp_path):
    arrays |= {
        "image": torch.tensor(5 * arrays["image"]).bfloat16(),
        "text": np.stack([arrays["text"]] * 3, axis=1),
    }
    found = checked({name: torch.tensor(a) if name == "label" else a for name, a in arrays.items()})
    assert found.text.shape == (2, 3, 5)
    np.testing.assert_allclose(np.linalg.norm(found.rows(slice(0, 9)), axis=1), 1, atol=1e-6)
    assert found.notes == (f"{N} of {N} rows of image are not unit vectors and are normalised",)


def test_backgrounds_of_the_training_rows_decide(arrays):
    """The most frequent background of a class is common, however rare the class. In the test rows,
    most are counter.
    """
    del arrays["group"]
    arrays["label"] = np.arange(N) % 3 // 2
    train = np.arange(N) < 15
    rare = np.arange(N) // 3 % 5 < 2
    arrays["background"] = np.where(rare == train, 1 - arrays["label"], arrays["label"]) + 7
    arrays["split"] = np.where(train, "train", "test")
    assert (checked(arrays).common == (rare != train)).all()


def test_the_share_of_common_training_rows_is_a_mean_over_classes(arrays):
    """Two thirds of the training rows are of class 0, of which half are common; of class 1 three
    quarters are.
    """
    del arrays["background"]
    row = np.arange(N)
    train = np.arange(N) < 48
    label = np.where(train, row % 3 // 2, row % 2)
    common = np.where(train, row // 3 % 4 < 2 + label, row // 2 % 2)
    split = np.where(train, "train", "test")
    group = np.where(common, "common", "counter")
    found = checked(arrays | {"label": label, "group": group, "split": split})
    assert found.train_correlation == pytest.approx((1 / 2 + 3 / 4) / 2)


def test_rare_backgrounds_of_a_class_and_group_are_taken_together(arrays):
    """Every row has a background of its own, but those of class 0's common rows."""
    own = (arrays["label"] == 0) & (arrays["group"] == "common")
    found = checked(arrays | {"background": np.where(own, -1, np.arange(N))})
    for y in (0, 1):
        for common in (True, False):
            assert (
                len(set(found.background[(found.label == y) & (found.common == common)].tolist()))
                == 1
            )
    assert len(set(found.background.tolist())) == 4


def test_rarity_counts_the_rows_that_are_measured(arrays):
    """Background 7 of class 1 has 8 counter rows more: enough in the file, too few among the test
    rows.
    """
    label = np.tile([0, 1], 60)
    group = np.where(np.arange(120) % 4 < 2, "common", "counter")
    seven = np.flatnonzero((label == 1) & (group == "counter"))[:FEWEST]
    more = {"image": np.random.default_rng(0).normal(size=(120, 5)), "label": label, "group": group}
    more["background"] = np.where(
        np.isin(np.arange(120), seven), 7, np.where(group == "common", label, 1 - label)
    )
    assert (
        checked(arrays | more).background == checked(arrays | more).background[seven[0]]
    ).sum() == FEWEST
    split = np.where(np.arange(120) < 60, "train", "test")
    found = checked(arrays | more | {"split": split}).background
    assert found[seven].min() > 2  # not one of the three named


def test_pairs_that_no_training_row_shows_are_in_no_group():
    """Class 1 on background 7 is in test rows alone; the file's own groups stand, with a note."""
    n = np.arange(240)
    arrays = planted(np.random.default_rng(0), 240, 4)
    label = n % 2
    test = n // 2 % 2 == 1
    background = np.where(n // 4 % 3 == 0, 1 - label, label)
    new = (label == 1) & test & (n < 20)
    arrays |= {
        "label": label,
        "background": np.where(new, 7, background),
        "split": np.where(test, "test", "train"),
    }
    group = np.where(arrays["background"] == label, "common", "counter")
    found = checked({**arrays, "group": None})
    told = checked({**arrays, "group": group})
    assert (found.unseen == new).all()
    assert (found.common == (group == "common")).all()
    assert found.notes == (
        (
            "5 rows are unseen: no training row shows their class on their background; they are"
            " neither common nor counter"
        ),
    )
    assert not told.unseen.any()
    assert told.notes == (
        "5 rows show a class on a background that no training row of the class shows",
    )


def with_row(name, value):
    return lambda a: np.where(
        np.arange(N)[:, None] == 4, value, np.array(a.get(name, a["image"]), dtype=float)
    )


@pytest.mark.parametrize(
    ("name", "make", "part"),
    [
        ("image", with_row("image", np.nan), "row 4 of image is not finite"),
        ("image", with_row("image", 0.5), "row 4 of image is constant"),
        ("image", lambda a: np.tile(a["image"][:1], (N, 1)), "all rows of image are equal"),
        ("image", lambda a: a["image"][0], "image has shape (5,)"),
        ("image", lambda a: a["image"].astype(str), "image holds <U"),
        (
            "text",
            lambda a: a["text"][:, :3],
            "text has shape (2, 3); expected K x D or K x T x D with D = 5",
        ),
        (
            "text",
            lambda a: np.stack([a["text"], -a["text"]], axis=1),
            "the prompts of class 0 cancel",
        ),
        (
            "text",
            lambda a: np.stack([a["text"], a["text"][::-1]], axis=1) + np.eye(5)[2],
            "have one mean",
        ),
        ("text", lambda a: a.update(label=0 * a["label"]), "label has 1 classes"),
        ("text_background", lambda a: np.eye(3), "text_background has shape (3, 3)"),
        ("text_background", lambda a: np.eye(1, 5), "text_background has shape (1, 5)"),
        ("caption", lambda a: a["image"][1:], "caption has shape (79, 5)"),
        ("caption", with_row("caption", np.inf), "row 4 of caption is not finite"),
        ("background", lambda a: a["background"] * np.nan, "background holds float64"),
        ("label", lambda a: a["label"][:-1], f"label has shape ({N - 1},); expected {N} entries"),
        ("label", lambda a: a["label"] / 1.0, "label holds float64"),
        ("label", lambda a: a["label"] - 1, "label holds -1"),
        (
            "label",
            lambda a: np.uint8(255 * a["label"]),
            "label goes up to 255, so text needs 256 classes and has 2",
        ),
        (
            "label",
            lambda a: a["label"] + 1,
            "label goes up to 2, so text needs 3 classes and has 2",
        ),
        ("label", lambda a: None, "the array 'label' is missing"),
        ("group", lambda a: a.update(background=None), "neither group nor background is given"),
        (
            "background",
            lambda a: a.update(group=np.array(["common"] * N)),
            "class 0 has no rows in the counter group",
        ),
        (
            "group",
            lambda a: np.roll(a["group"], 1),
            "group contradicts background: class 0 on background 0 is common",
        ),
        ("group", lambda a: np.array(["usual"] * N), "group holds 'usual'"),
        ("group", lambda a: a["label"] > 0, "group holds 'bool numbers'"),
        (
            "split",
            lambda a: np.array(["train"] * N),
            "class 0 has no test rows in the common group",
        ),
        ("names", lambda a: ["owl"], "names has 1 entries; expected 2"),
        ("txet", lambda a: a["text"], "the nearest is text"),
    ],
)
def test_contradictions_are_refused(name, make, part, arrays):
    arrays[name] = make(arrays)
    with pytest.raises(RequestError) as refused:
        checked(arrays)
    sentence = str(refused.value)
    assert part in sentence
    assert "\n" not in sentence


def test_files_never_execute_and_never_claim_more_than_they_hold(arrays, tmp_path):
    np.savez(tmp_path / "pickled.npz", **arrays, names=np.array([{}, print], dtype=object))
    header = (
        np.lib.format.magic(1, 0)
        + b"v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000, 9), }"
    )
    with zipfile.ZipFile(tmp_path / "large.npz", "w") as archive:
        archive.writestr("image.npy", header.ljust(128, b" ") + b"\n")
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "damaged.safetensors").write_bytes(b"\xff" * 40)
    (tmp_path / "image.pt").write_bytes(b"")
    for name, sentence in {
        "pickled.npz": "not a readable .npz file",
        ".": "is not a file of embeddings; expected .npz or .safetensors",
        "large.npz": "not a readable .npz file",
        "damaged.npz": "not a readable .npz file",
        "damaged.safetensors": "not a readable .safetensors file",
        "image.pt": "is not a file of embeddings; expected .npz or .safetensors",
        "none.npz": "does not exist",
    }.items():
        with pytest.raises(RequestError, match=sentence):
            read(tmp_path / name)


def test_few_rows_are_refused(arrays):
    counter = np.flatnonzero((arrays["label"] == 1) & (arrays["group"] == "counter"))
    for n in (0, FEWEST - 1):
        kept = np.setdiff1d(np.arange(N), counter[n:])
        short = {name: array[kept] if len(array) == N else array for name, array in arrays.items()}
        with pytest.raises(
            RequestError,
            match=f"class 1 has {n or 'no'} rows in the counter group; expected {FEWEST}",
        ):
            checked(short)
