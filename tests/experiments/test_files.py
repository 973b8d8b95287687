"""Nothing half-written: a failed write leaves the old file and no trace of the new one."""

import json
import os
from pathlib import Path

import pytest

from experiments.errors import RequestError, RunError
from experiments.files import output_folder, write_atomically, write_json, write_text


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
