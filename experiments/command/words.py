"""Words that every verb shares: numbers as people write them, --json, --output, --seed, and how a result is printed."""

import json
import sys
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from experiments.progress import say
from simulator.world import World

# No number of ours has more digits. Decimal itself reads 1e99999999 at once and needs minutes to write it out.
LARGEST_EXPONENT = 400
PIPED = 10_000  # columns where nobody's terminal is the limit: a line a row, for grep and less -S


def whole(_type: Any, tokens: Any) -> int:
    """An integer, also as 1e12; fractions are refused rather than rounded."""
    text = tokens[0].value
    number = _decimal(text, "a whole number; 1000 and 1e3 are")
    if not number.is_finite() or number != number.to_integral_value():
        raise ValueError(f"{text} is not a whole number; 1000 and 1e3 are")
    return int(number)


def real(_type: Any, tokens: Any) -> float:
    """A float; pydantic checks its domain after the merge with a world file."""
    return float(_decimal(tokens[0].value, "a number"))


def _decimal(text: str, wanted: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not {wanted}") from None
    if number.is_finite() and number.adjusted() > LARGEST_EXPONENT:
        shown = text if len(text) < 40 else f"{text[:12]}... of {len(text)} characters"
        raise ValueError(f"{shown} lies beyond 1e{LARGEST_EXPONENT}, outside every domain here")
    return number


Whole = Annotated[int, Parameter(converter=whole)]
Json = Annotated[bool, Parameter(negative="", help="print one JSON document on stdout")]
Output = Annotated[Path | None, Parameter(help="folder for result.json and world.toml, made if need be")]
Seed = Annotated[Whole, Parameter(help="root of every random stream")]


def note(sentence: str) -> None:
    """What is not the result, on stderr."""
    say(f"soberclip: {sentence}")


def free_output(output: Path | None, verb: str, names: Iterable[str]) -> None:
    """Refuse, before the work, a folder that cannot be written or whose files of these names are not this verb's."""
    if output is not None:
        from experiments.files import check_folder

        check_folder(output, verb, names)


def emit(document: Any, as_json: bool, table, output: Path | None = None, world: World | None = None) -> None:
    """Write the result's folder if asked, then print it: JSON on stdout, or a table for people."""
    if output is not None:
        from experiments.files import output_folder, write_json, write_text
        from experiments.lab.worlds import world_toml

        folder = output_folder(output)
        if world is not None:
            write_text(folder / "world.toml", world_toml(world))
        write_json(folder / "result.json", document)
    if as_json:
        print(json.dumps(document, allow_nan=False))
    else:
        from rich.console import Console

        Console(width=None if sys.stdout.isatty() else PIPED).print(table(document))


def checked_output(output: Path | None) -> None:
    """Refuse an unusable output folder before the work rather than after it."""
    if output is not None:
        from experiments.files import output_folder

        output_folder(output)
