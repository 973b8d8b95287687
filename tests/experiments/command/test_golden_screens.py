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
from experiments.lab.finetuning.spec import preset
from experiments.published.tables import coloured_objects
from tests.experiments.page.test_counts import recorded

EXAMPLE = Path(experiments.__file__).parent / "counteranimal" / "example.npz"
FILE = Path(__file__).with_name("screens.txt")
FINETUNED = {  # two trainings of one learner, one of which diverged
    "specification": {"learners": ["zero-shot", "obj"]},
    "accuracies": [
        {"learner": "zero-shot", "group": "rev", "mean": 0.6, "interval": None},
        *({"learner": "obj", "group": group, "mean": 0.7, "interval": [0.61, 0.79]} for group in ("trained", "rev")),
    ],
    "printed": coloured_objects(),
    "trainings": [{"validation": 0.9}, {"validation": None}],
    "objects": {"test": [11, 20]},
    "names": ["car", "zebra"],
    "model": "open_clip:RN50/openai",
    "design": preset().words,
    "output": None,
}
LONG = {  # the functions that take minutes, and what they return here
    "experiments.page.reproduce.reproduce": recorded(),
    "experiments.lab.finetuning.selection.run": FINETUNED,
}
EXACT = ("predict", "claims", "place", "show", "sweep", "plot", "designs", "counteranimal")  # nothing in them is drawn
SCREENS = dict(re.findall(r"^\$ soberclip (.*)\n((?:(?!\$ ).*\n)*)", FILE.read_text(encoding="utf-8"), re.MULTILINE))


def screen(command: str, folder: Path) -> str:
    """What a command prints; without its numbers and lines where these depend on draws."""
    words = shlex.split(command)
    for name, table in (("table", ".3,.1,0\n.2,.2,.2\n"), ("diagonal", ".5,0\n0,.5\n")):
        (folder / f"{name}.csv").write_text(table)
    for name, common, counter in (("groups", 0.95, 0.4), ("better-than-possible", 0.95, 0.94), ("certain", 1, 0)):
        (folder / f"{name}.csv").write_text(f"group,accuracy,count\ncommon,{common},1000\ncounter,{counter},1000\n")
    rights = {"common": [9, 9, 9], "counter": [9, 9, 0]}
    answers = [f"9,{group},{index}" for group, given in rights.items() for index in given]
    (folder / "answers.csv").write_text("\n".join(["class_index,group,predicted_index", *answers, ""]))
    (folder / "example.npz").write_bytes(EXAMPLE.read_bytes())
    text = StringIO()
    with chdir(folder), redirect_stdout(text), pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        for name, result in LONG.items():
            patch.setattr(name, lambda *_, result=result: result)
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
