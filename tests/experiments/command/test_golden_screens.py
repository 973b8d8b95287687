"""One screen per verb, at 80 columns: what it says, in which order, and for closed forms with which numbers.

`python tests/experiments/command/test_golden_screens.py` writes them anew; read the difference before you commit it.
"""

import re
import shlex
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import experiments
from experiments.command.main import main
from experiments.command.output import PIPE_WIDTH

EXAMPLE = Path(experiments.__file__).parent / "counteranimal" / "example.npz"
FILE = Path(__file__).with_name("screens.txt")
EXACT = ("predict", "claims", "place", "show", "sweep", "plot", "designs", "counteranimal")  # nothing in them is drawn
SCREENS = dict(re.findall(r"^\$ soberclip (.*)\n((?:(?!\$ ).*\n)*)", FILE.read_text(encoding="utf-8"), re.MULTILINE))


def screen(command: str, folder: Path) -> str:
    """What a command prints; without its numbers and lines where these depend on draws."""
    words = shlex.split(command)
    for name, table in (("table", ".3,.1,0\n.2,.2,.2\n"), ("diagonal", ".5,0\n0,.5\n")):
        (folder / f"{name}.csv").write_text(table)
    for name, counter in (("groups", 0.4), ("better-than-possible", 0.94)):
        (folder / f"{name}.csv").write_text(f"group,accuracy,count\ncommon,.95,1000\ncounter,{counter},1000\n")
    rights = {"common": [9, 9, 9], "counter": [9, 9, 0]}
    answers = [f"9,{group},{index}" for group, given in rights.items() for index in given]
    (folder / "answers.csv").write_text("\n".join(["class_index,group,predicted_index", *answers, ""]))
    (folder / "example.npz").write_bytes(EXAMPLE.read_bytes())
    text = StringIO()
    with chdir(folder), redirect_stdout(text), pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        assert main(words) == 0
    lines = "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
    return lines if words[0] in EXACT else re.sub(r"[-+]?\d[\d,.e-]*", "#", re.sub("[ ─━]+", " ", lines))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all, since `plot` draws what `sweep` stores."""
    return tmp_path_factory.mktemp("screens")


@pytest.mark.parametrize("command", SCREENS)
def test_a_verb_has_its_screen(command, folder):
    assert screen(command, folder) == SCREENS[command]
    assert max(map(len, SCREENS[command].splitlines())) <= PIPE_WIDTH


if __name__ == "__main__":
    with TemporaryDirectory() as where:
        parts = [f"$ soberclip {command}\n{screen(command, Path(where))}" for command in SCREENS]
    FILE.write_text("".join(parts), encoding="utf-8")
