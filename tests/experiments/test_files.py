"""Nothing half-written: a failed write leaves the old file and no trace of the new one."""

import json
import os
from pathlib import Path

import pytest

from experiments.errors import RequestError, RunError
from experiments.files import (
    MARK,
    output_folder,
    refuse_foreign,
    refuse_others,
    replace_folder,
    staging_folder,
    writable,
    write_atomically,
    write_json,
    write_text,
)


def test_text_and_json_arrive_whole(tmp_path):
    write_text(tmp_path / "a.txt", "ä\n")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "ä\n"
    write_json(tmp_path / "a.json", {"x": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [1, None]}
    assert os.stat(tmp_path / "a.json").st_mode & 0o777 == 0o644


def test_interrupted_write_keeps_the_old_file(tmp_path):
    target = tmp_path / "result.json"
    write_text(target, "old")

    def half(path: Path):
        path.write_text("hal")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(target, half)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_reader_of_the_old_file_keeps_it_whole(tmp_path):
    """The new file takes the old one's name; nothing is written over what somebody has open."""
    write_text(tmp_path / "a", "old")
    with open(tmp_path / "a") as reader:
        write_text(tmp_path / "a", "new")
        assert reader.read() == "old"
    assert (tmp_path / "a").read_text() == "new"


def test_full_disk_is_one_sentence(tmp_path):
    def full(path: Path):
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match="could not be written: No space left on device"):
        write_atomically(tmp_path / "a", full)
    assert not list(tmp_path.iterdir())


def test_nan_is_not_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert not list(tmp_path.iterdir())


def test_output_folder(tmp_path):
    assert output_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="is a file"):
        output_folder(tmp_path / "file")
    with pytest.raises(RequestError, match="cannot be written"):
        output_folder(tmp_path / "file" / "below")


@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o002, 0o664)])
def test_files_are_as_private_as_their_user_wants(tmp_path, mask, mode):
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


def test_a_wish_for_a_folder_leaves_nothing_behind(tmp_path):
    writable(tmp_path / "a" / "b")
    writable(tmp_path)
    assert not list(tmp_path.iterdir())


RESULT, RUN = ("result.json", "world.toml"), ("run.json", "weights.safetensors", "result.json")


@pytest.mark.parametrize(
    ("verb", "names", "there", "words"),
    [
        ("simulate", RESULT, {"result.json": {"verb": "predict"}}, "holds a result.json of predict"),
        ("predict", RESULT, {"result.json": {"verb": "simulate"}}, "holds a result.json of simulate"),
        ("train", RUN, {"result.json": {"verb": "simulate"}}, "holds a result.json of simulate"),
        ("simulate", RESULT, {"result.json": {}, "run.json": {}}, "holds a result.json of train"),
        ("simulate", RESULT, {"run.json": {}}, "holds a run.json of train"),
        ("simulate", RESULT, {"run.json": {}, "world.toml": 1}, "holds a world.toml of train"),
        ("predict", RESULT, {"result.json": {}}, "holds a result.json that no predict of this edition wrote"),
        ("predict", RESULT, {"world.toml": "mine"}, "holds a world.toml that no predict of this edition wrote"),
        ("train", RUN, {"weights.safetensors": "mine"}, "holds a weights.safetensors that no train"),
        ("check", ("verdicts.json",), {"verdicts.json": {}}, "holds a verdicts.json that no check"),
        (
            "check",
            ("verdicts.json",),
            {"verdicts.json": [{"claim": "a"}], MARK: {"files": ["verdicts.json"]}},
            "holds a verdicts.json of reproduce",
        ),
    ],
)
def test_no_verb_writes_over_another_s_work(tmp_path, verb, names, there, words):
    for name, document in there.items():
        (tmp_path / name).write_text(json.dumps(document))
    with pytest.raises(RequestError, match=words):
        refuse_others(tmp_path, verb, names)


@pytest.mark.parametrize(
    ("verb", "names", "there"),
    [
        ("simulate", RESULT, {"result.json": {"verb": "simulate"}, "world.toml": "a"}),
        ("train", RUN, {"result.json": {}, "run.json": {}, "weights.safetensors": "a"}),
        ("check", ("verdicts.json",), {"verdicts.json": [{"claim": "a"}], "thesis.tex": "mine"}),
        ("predict", RESULT, {"thesis.tex": "mine"}),
        ("predict", RESULT, {}),
    ],
)
def test_a_verb_may_run_again(tmp_path, verb, names, there):
    for name, document in there.items():
        (tmp_path / name).write_text(json.dumps(document))
    refuse_others(tmp_path, verb, names)


def report(folder: Path, *names: str) -> None:
    """Replace `folder` by a report of these files, as reproduce does."""
    refuse_foreign(folder)
    staging = staging_folder(folder)
    for name in names:
        (staging / name).write_text("made")
    replace_folder(staging, folder)


def test_a_report_replaces_only_what_it_made(tmp_path):
    folder = tmp_path / "report"
    report(folder, "report.html", "old.svg")
    report(folder, "report.html", "new.svg")
    assert {path.name for path in folder.iterdir()} == {"report.html", "new.svg", MARK}
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(RequestError, match=r"holds other things, 'thesis\.tex' for one"):
        report(folder, "report.html")
    assert (folder / "thesis.tex").read_text() == "mine"
    assert list(tmp_path.iterdir()) == [folder]


def test_what_comes_while_the_report_is_made_is_safe_too(tmp_path):
    folder = tmp_path / "report"
    folder.mkdir()
    refuse_foreign(folder)
    staging = staging_folder(folder)
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(RequestError, match=r"'thesis\.tex'"):
        replace_folder(staging, folder)
    assert (folder / "thesis.tex").exists()


def test_a_report_without_a_mark_is_not_replaced(tmp_path):
    for name in ("report.html", "thesis.tex", ".git"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(RequestError, match=r"holds a report\.html without the mark"):
        refuse_foreign(tmp_path)
