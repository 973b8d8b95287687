"""Output that verbs share: JSON or a screen on stdout, and a folder with the result.

A screen is a group of lines and tables. Tables show accuracies in percent. Nothing is cropped: long
cells wrap.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from experiments.files import output_folder, to_json, write_json, write_text
from simulator.progress import line
from simulator.world import World

VERDICT_STYLES = {
    "proved": "bold green",
    "supported": "green",
    **dict.fromkeys(("contradicted", "refuted"), "red"),
    **dict.fromkeys(("undecided", "refused"), "yellow"),
}
MANY = "ideal classifiers of many correlations have this drop"
PIPE_WIDTH = 100  # columns in a pipe


def emit(
    document: Any,
    as_json: bool,
    view: Callable[[Any], RenderableType],
    output: Path | None = None,
    world: World | None = None,
) -> None:
    """Write the result into the output folder, if there is one, and print it as JSON or as a
    screen.

    Objects in the document become JSON here; a screen sees the objects.
    """
    if output is not None:
        from experiments.lab.config import world_toml  # slow to import

        folder = output_folder(output)
        if world is not None:
            write_text(folder / "world.toml", world_toml(world))
        write_json(folder / "result.json", document)
    line.stop()  # the progress disappears before the result is printed
    if as_json:
        print(json.dumps(document, allow_nan=False, default=to_json))
    else:
        # words in brackets are words
        plain = dict.fromkeys(("markup", "emoji", "highlight"), False)
        Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, **plain).print(view(document))


def warning(sentence: str) -> Text:
    return Text(sentence, style="yellow")


def dim(sentence: str) -> Text:
    return Text(sentence, style="dim")


def indented(words: str) -> Padding:
    return Padding(Text(words), (0, 0, 0, 4), expand=False)
