"""Progress: short work is silent, a pipe gets occasional lines, a terminal one line that rewrites itself."""

import io
import sys
from time import sleep

import pytest

from simulator import progress
from simulator.progress import ERASE, counting, end, say, tell, track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """A terminal with 60 columns on which progress appears after 20 ms."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(progress, "PATIENCE", 0.02)
    monkeypatch.setattr(progress, "BLINK", 0.02)

    def use() -> Terminal:  # in the test, because pytest replaces stderr between setup and call
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    return use


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test may set."""
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "_display", progress._Display())
    monkeypatch.setattr(progress, "PATIENCE", 3.0)
    return now


def test_short_work_is_silent(terminal, monkeypatch, capsys):
    assert list(track(range(3), 3, "claims tried")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
    stderr = terminal()
    monkeypatch.setattr(progress, "PATIENCE", 0.2)
    assert list(track(range(3), 3, "claims tried")) == [0, 1, 2]
    sleep(0.3)
    assert stderr.getvalue() == ""


def test_a_pipe_gets_a_line_after_three_seconds_and_every_ten_seconds(clock, capsys):
    with counting("claims tried", 20) as advance:
        for k in range(20):
            clock[0] += 4
            advance(1, f"claim {k}")
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 7
    assert lines[:3] == [
        "claims tried: 1 of 20 after 4 s; now claim 0",
        "claims tried: 4 of 20 after 16 s; now claim 3",
        "claims tried: 7 of 20 after 28 s, about 52 s left; now claim 6",
    ]


def test_states_of_the_innermost_work_appear_in_a_pipe(clock, capsys):
    with counting("soberclip check: at work"):
        for seconds, state in ((2, "searching"), (5, "measuring"), (9, "audit point 1"), (16, "audit point 5")):
            clock[0] = seconds
            tell(state)
    assert capsys.readouterr().err.splitlines() == ["measuring, after 5 s", "audit point 5, after 16 s"]


def test_a_call_from_python_is_silent_for_three_seconds(clock, capsys):
    for begin in (0, 100):
        for seconds in (0, 2, 4, 9, 15):
            clock[0] = begin + seconds
            tell(f"audit point {seconds}")
    assert capsys.readouterr().err.splitlines() == 2 * ["audit point 4", "audit point 15"]


def test_a_terminal_shows_the_innermost_work_in_one_line(terminal):
    stderr = terminal()
    with counting("soberclip check: at work"):
        with counting("photos", 10, "photos/s") as advance:
            advance(5, "a photo with a name that is longer than the terminal is wide")
            sleep(0.2)
            say("training: step 1")
            sleep(0.1)
        end()  # as before a result is printed
        shown = stderr.getvalue()
        sleep(0.1)
    before, after = shown.split("training: step 1\n")
    for part in (before, after):
        assert "photos: 5 of 10 after 0 s" in part
        assert "\n" not in part
        assert max(map(len, part.split(ERASE))) < 60
    assert before.endswith(ERASE)
    assert shown.endswith(ERASE)
    assert stderr.getvalue() == shown, "nothing follows the end"


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("RANK", "1")])
def test_no_line_is_rewritten_on_a_plain_terminal_or_in_a_second_process(terminal, monkeypatch, name, value):
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
    with counting("photos", 10):
        say("step 1")
