"""One screen per verb, at 80 columns; as a script this writes them anew: read the difference before
you commit it.
"""

import re
import shlex
from contextlib import chdir, redirect_stdout
from io import StringIO
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import experiments
from experiments.command.main import main
from experiments.command.output import PIPE_WIDTH
from experiments.lab.finetuning.spec import preset
from experiments.published.tables import coloured_objects
from tests.experiments.conftest import draw_photo
from tests.experiments.page.test_counts import recorded
from tests.experiments.photos.test_compose import draw_cutout

EXAMPLE = Path(experiments.__file__).parent / "counteranimal" / "example.npz"
FILE = Path(__file__).with_name("screens.txt")
FINETUNED = {  # two trainings of one learner, one of which diverged
    "specification": {"learners": ["zero-shot", "obj"]},
    "accuracies": [
        {"learner": "zero-shot", "group": "rev", "mean": 0.6, "interval": None},
        *(
            {"learner": "obj", "group": group, "mean": 0.7, "interval": [0.61, 0.79]}
            for group in ("trained", "rev")
        ),
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
# Nothing in these is drawn.
EXACT = (
    "predict",
    "claims",
    "place",
    "show",
    "sweep",
    "plot",
    "designs",
    "counteranimal",
    "check trained/infonce",
)
SCREENS = dict(
    re.findall(
        r"^\$ soberclip (.*)\n((?:(?!\$ ).*\n)*)", FILE.read_text(encoding="utf-8"), re.MULTILINE
    )
)
OWN = """
from types import SimpleNamespace
import numpy, torch

def model():
    return SimpleNamespace(
        preprocess=lambda image: torch.tensor(numpy.asarray(image.resize((2, 2)), dtype="float32")),
        encode_image=lambda pixels: pixels.mean(dim=(1, 2)),
        tokenizer=lambda texts: torch.tensor([[int("dog" in text)] for text in texts]),
        encode_text=lambda ids: torch.eye(3)[ids[:, 0]],
    )
"""
RIGHTS = {"common": [9, 9, 9], "counter": [9, 9, 0]}  # answers to photos of class 9
FILES = {
    "table.csv": ".3,.1,0\n.2,.2,.2\n",
    "diagonal.csv": ".5,0\n0,.5\n",
    "answers.csv": (
        "class_index,group,predicted_index\n"
        + "".join(f"9,{group},{index}\n" for group, given in RIGHTS.items() for index in given)
    ),
    **{
        f"{name}.csv": f"group,accuracy,count\ncommon,{common},1000\ncounter,{counter},1000\n"
        for name, common, counter in (
            ("groups", 0.95, 0.4),
            ("better-than-possible", 0.95, 0.94),
            ("certain", 1, 0),
        )
    },
    "example.npz": EXAMPLE.read_bytes(),
    "classes.csv": "class,name\ncat,\ndog,\n",
    "own.py": OWN,
    "imagenet.py": OWN.replace('"dog"', '"ostrich"'),
    "other.py": OWN.replace("ids[:, 0]", "1 - ids[:, 0]"),
}


def prepare(folder: Path) -> None:
    """Write FILES; two classes of cut-outs, and of photos on two backgrounds, which are groups."""
    for name, content in FILES.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    for (k, kind), (g, place) in product(
        enumerate(("cat", "dog")), enumerate(("common-snow", "counter-sea"))
    ):
        draw_cutout(
            folder / "objects" / ("9 ostrich", "16 bulbul")[k] / f"{g}.png", (80 * g, 90, 50 * k)
        )
        for i in range(12):
            draw_photo(folder / "photos" / kind / place / f"{i}.png", 100 * k + 2 * i + g)


def screen(command: str, folder: Path) -> str:
    """What a command prints; without its numbers and lines where these depend on draws."""
    text = StringIO()
    with chdir(folder), redirect_stdout(text), pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        for name, result in LONG.items():
            patch.setattr(name, lambda *_, result=result: result)
        assert main(shlex.split(command)) == 0
    lines = "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
    return (
        lines
        if command.startswith(EXACT)
        else re.sub(r"[-+]?\d[\d,.e-]*", "#", re.sub("[ ─━]+", " ", lines))
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all, since `plot` draws what `sweep` stores."""
    folder = tmp_path_factory.mktemp("screens")
    prepare(folder)
    return folder


@pytest.mark.parametrize("command", SCREENS, ids=str)  # pytest shortens long ones
def test_a_verb_has_its_screen(command, folder):
    # another process may have run the one that writes what this command reads
    for earlier in SCREENS:
        flag, written = ["", *earlier.split()][-2:]
        if (
            flag in ("-o", "--output")
            and written in command.split()[:-1]
            and not (folder / written).exists()
        ):
            screen(earlier, folder)
    assert screen(command, folder) == SCREENS[command]
    assert max(map(len, SCREENS[command].splitlines())) <= PIPE_WIDTH


if __name__ == "__main__":
    with TemporaryDirectory() as where:
        prepare(Path(where))
        parts = [f"$ soberclip {command}\n{screen(command, Path(where))}" for command in SCREENS]
    FILE.write_text("".join(parts), encoding="utf-8")
