"""From a store to a file, as a user would: suffixes, marks, damaged and foreign things."""

import json
import shutil

import numpy as np
import pytest

from experiments.command.main import main
from experiments.lab.studies import study
from experiments.page.plot.save import mark


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A store of a study of two learners over two axes."""
    path = tmp_path_factory.mktemp("plot") / "phase.zarr"
    axes = {"p_spu": "0.5:1:7", "mu_spu": "0.5:4:6"}
    return path, study(axes=axes, learners=["linear", "least-squares"], prompts=["name", "mean"]).run(path).load()


@pytest.fixture
def store(kept, tmp_path):
    path = tmp_path / "phase.zarr"
    shutil.copytree(kept[0], path)
    return path


def refused(capsys, *arguments):
    assert main(["plot", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("soberclip: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_the_suffix_decides_and_an_own_picture_is_drawn_again(store, suffix, start, capsys):
    target = store.parent / f"new/picture{suffix}"
    for _ in range(2):
        assert main(["plot", str(store), "--at", "mu_spu=4", "--output", str(target)]) == 0
        assert target.read_bytes().startswith(start)
        assert mark("plot").encode() in target.read_bytes()
    assert list(target.parent.iterdir()) == [target]
    assert "counter over p_spu, 1 panel" in capsys.readouterr().out


def test_the_same_picture_is_the_same_file(store, capsys):
    held = ["--at", "learner=linear", "--at", "prompt=mean"]
    for name in ("a.svg", "b.svg"):
        assert main(["plot", str(store), *held, "--output", str(store.parent / name)]) == 0
    assert (store.parent / "a.svg").read_bytes() == (store.parent / "b.svg").read_bytes()


def test_json_holds_what_is_drawn(store, kept, capsys):
    assert main(["plot", str(store), "--what", "linear:name minus least-squares", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["output"] == str(store.with_suffix(".svg"))
    assert store.with_suffix(".svg").exists()
    table = kept[1].counter
    own = table.sel(learner="linear", prompt="name") - table.sel(learner="least-squares", prompt="name")
    (panel,) = document["panels"]
    (series,) = panel["series"]
    assert np.allclose(series["value"], own)
    assert [axis["name"] for axis in document["axes"]] == ["p_spu", "mu_spu"]
    assert np.array_equal(document["axes"][0]["values"], table.p_spu)
    assert (series["learner"], series["prompt"], series["against"]["learner"]) == ("linear", "name", "least-squares")
    assert len(panel["boundary"]["exact"][0]) > 10
    assert panel["boundary"]["interpolated"] == []


def test_what_is_held_is_held(store, capsys):
    assert main(["plot", str(store), "--at", "mu-spu=4", "--at", "learner=linear", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "lines"
    assert [s["prompt"] for s in document["panels"][0]["series"]] == ["name", "mean"]


def test_a_file_of_somebody_else_stays(store, capsys):
    target = store.with_suffix(".svg")
    target.write_text("<svg>a thesis</svg>")
    assert "phase.svg" in refused(capsys, store)
    assert target.read_text() == "<svg>a thesis</svg>"


def test_a_wrong_request_names_the_value(store, tmp_path, capsys):
    file = tmp_path / "notes.txt"
    file.write_text("notes")
    (tmp_path / "other").mkdir()
    assert "notes.txt" in refused(capsys, file)
    assert "'phase.zarr'" in refused(capsys, tmp_path / "phse.zarr")
    assert "other" in refused(capsys, tmp_path / "other")
    assert "nearest is .svg" in refused(capsys, store, "--output", tmp_path / "a.svgg")
    assert "phase.zarr" in refused(capsys, store, "--output", store)
    assert "'p_spu'" in refused(capsys, store, "--at", "p_spu")
    assert "'least-squares minus least-squares'" in refused(
        capsys, store, "--what", "least-squares minus least-squares"
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes.txt", "other", "phase.zarr"]


def test_a_damaged_chunk_is_a_failed_run(store, capsys):
    chunk = next(p for p in (store / "counter").iterdir() if p.suffix != ".json")
    chunk.write_bytes(b"\x00" + chunk.read_bytes()[1:])
    assert main(["plot", str(store)]) == 1
    assert "damaged" in capsys.readouterr().err
