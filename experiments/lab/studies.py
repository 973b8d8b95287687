"""Studies: any grid of worlds and learners, validated together and then run.

>>> from experiments import study
>>> table = study(axes={"p_spu": "0.5:1:3"}, learners=["linear"]).run()
>>> table.counter.dims
('p_spu', 'learner', 'prompt')

A study file holds the arguments of `study`: learners, prompts, routes, n, replicates, seed, and the tables [axes]
(p_spu = "0.5:1:51", or a list), [world] and [recipe]. Files and flags are merged first, then validated once.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from numbers import Real
from pathlib import Path
from typing import Any

import xarray as xr
from rich.filesize import decimal

from experiments.errors import RequestError, check_within, checked_seed, unknown
from experiments.lab.answers import MOST_REPLICATES
from experiments.lab.axes import OF_LEARNERS, OF_RECIPE, Axis, axis
from experiments.lab.cells import ROUTES, StudyData
from experiments.lab.config import read_toml, validated, world_from
from experiments.lab.run import mapping, run
from simulator.naming import suggestion
from simulator.prompts import PROMPTS
from simulator.quantities import PairCount, domain_of
from simulator.towers.recipe import Recipe
from simulator.world import World
from theory.learners import Learner, names

LISTS, TABLES = ("learners", "prompts", "routes"), ("axes", "recipe", "world")
KEYS = (*LISTS, "n", "replicates", "seed", *TABLES)  # of a study file
MOST_CELLS = 10**17  # numpy counts up to 9e18 bytes, more than any disk holds
CELL_BYTES = 24  # at least: two accuracies and a reliance


class Study(StudyData):
    """A validated study; `study` makes one."""

    def run(
        self, path: "str | Path | None" = None, *, workers: int | None = None, scheduler: str | None = None
    ) -> xr.Dataset:
        """Compute the blocks that the store at `path` lacks, or all in memory without a path; return the Dataset.

        Parameters
        ----------
        path : a folder or an fsspec address
        workers : number of processes of this machine
        scheduler : address of a dask cluster
        """
        with mapping(workers, scheduler) as mapped:
            return run(self, path, mapped=mapped)


def study(
    world: World | None = None,
    axes: "Mapping[str, Any] | Iterable[Axis]" = (),
    learners: "Sequence[str | Learner] | str | Learner" = ("linear",),
    prompts: Sequence[str] | str = ("name",),
    routes: Sequence[str] | str = ("theory",),
    n: int | float | None = None,
    replicates: int | float = 1,
    seed: int | float = 0,
    recipe: "Mapping[str, Any] | Recipe | None" = None,
) -> Study:
    """A study, validated before any work.

    Parameters
    ----------
    world : base world; the default world if None
    axes : values by field, each a range or list as text ("0.5:1:51", "1e-3:1:7:log") or numbers
    learners, prompts : names, one or several; learners may be objects
    routes : of theory, exact, drawn and trained
    n : number of pairs, for routes that measure
    replicates : independent trainings per cell
    seed : root of the random streams
    recipe : how towers are trained

    Raises
    ------
    RequestError
        in one sentence that names the field and the value.

    >>> study(axes={"p-spu": [0.5, 0.9], "mu_spu": "1:4:4"}).shape
    (2, 4)
    """
    pairs = axes.items() if isinstance(axes, Mapping) else [(each.name, each) for each in axes]
    request = Study(
        world=World() if world is None else world,
        axes=tuple(axis(name, values) for name, values in pairs),
        learners=_tuple(learners),
        prompts=_tuple(prompts),
        routes=_tuple(routes),
        n=None if n is None else _whole("n", n),
        replicates=_whole("replicates", replicates),
        seed=checked_seed(_whole("seed", seed)),
        recipe=() if recipe is None else _recipe_fields(recipe),
    )
    _check_names(request)
    check_within("replicates", request.replicates, 1, MOST_REPLICATES)
    if request.n is not None:
        check_within("n", request.n, *domain_of(PairCount))
    for fault in _faults(request):
        raise RequestError(fault)
    for _, one in request.pieces(["table"]):
        validated(lambda: (one.worlds(), one.at()))  # noqa: B023 (called at once)
    return request


def _whole(name: str, value: Any) -> int:
    whole = isinstance(value, Real) and not isinstance(value, bool) and value == value // 1
    if not whole:
        raise RequestError(f"{name} = {value!r} is not a whole number")
    return int(value)


def _tuple(values: Any) -> tuple:
    return (values,) if isinstance(values, str | Learner) else tuple(values)


def _recipe_fields(recipe: "Mapping[str, Any] | Recipe") -> tuple[tuple[str, Any], ...]:
    elsewhere = {"loss": "; name it among the learners", "n": "; n is given beside the recipe"}
    if isinstance(recipe, Recipe):
        recipe = recipe.model_dump(exclude_defaults=True, exclude={*elsewhere})
    for name in recipe:
        if name not in Recipe.model_fields or name in elsewhere:
            hint = elsewhere.get(name, suggestion(str(name), Recipe.model_fields, quoted=True))
            raise RequestError(f"{name!r} is not a field of a study's recipe{hint}")
    return tuple(sorted(recipe.items()))


def _check_names(request: Study) -> None:
    learners = [*names(), *(learner.name for learner in request.learners if not isinstance(learner, str))]
    if request.trained or not set(request.labels) <= set(learners):
        from simulator.towers.objectives import OBJECTIVES  # start-up time: loads torch

        for name in set(request.labels) & OBJECTIVES.keys() - set(learners):
            if not request.trained:
                raise RequestError(f"learner {name!r} is an objective, which needs the route 'trained'")
        learners = list(dict.fromkeys([*learners, *OBJECTIVES]))
    for kind, given, known in (
        ("axis", request.dims, request.dims),
        ("learner", request.labels, learners),
        ("prompt", request.prompts, PROMPTS),
        ("route", request.routes, ROUTES),
    ):
        if not given and kind != "axis":
            raise RequestError(f"no {kind} is given; name at least one")
        for i, value in enumerate(given):
            if value not in known:
                raise unknown(kind, value, known)
            if value in given[:i]:
                raise RequestError(f"{kind} {value!r} is given more than once")


def _faults(request: Study) -> Iterator[str]:
    """What contradicts what in a request whose names are known."""
    given = dict(request.recipe) | ({} if request.n is None else {"n": request.n})
    for name in filter(given.__contains__, request.dims):
        yield f"{name} = {given[name]} is set and an axis as well; leave one of them out"
    has_n = "n" in {*given, *request.dims}
    used = {"n": has_n, "replicates": request.replicates > 1, "seed": "seed" in request.dims}
    for name in used:
        if used[name] and not request.measured:
            yield f"{name} has no meaning for the theory alone; leave it out or name a route"
    known = [k for k, learner in enumerate(request.learners) if not isinstance(learner, str) or learner in names()]
    learners = [request.learner(k, None, {}) for k in known]
    has_width = any(hasattr(learner, "embed_dim") for learner in learners)
    for name in (*filter(OF_RECIPE.__contains__, request.dims), *dict(request.recipe)):
        if not request.trained and not (name == "embed_dim" and has_width):
            yield f"{name} has no meaning without the route 'trained' for these learners; leave it out"
    for name in filter(OF_LEARNERS.__contains__, request.dims):
        if request.trained or not any(hasattr(learner, name) for learner in learners):
            yield f"{name} has no meaning for these learners and routes; linear has it, in theory and on pairs"
    if "start" in {*request.dims} - {"time"} and all(getattr(one, "time", inf) == inf for one in learners):
        yield "start has no meaning at the optimum; an axis of time leaves it"
    for route in set(request.measured) - {"trained"}:
        if not has_n:
            yield f"route {route!r} needs n, the number of pairs; give n or an axis of it"
        if not any(each.has_exact_law() if route == "exact" else each.estimator for each in learners):
            yield f"route {route!r} cannot measure {', '.join(request.labels)}"
    if request.trained:
        for k in range(len(request.learners)):
            request.at().recipe_of(k)
    if request.cells > MOST_CELLS:
        least = decimal(CELL_BYTES * request.cells)
        yield f"this study has {request.cells:.2g} cells, whose numbers take {least} at least"


def read(text: str) -> Study:
    """The study of a TOML text."""
    try:
        return requested(tomllib.loads(text), "study")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RequestError(f"study is not TOML: {error}") from None


def requested(
    document: dict[str, Any], source: str, flags: dict[str, Any] | None = None, world_file: Path | None = None
) -> Study:
    """The study of a document with a world file on top, and flags on top of both; `source` names the document."""
    for key, value in document.items():
        if key not in KEYS:
            raise RequestError(f"{source}: key {key!r} is unknown{suggestion(key, KEYS, quoted=True)}")
        if key in TABLES and not isinstance(value, dict):
            raise RequestError(f"{source}: {key} = {value!r} is not a table")
        if key in LISTS and not all(isinstance(word, str) for word in (value if isinstance(value, list) else [value])):
            raise RequestError(f"{source}: {key} = {value!r} is not a list of names")
    own = {} if world_file is None else read_toml(world_file, "world")
    whole = merged(merged(document, {"world": own}), flags or {})
    return study(**{**whole, "world": world_from(None, whole["world"])})


def merged(document: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """A document with another one on top: tables by key, else whole; an axis replaces a field, and a field an axis."""
    set_above = {"n", "seed"} & over.keys() | over.get("world", {}).keys() | over.get("recipe", {}).keys()
    varied_above = {name.replace("-", "_") for name in over.get("axes", {})}
    whole = {**{key: value for key, value in document.items() if key not in varied_above}, **over}
    for key in TABLES:
        dropped = (set_above if key == "axes" else set()) | varied_above
        below = document.get(key, {}).items()
        kept = {name: value for name, value in below if name.replace("-", "_") not in dropped}
        whole[key] = {**kept, **over.get(key, {})}
    return whole
