"""Progress: short work is silent, a pipe gets occasional lines, a terminal gets bars."""

import io
import sys
from time import sleep

import pytest

from experiments import progress
from experiments.progress import counting, say, track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def quick(monkeypatch):
    """Make progress appear after 20 ms."""
    monkeypatch.setattr(progress, "PATIENCE", 0.02)


@pytest.fixture
def terminal(monkeypatch):
    progress._console.cache_clear()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")

    def use() -> Terminal:  # in the test, because pytest replaces stderr between setup and call
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    yield use
    progress._console.cache_clear()


def test_short_work_is_silent(terminal, capsys):
    assert list(track(range(3), 3, "claims tried")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
    stderr = terminal()
    assert list(track(range(3), 3, "claims tried")) == [0, 1, 2]
    assert stderr.getvalue() == ""


def test_a_pipe_gets_a_line_after_three_seconds_and_every_ten_seconds(monkeypatch, capsys):
    clock = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: clock[0])
    monkeypatch.setattr(progress, "PATIENCE", 3.0)
    with counting("claims tried", 20) as advance:
        for k in range(20):
            clock[0] += 4
            advance(1, f"claim {k}")
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 7
    assert lines[1] == "claims tried: 4 of 20 after 16 s, about 64 s left; now claim 3"


@pytest.mark.usefixtures("quick")
def test_a_terminal_shows_nested_bars_and_lines_above_them(terminal):
    stderr = terminal()
    with counting("soberclip check: at work"), counting("photos", 10, "photos/s") as advance:
        advance(3, "wang-lemma-d3")
        sleep(0.2)
        say("training: step 1")
        sleep(0.2)
    shown = stderr.getvalue()
    for words in ("soberclip check: at work", "photos", "3/10", "left", "wang-lemma-d3", "training: step 1\n"):
        assert words in shown
    sleep(0.1)
    assert stderr.getvalue() == shown, "a bar ends with its work"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("RANK", "1")])
def test_no_bar_on_a_plain_terminal_or_in_a_second_process(terminal, monkeypatch, name, value):
    stderr = terminal()
    monkeypatch.setenv(name, value)
    with counting("photos", 10) as advance:
        sleep(0.1)
        advance(1)
    assert "\x1b" not in stderr.getvalue()
    assert ("photos: 1 of 10" in stderr.getvalue()) == (name == "TERM")


def test_a_closed_stderr_does_not_end_the_work(monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    say("step 1")
