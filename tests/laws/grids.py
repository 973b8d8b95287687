"""Law 1, one world of a grid is that world alone: grids without equal numbers, and what differs
from their worlds.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

import theory.learners
from simulator.prompts import PROMPTS
from simulator.quantities import domain_of, quantity_of
from simulator.world import CORRELATION, LATENT, SCALARS, STEMS, Attribute, World
from theory.learners.base import UNDEFINED, Learner

# Relative and absolute, by what may differ between a grid and its worlds. Nothing else has a
# tolerance.
TOLERANCE = {
    "rounding": 1e-12,  # sums in another order; sampled answers use the same points
    "root": 1e-7,  # p' is a root, whose bracket the worlds of a grid share
    "training": 1e-9,  # float64 steps, whose products add up in another order
}
HINTS = get_type_hints(World, include_extras=True)
NUMBERS = tuple(name for name in SCALARS if not isinstance(getattr(World(), name), int))
TABLE = ((0.3, 0.1, 0.05), (0.06, 0.04, 0.2), (0.0, 0.07, 0.18))
EDGES: dict[str, dict[str, float]] = {
    **{
        f"{name} = {end:g}": {name: end}
        for name in NUMBERS
        for end in domain_of(HINTS[name])
        if abs(end) <= 1
    },
    "mu_inv = 0": {"mu_inv": 0.0},
    "mu_spu = 0": {"mu_spu": 0.0},
    "p_spu = 1/K": {"p_spu": 0.5},
    "no noise": {"sigma_xi": 0.0, "sigma_xi_text": 0.0},
    "no detail": {"detail_inv": 0.0, "detail_spu": 0.0},
    "no spread": {"sigma_inv": 0.0, "sigma_spu": 0.0},
    "all captions plain": {"bare": 0.0, "mention_inv": 1.0, "mention_spu": 1.0, "mismatch": 0.0},
}


def between(annotation: Any) -> tuple[float, float]:
    """A part of a field's domain, away from its ends."""
    quantity = quantity_of(annotation)
    if quantity.unit == LATENT:
        return 0.5, 2.0
    return (0.55, 0.95) if quantity.domain[1] == 1 and quantity.unit != CORRELATION else (0.1, 0.9)


def spread(annotation: Any, n: int, rng: np.random.Generator) -> np.ndarray:
    """n distinct numbers of a field in any order."""
    low, high = between(annotation)
    return low + (high - low) * (rng.permutation(n) + rng.uniform(0.2, 0.8, n)) / n


def distinct(n: int, seed: int = 0, attributes: int = 0, **fixed: Any) -> World:
    """A row of n worlds in which all numbers differ."""
    rng = np.random.default_rng(seed)
    own = get_type_hints(Attribute, include_extras=True)
    skipped = {*fixed, *(["p_spu"] if "table" in fixed else [])}
    values: dict[str, Any] = {
        name: spread(HINTS[name], n, rng) for name in NUMBERS if name not in skipped
    }
    for name in {"bare", "mismatch"} - skipped:  # more than a half leaves little to learn
        values[name] = values[name] / 2
    for name in {"sigma_xi", "sigma_xi_text"} - skipped:  # of the whole view
        values[name] = values[name] * 4
    values |= {name: 16 + rng.permutation(n) for name in ("dim_image", "dim_text")}
    further = tuple(
        Attribute(**{stem: spread(own[stem], n, rng) for stem in STEMS}) for _ in range(attributes)
    )
    return World(**{**values, "attribute": further, **fixed})


def with_edges(edges: Iterable[dict[str, float]], seed: int = 0, **fixed: Any) -> World:
    """A row of distinct worlds; every second one lies at an edge, between two that do not."""
    edges = [*edges]
    worlds = distinct(2 * len(edges) + 1, seed, **fixed)
    values = {
        name: np.array(np.broadcast_to(getattr(worlds, name), worlds.shape)) for name in NUMBERS
    }
    for k, edge in enumerate(edges):
        for name, value in edge.items():
            values[name][2 * k + 1] = value
    return worlds.replace(
        **{name: x for name, x in values.items() if name not in fixed and x.dtype.kind == "f"}
    )


def every_learner() -> Iterator[Learner]:
    """Every learner of the packages with every prompt, and every value of each further option, one
    at a time.
    """
    for module in pkgutil.iter_modules(theory.learners.__path__):
        importlib.import_module(f"theory.learners.{module.name}")
    for kind in subclasses(Learner):
        if not (kind.__module__.startswith("theory.") and hasattr(kind, "name")):
            continue
        known = {field.name for field in fields(kind)}
        prompts = [{"prompt": name} for name in PROMPTS] if "prompt" in known else [{}]
        for prompt in accepted(kind, prompts):
            yield kind(**prompt)
            for option in sorted(known - {"prompt"}):
                beside = {
                    name: value for name, value in BESIDE.get(option, {}).items() if name in known
                }
                given = ({**prompt, option: value, **beside} for value in values_of(kind, option))
                values = [*accepted(kind, given)]
                assert values, (
                    f"no value of {kind.__name__}'s {option} is known; state some in OPTIONS"
                )
                yield from (kind(**own) for own in values)


def subclasses(kind: type) -> Iterator[type]:
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


def accepted(kind: type, options: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The options that a learner takes."""
    for given in options:
        try:
            kind(**given)
        except ValueError:
            continue
        yield given


# Values of options whose type does not tell them, and what an option needs beside it.
OPTIONS = {
    "prompts": [((1.0, 0.0), (0.3, 1.0), (1.0, 1.0))],
    "projected": [True, (0.2, -0.7)],
    "kept": [0.4, 1.0],
    "time": [0.7],
    "start": [1e-2],
    "scale": [3.0],
}
BESIDE = {
    "start": {"time": 3.0},
    "embed_dim": {"scale": 3.0},
    "bias": {"scale": 3.0, "batch_size": 8},
    "batch_size": {"scale": 3.0},
}
OF_TYPES = {bool: [True], int: [1, 2], float: [0.4]}


def values_of(kind: type, option: str) -> list[Any]:
    """Values of an option other than its default: stated, or those of its type."""
    if option in OPTIONS:
        return OPTIONS[option]
    hint = get_type_hints(kind)[option]
    values = list[Any]()
    for one in (hint,) if get_origin(hint) is Literal else get_args(hint) or (hint,):
        values += get_args(one) if get_origin(one) is Literal else OF_TYPES.get(one, [])
    usual = next(field.default for field in fields(kind) if field.name == option)
    return [value for value in values if value != usual]


def numbers(answer: Any) -> dict[str, np.ndarray]:
    """All numbers of an answer by their names, with the grid's axes first: also ends of intervals
    and their level.
    """
    if isinstance(answer, World):
        further = {
            f"attribute {k}.{stem}": getattr(a, stem)
            for k, a in enumerate(answer.attribute)
            for stem in STEMS
        }
        own = {name: getattr(answer, name) for name in SCALARS} | further
        return {name: np.broadcast_to(x, answer.shape) for name, x in own.items() if x is not None}
    if hasattr(answer, "interval"):  # exact numbers have intervals of width 0 beside others
        own = {
            field.name: getattr(answer, field.name)
            for field in fields(answer)
            if field.name != "interval"
        }
        own = {name: np.asarray(x) for name, x in own.items() if x is not None}
        ends = {} if answer.interval is None else answer.interval.ends
        return own | {
            f"{name}, end {k}": np.asarray(ends.get(name, (x, x))[k])
            for name, x in own.items()
            for k in (0, 1)
        }
    if isinstance(answer, tuple):
        return {
            f"{k} {name}": x for k, part in enumerate(answer) for name, x in numbers(part).items()
        }
    return {} if answer is None else {"": np.asarray(answer)}


def tried(f: Callable[..., Any], *given: Any) -> Any:
    """The answer, or the refusal."""
    try:
        return f(*given)
    except UNDEFINED as error:
        return error


def differences(f: Callable[..., Any], grid: World, tolerance: float, *others: Any) -> list[str]:
    """How f(grid)[i] differs from f(grid[i]), in refusals, too; `others` have one entry per world.
    Empty by the law.
    """
    alone = [tried(f, grid[i], *(x[i] for x in others)) for i in range(grid.size)]
    refused = [i for i, x in enumerate(alone) if isinstance(x, Exception)]
    keep = [i for i in range(grid.size) if i not in refused]
    assert 2 * len(keep) >= grid.size, (
        f"{len(keep)} of {grid.size} worlds have an answer: {alone[refused[0]]}"
    )
    wrong = []
    for i in refused:
        some = sorted({keep[0], i, keep[-1]})
        if not isinstance(tried(f, grid[some], *(x[some] for x in others)), Exception):
            wrong.append(f"world {i} alone is refused, and is answered between others: {alone[i]}")
    whole = tried(f, grid[keep], *(x[keep] for x in others))
    if isinstance(whole, Exception):
        return [*wrong, f"the grid is refused, and no world alone: {whole}"]
    together = numbers(whole)
    level = getattr(getattr(whole, "interval", None), "level", None)
    wrong += outside(together)
    for place, i in enumerate(keep):
        own = numbers(alone[i])
        interval = getattr(alone[i], "interval", None)
        if interval is not None and interval.level != level:
            wrong.append(f"world {i}: level {level} in the grid, {interval.level} alone")
        if own.keys() != together.keys():
            wrong.append(f"world {i}: {together.keys() ^ own.keys()} in one answer alone")
        for name in own.keys() & together.keys():
            a, b = together[name], own[name]
            a = a[place] if a.ndim else a  # one number for all worlds
            if np.shape(a) != np.shape(b) or not np.allclose(
                a, b, rtol=tolerance, atol=tolerance, equal_nan=True
            ):
                wrong.append(f"world {i}, {name}: {a} in the grid, {b} alone")
    return wrong


def outside(named: dict[str, np.ndarray]) -> list[str]:
    """Numbers that lie outside their own intervals (law 2), to rounding; those that have none are
    nan.
    """
    found = []
    for name in (name for name in named if f"{name}, end 0" in named):
        value, low, high = (
            np.asarray(named[each], float) for each in (name, f"{name}, end 0", f"{name}, end 1")
        )
        # the negative part of its interval is left out, if there is another
        if name.endswith("shortfall"):
            value = np.where((low == 0) & (value < 0) & (high >= 0), 0.0, value)
        if np.any((value < low - 1e-9) | (value > high + 1e-9)):
            found.append(f"{name} = {value} outside {low} to {high}")
    return found


def in_all_shapes(f: Callable[..., Any], grid: World, tolerance: float, row: Any) -> list[str]:
    """As `differences`, of worlds and a row with one entry each: of grid and row, of grid and one,
    of one and row.
    """
    return [
        *differences(f, grid, tolerance, row),
        *differences(lambda worlds: f(worlds, row[0]), grid, tolerance),
        *differences(lambda _, part: f(grid[0], part), grid, tolerance, row),
    ]


class Counted(int):
    """The length of chunks of a loop over `range(0, whole, length)`; it counts how often it is
    added to a start.
    """

    seen = 0

    def __radd__(self, start: int) -> int:
        type(self).seen += 1
        return start + int(self)
