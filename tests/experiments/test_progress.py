"""Nobody waits in silence, and nobody reads noise: what a terminal and a pipe see of work that takes a while."""

import io
import sys
from time import sleep

import pytest

from experiments import progress
from experiments.progress import counting, heartbeat, track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def hurried(monkeypatch):
    """Silence is broken after 50 ms, and a bar appears after 20."""
    monkeypatch.setattr(progress, "SILENCE", 0.05)
    monkeypatch.setattr(progress, "PATIENCE", 0.02)


def test_short_work_says_nothing(capsys):
    assert list(track(range(3), 3, "claims tried")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("hurried")
def test_a_pipe_hears_of_long_work_while_its_first_item_is_not_done(capsys):
    for _ in track([1], 1, "claims tried"):
        sleep(0.2)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) >= 2
    assert lines[0].startswith("claims tried: 0 of 1 after ")


@pytest.mark.usefixtures("hurried")
def test_a_terminal_sees_a_labelled_clock(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with counting("encoding", 10, "photos/s") as advance:
        advance(3)
        sleep(0.2)
    shown = sys.stderr.getvalue()
    assert "3/10" in shown
    assert "so far," in shown
    assert "left" in shown
    assert "\n\n" not in shown


@pytest.mark.usefixtures("hurried")
def test_a_terminal_sees_no_bar_for_short_work(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 5.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(track(range(3), 3, "claims tried")) == [0, 1, 2]
    assert "claims tried" not in sys.stderr.getvalue()


def test_a_heartbeat_is_heard_only_where_nothing_else_is(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SILENCE", 0.4)
    with heartbeat(lambda seconds: "compiling") as said:
        for _ in range(40):
            sleep(0.02)
            said()
        assert capsys.readouterr().err == ""
        sleep(1)
    assert set(capsys.readouterr().err.splitlines()) == {"compiling"}


@pytest.mark.usefixtures("hurried")
def test_one_process_of_several_speaks(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    with heartbeat(lambda seconds: "compiling"):
        sleep(0.12)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("hurried")
def test_the_watch_ends_with_the_work(capsys):
    with pytest.raises(KeyError), counting("encoding", 1):
        raise KeyError
    capsys.readouterr()
    sleep(0.12)
    assert capsys.readouterr().err == ""
