"""Options that verbs share: numbers, --json, --output, --seed, and one flag per field of World and
of Recipe.

The flags follow the declarations: a new field is a new flag. A verb gets those that were given, so
that a world file or the default applies to others.
"""

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, get_origin

from cyclopts import Group, Parameter
from pydantic import BaseModel

from experiments.errors import checked_seed
from experiments.files import check_writable
from simulator.quantities import kind_and_meaning
from simulator.world import World

LARGEST_TABLE = 2**24  # bytes of a CSV file
# beyond it whole numbers have no float; Decimal needs minutes to print 1e99999999
LARGEST_EXPONENT = 300


def whole(_type: Any, tokens: Any) -> int:
    """An integer, also written as 1e12. Raises ValueError for fractions, which cyclopts would
    round.
    """
    text = tokens[0].value
    with suppress(InvalidOperation):
        number = Decimal(text)
        if (
            number.is_finite()
            and number.adjusted() <= LARGEST_EXPONENT
            and number == number.to_integral_value()
        ):
            return int(number)
    words = text if len(text) < 40 else f"{text[:12]}... of {len(text)} characters"
    raise ValueError(
        f"{words!r} is not a whole number up to 1e{LARGEST_EXPONENT}; 1000 and 1e3 are"
    )


def table(_type: Any, tokens: Any) -> Any:
    """The rows of a CSV file, or the text that names a table, such as compositional(3, 4, 1)."""
    text = tokens[0].value
    if "(" in text:
        return text
    try:
        with Path(text).open("rb") as file:
            content = file.read(LARGEST_TABLE + 1)
        if len(content) > LARGEST_TABLE:
            raise ValueError(f"more than {LARGEST_TABLE:,} bytes")
        lines = content.decode("utf-8-sig").splitlines()
        return [[float(cell) for cell in line.split(",")] for line in lines if line.strip()]
    except OSError as error:
        raise ValueError(f"{text} cannot be read: {error.strerror}") from None
    except ValueError as error:  # it names the cell, or the byte that is no text
        raise ValueError(
            f"{text}: {error}; a table has one row of numbers per class and no header"
        ) from None


Whole = Annotated[int, Parameter(converter=whole)]


def flag(kind: Any, help: str, **how: Any) -> Any:
    """The type of a flag or an argument with its help; `how` are further options of cyclopts'
    Parameter.
    """
    return Annotated[kind, Parameter(help=help, **how)]


def named(names: Iterable[str], help: str) -> Any:
    """The type of a word that is often one of these names: shells complete them, and any other word
    is read, too.
    """
    return flag(Literal[tuple(names)] | str, help, show_choices=False)


Verbose = flag(bool, "print all that was measured below the answer")
Json = flag(bool, "print one JSON document on stdout")
Seed = flag(
    int,
    "root of every random stream",
    converter=lambda kind, tokens: checked_seed(whole(kind, tokens)),
)


def target(kind: Any, help: str, **how: Any) -> Any:
    """The type of --output, also called -o."""
    return flag(kind, help, name=["--output", "-o"], **how)


def own_folder(verb: str, names: Collection[str], help: str) -> Any:
    """The type of --output: a folder in which the verb may write files of these names. It is
    checked if it is given.
    """

    def checked(_type: Any, tokens: Any) -> Path:
        folder = Path(tokens[0].value)
        check_writable(folder, verb, names)
        return folder

    return target(Path | None, help, converter=checked)


def flags_of(model: type[BaseModel], group: Group, without: tuple[str, ...] = ()) -> Any:
    """The type of a dictionary with the fields of `model` that were given; cyclopts reads it as
    flags.
    """
    fields = {}
    for name, own in model.model_fields.items():
        if name in without:
            continue
        kind, meaning = kind_and_meaning(own.annotation)
        converter = {int: whole, tuple: table}.get(get_origin(kind) or kind)
        meaning = own.description or meaning
        if converter is table:
            kind = Any
            meaning = (
                f"{meaning}; FILE.csv without a header, or a name such as 'compositional(2, 3, 1)'"
            )
        usual = f"{own.default:g}" if isinstance(own.default, float) else own.default
        note = meaning + ("" if usual is None or usual is False else f" [default: {usual}]")
        fields[name] = flag(kind, note, group=group, show_default=False, converter=converter)
    return Annotated[TypedDict(f"{model.__name__}Flags", fields, total=False), Parameter(name="*")]


TRAINING = Group("Training", sort_key=0)
_WORLD = Group("World", sort_key=1)
_FROM_FILES = ("attribute", "common", "views")  # fields of World without a flag


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class WorldOptions:
    """The file of a world, and the fields that flags give it."""

    file: flag(
        Path | None,
        "TOML file with a world's fields; flags override it",
        name="--world",
        group=_WORLD,
    ) = None
    fields: flags_of(World, _WORLD, _FROM_FILES) = field(default_factory=dict)


DEFAULT_WORLD = WorldOptions()
