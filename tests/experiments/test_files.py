"""A failed write leaves the old file and no part of the new one."""

import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from experiments.errors import RequestError, RunError
from experiments.files import (
    MARK,
    RUN_FILES,
    check_report,
    check_writable,
    replace_folder,
    staging_folder,
    write_atomically,
    write_json,
    write_text,
)


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (KeyboardInterrupt("Ctrl-C"), KeyboardInterrupt),
        (OSError(28, "No space left on device"), RunError),
    ],
)
def test_interrupted_write_keeps_the_old_file(tmp_path, failure, raised):
    target = tmp_path / "result.json"
    write_text(target, "old")

    def half(path: Path):
        path.write_text("hal")
        raise failure

    with pytest.raises(raised, match=r"Ctrl-C|No space left on device"):
        write_atomically(target, half)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o002, 0o664)])
def test_files_follow_the_umask(tmp_path, mask, mode):
    def private(path: Path):
        path.write_text("")
        path.chmod(0o600)  # as safetensors does

    before = os.umask(mask)
    try:
        write_text(tmp_path / "a", "")
        write_atomically(tmp_path / "b", private)
    finally:
        os.umask(before)
    assert [os.stat(tmp_path / name).st_mode & 0o777 for name in "ab"] == [mode, mode]


RESULT = ("result.json", "world.toml")
RUN = ("run.json", "weights.safetensors", "result.json")
VERDICTS = ("verdicts.json",)


@pytest.mark.parametrize(
    ("verb", "names", "there", "name"),
    [
        ("simulate", RESULT, {"result.json": {"verb": "simulate"}, "world.toml": "a"}, None),
        (
            "train",
            RUN,
            {"result.json": {}, "run.json": {"specification": {}}, "weights.safetensors": "a"},
            None,
        ),
        ("check", VERDICTS, {"verdicts.json": [{"claim": "a"}], "thesis.tex": "mine"}, None),
        ("predict", RESULT, {"thesis.tex": "mine"}, None),
        ("simulate", RESULT, {"result.json": {"verb": "predict"}}, "result.json"),
        ("simulate", RESULT, {"result.json": {"verb": "train"}, "run.json": {}}, "r"),
        ("simulate", RESULT, {"run.json": {"specification": {}}}, "run.json"),
        ("predict", RESULT, {"world.toml": "mine"}, "world.toml"),
        ("train", RUN, {"weights.safetensors": "mine"}, "weights.safetensors"),
        ("train", RUN_FILES, {"history.csv": "mine"}, "history.csv"),
        ("train", RUN_FILES, {"history.zarr": "mine"}, "history.zarr"),
        ("train", RUN_FILES, {"history.csv": "a", "run.json": {"specification": {}}}, None),
        ("check", VERDICTS, {"verdicts.json": {"claim": "my thesis"}}, "verdicts.json"),
        ("check", VERDICTS, {"verdicts.json": [1]}, "verdicts.json"),
        ("check", VERDICTS, {"verdicts.json": ["claim"], MARK: {"files": [[1]]}}, "verdicts.json"),
        ("train", RUN, {"run.json": ["specification"]}, "run.json"),
        (
            "check",
            VERDICTS,
            {"verdicts.json": [{"claim": "a"}], MARK: {"files": ["verdicts.json"]}},
            "verdicts.json",
        ),
    ],
)
def test_a_verb_overwrites_only_its_own_files(tmp_path, verb, names, there, name):
    for file, document in there.items():
        write_json(tmp_path / file, document)
    with (
        nullcontext()
        if name is None
        else pytest.raises(RequestError, match=f"{name}.* not written by .* {verb}")
    ):
        check_writable(tmp_path, verb, names)


@pytest.mark.parametrize(
    ("text", "ours"), [("mark", True), ("a" * 200_000 + "mark", True), ("mine", False)]
)
def test_a_mark_identifies_our_files(tmp_path, text, ours):
    check_writable(tmp_path, "plot", ["picture.svg"], b"mark")
    (tmp_path / "picture.svg").write_text(text)
    with nullcontext() if ours else pytest.raises(RequestError, match="picture"):
        check_writable(tmp_path, "plot", ["picture.svg"], b"mark")


def test_a_file_that_appears_while_the_report_is_made_is_kept(tmp_path):
    folder = tmp_path / "report"
    folder.mkdir()
    check_report(folder)
    staging = staging_folder(folder)
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(RequestError, match=r"'thesis\.tex'"):
        replace_folder(staging, folder)
    assert (folder / "thesis.tex").exists()


def test_a_report_that_cannot_be_replaced_is_moved_back(tmp_path, monkeypatch):
    folder = tmp_path / "report"
    rename = Path.rename
    first = staging_folder(folder)
    second = staging_folder(folder)
    write_text(first / "report.html", "old")
    write_text(second / "report.html", "new")
    replace_folder(first, folder)

    def fails(path, target):
        if path == second:
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(RunError, match="No space left on device"):
        replace_folder(second, folder)
    assert (folder / "report.html").read_text() == "old"
    assert sorted(tmp_path.iterdir()) == sorted([folder, second])


def test_nan_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    check_writable(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [None, '{"files": [["a"], {}, 1]}', "[1]", "[" * 100_000, "\x00"])
def test_a_folder_without_a_mark_or_with_a_foreign_one_is_kept(tmp_path, text):
    (tmp_path / (MARK if text else "report.html")).write_text(text or "mine")
    with pytest.raises(RequestError, match="did not make"):
        check_report(tmp_path)
