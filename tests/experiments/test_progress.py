"""Nobody waits in silence, and nobody reads noise: what a terminal and a pipe see of work that takes a while."""

import io
import re
import sys
from time import sleep

import pytest

from experiments import progress
from experiments.progress import counting, doing, say, tell, track


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
    assert lines[0].startswith("claims tried: 0 of 1 ")


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


def test_work_is_spoken_of_only_where_nothing_else_speaks(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.4)
    monkeypatch.setattr(progress, "SILENCE", 0.4)
    with doing("compiling"):
        for step in range(40):
            sleep(0.02)
            say(f"step {step}")
        assert "compiling" not in capsys.readouterr().err
        sleep(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(re.fullmatch(r"compiling, \d+ s so far", line) for line in lines)


def test_the_first_second_is_the_only_silent_one(capsys, monkeypatch):
    """However rarely it speaks afterwards, and whatever began and ended before."""
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    for _ in range(2):
        with doing("compiling"):
            sleep(0.3)
        assert re.fullmatch(r"compiling, \d+ s so far\n", capsys.readouterr().err)


@pytest.mark.usefixtures("hurried")
def test_of_work_within_work_the_inner_is_named(capsys):
    with doing("soberclip check: at work"), counting("claims tried", 3) as advance:
        advance(1)
        advance(0, "wang-lemma-d3")
        sleep(0.2)
    lines = capsys.readouterr().err.splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(r"claims tried: 1 of 3 .*, about \d+ s left; now wang-lemma-d3", line)


@pytest.mark.usefixtures("hurried")
def test_a_pipe_gets_one_of_many_lines_and_a_terminal_all(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SILENCE", 60)
    tell("nobody watches")
    with doing("training"):
        for step in range(100):
            tell(f"step {step}")
    assert capsys.readouterr().err == "step 0\n"
    monkeypatch.setattr(sys, "stderr", Terminal())
    with doing("training"):
        for step in range(3):
            tell(f"step {step}")
    assert sys.stderr.getvalue() == "step 0\nstep 1\nstep 2\n"


@pytest.mark.usefixtures("hurried")
def test_a_terminal_that_cannot_rewrite_a_line_gets_lines(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    with counting("encoding", 10):
        sleep(0.2)
    assert sys.stderr.getvalue().startswith("encoding: 0 of 10 ")


@pytest.mark.usefixtures("hurried")
def test_of_bars_within_each_other_the_outermost_is_shown(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    for _ in track(["correlation"], 1, "designs run", str):
        with counting("blocks", 9):
            sleep(0.2)
    assert "designs run" in sys.stderr.getvalue()
    assert "correlation" in sys.stderr.getvalue()
    assert "blocks" not in sys.stderr.getvalue()


def test_work_goes_on_when_its_reader_leaves(monkeypatch):
    class Left(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Left())
    say("step 1")


@pytest.mark.usefixtures("hurried")
def test_one_process_of_several_speaks(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    with doing("compiling"):
        say("step 1")
        sleep(0.12)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("hurried")
def test_the_watch_ends_with_the_work(capsys):
    with pytest.raises(KeyError), counting("encoding", 1):
        raise KeyError
    capsys.readouterr()
    sleep(0.12)
    assert capsys.readouterr().err == ""
