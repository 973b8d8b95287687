"""Progress: nothing in a pipe, on a terminal one line that disappears, and a forecast that only
falls.
"""

import io
import re
import sys
from time import sleep

import pytest

from simulator import progress
from simulator.progress import counting, say, tell, track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """A terminal with 60 columns on which progress appears at once."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress.line.console, "width", 60)

    def use() -> Terminal:  # in the test, because pytest replaces stderr between setup and call
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    return use


def test_a_pipe_gets_no_progress_and_a_terminal_none_of_short_work(monkeypatch, capsys, terminal):
    with monkeypatch.context() as usual:
        usual.setattr(progress, "PATIENCE", 3.0)
        stderr = terminal()
        assert list(track(range(3), 3, "claims tried", str)) == [0, 1, 2]
        assert "claims" not in stderr.getvalue()
    monkeypatch.undo()
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    with counting("soberclip check: at work"):
        tell("searching")
        say("torch.compile failed")
    assert capsys.readouterr() == ("", "soberclip: torch.compile failed\n")


def test_a_terminal_shows_the_innermost_work_in_one_line(terminal, capsys):
    stderr = terminal()
    with counting("soberclip check: at work") as outer:
        with counting("photos", 10, "photos/s") as advance:
            advance(5, "a photo with a name that is longer than the terminal is wide")
            sleep(0.5)
            say("training: step 1")
            tell("the last photo")
            print('{"json": 1}')
            sleep(0.5)
        progress.line.stop()  # as before a result is printed
        shown = stderr.getvalue()
        sleep(0.3)
        outer(1)
    assert stderr.getvalue() == shown, "nothing follows the end"
    assert capsys.readouterr().out == '{"json": 1}\n'
    assert "photos: 5 of 10 after 0 s" in shown
    assert shown.count("soberclip: training: step 1\n") == 1
    lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", part) for part in re.split(r"[\r\n]", shown)]
    assert max(map(len, lines)) <= 60


def test_the_forecast_only_falls_and_is_withheld_while_it_would_rise(terminal, monkeypatch):
    terminal()
    clock = [0.0]
    monkeypatch.setattr(progress.line, "get_time", lambda: clock[0])
    with counting("cells", 8) as advance:
        task = progress.line.tasks[-1]
        forecasts = []
        for seconds in (1, 2, 3, 30, 31, 32, 33):
            clock[0] = seconds
            advance(1)
            found = re.search(
                "about (.*) s left|slower", str(progress.line.columns[-1].render(task))
            )
            forecasts.append(found and (found[1] or found[0]))
    assert forecasts == [None, "6", "5", "slower", "slower", "slower", "5"]


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("RANK", "1")])
def test_nothing_on_a_plain_terminal_or_in_a_second_process(terminal, monkeypatch, name, value):
    stderr = terminal()
    monkeypatch.setenv(name, value)
    with counting("photos", 10) as advance:
        advance(1)
        sleep(0.3)
    assert stderr.getvalue() == ""


def test_a_closed_stderr_does_not_end_the_work(monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    with counting("photos", 10):
        say("step 1")
