"""From a store to a file: suffixes, marks, damaged and foreign files."""

import shutil

import numpy as np
import pytest

from experiments.lab.studies import study


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A store of a study of two learners over two axes."""
    path = tmp_path_factory.mktemp("plot") / "phase.zarr"
    axes = {"p_spu": "0.5:1:7", "mu_spu": "0.5:4:6"}
    return (
        path,
        study(axes=axes, learners=["linear", "least-squares"], prompts=["name", "mean"])
        .run(path)
        .load(),
    )


@pytest.fixture
def store(kept, tmp_path):
    path = tmp_path / "phase.zarr"
    shutil.copytree(kept[0], path)
    return path


@pytest.mark.parametrize(
    ("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")]
)
def test_the_suffix_decides_and_redrawing_gives_the_same_file(store, suffix, start, soberclip):
    target = store.parent / f"new/picture{suffix}"
    written = set()
    for _ in range(2):
        assert (
            soberclip(
                "plot", store, "--at", "mu_spu=4", "--at", "prompt=mean", "--output", target
            ).status
            == 0
        )
        written.add(target.read_bytes())
    (content,) = written
    assert content.startswith(start)
    assert b"soberclip plot" in content
    assert list(target.parent.iterdir()) == [target]


def test_json_holds_the_drawn_numbers(store, kept, soberclip):
    document = soberclip(
        "plot", store, "--what", "linear:name minus least-squares", "--json"
    ).document
    assert document["output"] == str(store.with_suffix(".svg"))
    assert store.with_suffix(".svg").exists()
    table = kept[1].counter
    own = table.sel(learner="linear", prompt="name") - table.sel(
        learner="least-squares", prompt="name"
    )
    (panel,) = document["panels"]
    (series,) = panel["series"]
    assert np.allclose(series["value"], own)
    assert [axis["name"] for axis in document["axes"]] == ["p_spu", "mu_spu"]
    assert np.array_equal(document["axes"][0]["values"], table.p_spu)
    assert (series["learner"], series["prompt"], series["against"]["learner"]) == (
        "linear",
        "name",
        "least-squares",
    )
    assert len(panel["boundary"]["exact"][0]) > 10


def test_a_wrong_request_names_the_value(store, tmp_path, soberclip):
    file = tmp_path / "notes.txt"
    file.write_text("notes")
    (tmp_path / "other").mkdir()
    target = store.with_suffix(".svg")
    target.write_text("<svg>a thesis</svg>")
    for words, value in (
        ([store], "phase.svg"),
        ([file], "notes.txt"),
        ([tmp_path / "phse.zarr"], "phse.zarr"),
        ([tmp_path / "other"], "other"),
        ([store, "--output", tmp_path / "a.svgg"], "nearest is .svg"),
        ([store, "--output", tmp_path / "fig"], "has no suffix; pictures end in .svg, .png, .pdf"),
        ([store, "--output", store], "phase.zarr"),
        ([store, "--at", "p_spu"], "'p_spu'"),
    ):
        run = soberclip("plot", *words)
        assert (run.status, run.out, run.err.count("\n"), value in run.err) == (
            2,
            "",
            1,
            True,
        ), run.err
    assert target.read_text() == "<svg>a thesis</svg>"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "notes.txt",
        "other",
        "phase.svg",
        "phase.zarr",
    ]
