"""How a quantity is declared: its symbol, meaning, unit and finite domain. `simulator.world`
declares its fields so.

Validation, flags with their help, JSON schema, Hypothesis strategies and axis labels derive from
these annotated types. Bounds are finite on purpose: an infinite parameter cannot be drawn, plotted
or searched.
"""

import reprlib
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_args, get_origin

import numpy as np
from pydantic import BeforeValidator, Field, PlainValidator

from simulator.naming import outside
from simulator.tables import named

ROUNDING = 1e-9  # of the sum of a table

if TYPE_CHECKING:  # a field of a grid of worlds is an array
    Number: TypeAlias = np.ndarray | float
    Whole: TypeAlias = Any  # one world's sizes go where an int is needed
else:  # the type that flags, axes and the JSON schema read
    Number, Whole = float, int


@dataclass(frozen=True)
class Notation:
    """Symbol, meaning and unit of a number, and its domain (both ends included) if it can be
    set.
    """

    symbol: str
    meaning: str
    unit: str
    domain: tuple[float, float] = (-np.inf, np.inf)


def numbers(value: Any, low: float, high: float) -> Any:
    """The number or array `value` as float64, or as int64 if `low` is an int; ValueError says what
    is wrong with it.
    """
    try:
        array = np.array(value)
    except ValueError:  # rows of different lengths
        array = np.array(None)
    real = array.dtype == object and all(
        isinstance(x, Real) and not isinstance(x, bool) for x in array.flat
    )
    if array.dtype.kind not in "fiu" and not real:
        raise ValueError(f"{reprlib.repr(value)} is neither a number nor an array of numbers")
    array = array.astype(np.float64, copy=False) if array.dtype.kind == "f" else array
    if array.size and not (low <= array.min() and array.max() <= high):  # nan fails both
        raise ValueError(outside(array[~((low <= array) & (array <= high))].flat[0], low, high))
    whole = isinstance(low, int)
    if whole and (broken := array % 1 != 0).any():
        raise ValueError(f"{array[broken].flat[0]} is not a whole number")
    array = array.astype(np.int64 if whole else np.float64, copy=False)
    return array.item() if array.ndim == 0 else read_only(array)


def joint_table(value: Any) -> tuple[tuple[float, ...], ...]:
    """The rows of a table of joint probabilities, or of a named one; ValueError says what is wrong
    with it.
    """
    table = np.asarray(numbers(named(value) if isinstance(value, str) else value, 0.0, 1.0))
    if table.ndim != 2 or min(table.shape) < 2:
        what = f"{reprlib.repr(value)} is not a list"
        raise ValueError(
            f"{what} of at least two rows, one per class, of at least two numbers each"
        )
    K, A = table.shape
    if abs(table.sum() - 1) > ROUNDING:
        raise ValueError(
            f"{K} x {A} numbers that sum to {table.sum():.12g}; joint probabilities sum to 1"
        )
    if not (present := table.any(axis=1)).all():
        raise ValueError(
            f"{K} x {A} numbers with 0 in all of row {np.argmin(present) + 1}; training shows every"
            " class"
        )
    return tuple(map(tuple, table.tolist()))


def read_only(array: np.ndarray) -> np.ndarray:
    """The array; nobody can change its numbers."""
    array.flags.writeable = False
    return array


def number(symbol: str, meaning: str, unit: str, low: float, high: float) -> tuple[Any, ...]:
    """What a type says of a number (a whole one if `low` is an int) or of an array: domain, meaning
    and Notation.
    """
    check = PlainValidator(partial(numbers, low=low, high=high), json_schema_input_type=type(low))
    return check, Field(description=meaning), Notation(symbol, meaning, unit, (low, high))


def one_number(symbol: str, meaning: str, unit: str, low: float, high: float) -> tuple[Any, ...]:
    """As `number`, without arrays."""
    check = BeforeValidator(partial(numbers, low=low, high=high))
    return (
        Field(strict=True, description=meaning),
        check,
        Notation(symbol, meaning, unit, (low, high)),
    )


# The blocks of the latents, in the words of a meaning.
BLOCKS = {
    "inv": {"latent": "invariant", "part": "object", "match": "object shown is the label's"},
    "spu": {"latent": "spurious", "part": "background", "match": "background matches the label"},
}


def blockwise(
    symbol: str, meaning: str, unit: str, low: float, high: float
) -> dict[str, tuple[Any, ...]]:
    """What the types of one number per block say (see `number`), by block; the meaning has gaps for
    its words.
    """
    return {
        b: number(rf"{symbol}_{{\mathrm{{{b}}}}}", meaning.format(**words), unit, low, high)
        for b, words in BLOCKS.items()
    }


LATENT = "latent units"

ImageSide = Annotated[
    int,
    *one_number(r"S", "height and width of the images; unset: chosen by source", "pixels", 8, 512),
]
PairCount = Annotated[int, *one_number(r"n", "pairs to train on", "pairs", 2, 10**12)]
Time = Annotated[
    float,
    *one_number(
        r"t", "time of gradient flow after which training stops; inf: at the optimum", "", 0.0, 1e9
    ),
]
Start = Annotated[
    float,
    *one_number(
        r"m_0",
        "strength of every mode at the start, in units of 1/rho",
        "latent units squared",
        1e-12,
        1e3,
    ),
]
LARGEST_SCALE = 100.0  # Radford et al. 2021: logits are never scaled by more than 100
Scale = Annotated[
    float,
    *one_number(
        r"s",
        "logit scale of unit embeddings; unset: scores without limits",
        "",
        0.01,
        LARGEST_SCALE,
    ),
]
Bias = Annotated[
    float, *one_number(r"b", "bias of SigLIP's scores; unset: learned", "", -200.0, 200.0)
]
LARGEST_SEED = 2**63 - 1
Seed = Annotated[
    int, *one_number(r"\mathrm{seed}", "root of every random stream", "", 0, LARGEST_SEED)
]


def declared(annotation):
    """The declaration inside an annotation, which may be optional (`ViewNoise | None`)."""
    if hasattr(annotation, "__metadata__"):
        return annotation
    return next(part for part in get_args(annotation) if hasattr(part, "__metadata__"))


def quantity_of(annotation) -> Notation:
    """The Notation inside an annotated type."""
    return next(part for part in get_args(declared(annotation)) if isinstance(part, Notation))


def kind_and_meaning(hint: Any) -> tuple[Any, str]:
    """int, float, str, a tuple or a Literal, which is a type without bounds and None; and its
    description, if any.
    """
    meaning = ""
    while get_origin(hint) not in (None, Literal, tuple):  # Annotated, or a union with None
        parts = get_args(hint)
        meaning = meaning or next(
            filter(None, (getattr(part, "description", None) for part in parts)), ""
        )
        hint = next(part for part in parts if part is not NoneType)
    return hint, meaning


def domain_of(annotation) -> tuple[float, float]:
    """(low, high) of an annotated type, both ends included."""
    return quantity_of(annotation).domain


def check_count(name: str, value: Any, low: int, high: float = np.inf) -> None:
    """Raise ValueError for a count that is not an integer in [low, high], naming the nearest."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError(f"{name} = {value!r} is not an integer")
    if not low <= int(value) <= high:
        raise ValueError(f"{name} = {outside(value, low, high)}")


# Quantities that are measured, not set; the same words label axes, columns and reports.
MEASURED = {
    "common": Notation(r"\mathrm{Acc}(a = y)", "accuracy on the common group", "fraction"),
    "counter": Notation(r"\mathrm{Acc}(a \neq y)", "accuracy on the counter group", "fraction"),
    "unseen": Notation(
        r"\mathrm{Acc}(\mathrm{unseen})", "accuracy on pairs that training never shows", "fraction"
    ),
    "rand": Notation(
        r"\mathrm{Rand}", "accuracy of tied classes with uniform attributes", "fraction"
    ),
    "rev": Notation(
        r"\mathrm{Rev}", "accuracy of tied classes with another tied class's attribute", "fraction"
    ),
    "rest": Notation(
        r"\mathrm{Rest}", "accuracy of the other classes with uniform attributes", "fraction"
    ),
    "balanced": Notation(r"\mathrm{Acc}", "mean of the two group accuracies", "fraction"),
    "drop": Notation(r"\Delta", "common minus counter accuracy", "fraction"),
    "error-counter": Notation(r"\mathrm{Err}(a \neq y)", "error on the counter group", "fraction"),
    "worst": Notation(r"\min", "smallest of the group accuracies", "fraction"),
    "equivalent-correlation": Notation(
        r"p'",
        "equivalent correlation, the share of common images whose ideal classifier has the same"
        " gaps",
        "probability",
    ),
    "shortfall": Notation(
        r"r",
        "shortfall, the accuracy that all groups lack against the ideal classifier of the same"
        " gaps",
        "fraction",
    ),
    "reliance": Notation(
        r"t", "weight on the spurious over weight on the invariant latent", "ratio"
    ),
}
