"""Studies: a table of cells over a base world, axes, learners, prompts, routes and replicates,
validated and then run.

>>> from experiments import study
>>> table = study(axes={"p_spu": "0.5:1:3"}, learners=["linear"]).run()
>>> table.counter.dims
('p_spu', 'learner', 'prompt')

Routes: theory (infinitely many pairs), exact (the exact law of the rule given n pairs), drawn (n
pairs drawn one by one), trained (towers). To train a learner, towers minimise the objective whose
optimum the learner is. A study may also name objectives.

A study file holds the arguments of `study`: learners, prompts, routes, n, replicates, seed, and the
tables [axes] (p_spu = "0.5:1:51", or a list), [world] and [recipe]. Files and flags are merged
first, then validated once.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from math import inf
from pathlib import Path
from typing import Any, get_args

import xarray as xr
from rich.filesize import decimal

from experiments.errors import RequestError, unknown
from experiments.lab.axes import OF_BOTH, OF_LEARNERS, OF_RECIPE, axis
from experiments.lab.config import read_toml, validated, world_from
from experiments.lab.grid import Grid
from experiments.lab.plan import plan
from experiments.lab.run import mapping, run
from simulator.naming import suggestion
from simulator.prompts import Prompt
from simulator.summary import html_table, one_line
from simulator.towers.recipe import Recipe
from simulator.world import World
from theory.learners import Learner, named, names

ROUTES = ("theory", "exact", "drawn", "trained")
LISTS = ("learners", "prompts", "routes")
TABLES = ("axes", "recipe", "world")
KEYS = (*LISTS, "n", "replicates", "seed", *TABLES)  # of a study file
# fields of a recipe
ELSEWHERE = {"loss": "; name it among the learners", "n": "; n is given beside the recipe"}
MOST_CELLS = 10**17  # numpy counts up to 9e18 bytes, more than any disk holds
CELL_BYTES = 24  # at least: two accuracies and a reliance


class Study(Grid):
    """A grid that can be run; `study` makes a whole one from a request and checks it."""

    def run(
        self,
        path: "str | Path | None" = None,
        *,
        workers: int | None = None,
        scheduler: str | None = None,
    ) -> xr.Dataset:
        """Compute the blocks that the store at `path` lacks, or all in memory without a path;
        return the Dataset.

        Parameters
        ----------
        path : a folder or an fsspec address
        workers : number of processes of this machine
        scheduler : address of a dask cluster
        """
        planned = plan(self)
        with mapping(workers, scheduler) as mapped:
            if path is None:
                return run(planned, mapped=mapped)
            from experiments.lab.store import begin  # start-up time: loads zarr

            return run(planned, begin(path, planned), mapped=mapped)

    def _summary(self) -> dict[str, Any]:
        axes = " x ".join(f"{axis.name} {len(axis.values)}" for axis in self.axes)
        lists = {"learners": self.labels, "prompts": self.prompts, "routes": self.routes}
        return {
            "axes": axes,
            **{name: ", ".join(values) for name, values in lists.items()},
            "cells": self.cells,
        }

    def __repr__(self) -> str:
        return one_line(self, **self._summary())

    def _repr_html_(self) -> str:
        rows = {**self._summary(), "n": self.n, "replicates": self.replicates, "world": self.world}
        return html_table("Study", ["", ""], rows.items())


def study(
    world: World | None = None,
    axes: "Mapping[str, Any] | None" = None,
    learners: "Sequence[str | Learner] | str | Learner" = ("linear",),
    prompts: Sequence[str] | str = ("typical",),
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
    if isinstance(recipe, Recipe):
        recipe = recipe.model_dump(exclude_defaults=True, exclude={*ELSEWHERE})
    # whole numbers, also as floats
    counts: dict[str, Any] = {"n": n, "replicates": replicates, "seed": seed}
    with validated():
        request = Study(
            world=World() if world is None else world,
            axes=tuple(axis(name, values) for name, values in (axes or {}).items()),
            learners=_tuple(learners),
            prompts=_tuple(prompts),
            routes=_tuple(routes),
            **counts,
            recipe=tuple(sorted((recipe or {}).items())),
        )
    for fault in chain(_misnamed(request), _faults(request)):
        raise RequestError(fault)
    for _ in request.settings(("table", "classes")):
        pass  # contradictions of the worlds' fields
    return request


def _tuple(values: Any) -> tuple:
    return (values,) if isinstance(values, str | Learner) else tuple(values)


def _misnamed(request: Study) -> Iterator[str]:
    """Names that are unknown or given twice, and lists without any."""
    learners = [
        *names(),
        *(learner.name for learner in request.learners if not isinstance(learner, str)),
    ]
    if request.trained or not set(request.labels) <= set(learners):
        from simulator.towers.objectives import OBJECTIVES  # start-up time: loads torch

        for name in set(request.labels) & OBJECTIVES.keys() - set(learners):
            if not request.trained:
                yield f"learner {name!r} is an objective, which needs the route 'trained'"
        learners = list(dict.fromkeys([*learners, *OBJECTIVES]))
    for kind, values, choices in (
        ("axis", request.dims, request.dims),
        ("learner", request.labels, learners),
        ("prompt", request.prompts, get_args(Prompt)),
        ("route", request.routes, ROUTES),
    ):
        if not values and kind != "axis":
            yield f"no {kind} is given; name at least one"
        for i, value in enumerate(values):
            if value not in choices:
                yield str(unknown(kind, value, choices))
            if value in values[:i]:
                yield f"{kind} {value!r} is given more than once"
    for name in dict(request.recipe):
        if name not in Recipe.model_fields or name in ELSEWHERE:
            hint = ELSEWHERE.get(name, suggestion(str(name), Recipe.model_fields, quoted=True))
            yield f"{name!r} is not a field of a study's recipe{hint}"


def _faults(request: Study) -> Iterator[str]:
    """What contradicts what in a request whose names are known."""
    fields = dict(request.recipe) | ({} if request.n is None else {"n": request.n})
    for name in filter(fields.__contains__, request.dims):
        yield f"{name} = {fields[name]} is set and an axis as well; leave one of them out"
    has_n = "n" in {*fields, *request.dims}
    used = {"n": has_n, "replicates": request.replicates > 1, "seed": "seed" in request.dims}
    for name in used:
        if used[name] and not request.measured:
            yield f"{name} has no meaning for the theory alone; leave it out or name a route"
    indices = [
        k
        for k, learner in enumerate(request.learners)
        if not isinstance(learner, str) or learner in names()
    ]
    learners = [request.first(k).learner for k in indices]
    for name in (*filter(OF_RECIPE.__contains__, request.dims), *dict(request.recipe)):
        in_theory = name in OF_BOTH and any(hasattr(learner, name) for learner in learners)
        if not request.trained and not in_theory:
            yield (
                f"{name} has no meaning without the route 'trained' for these learners; leave"
                " it out"
            )
    for name in filter(OF_LEARNERS.__contains__, request.dims):
        if request.trained or not any(hasattr(learner, name) for learner in learners):
            some = ", ".join(learner for learner in names() if hasattr(named(learner), name))
            yield (
                f"{name} has no meaning for these learners and routes; learners that have it in"
                f" theory are {some}"
            )
    if "start" in request.dims and all(getattr(one, "time", inf) == inf for one in learners):
        yield "start has no meaning at the optimum; an axis of time leaves it"
    for route in set(request.measured) - {"trained"}:
        if not has_n:
            yield f"route {route!r} needs n, the number of pairs; give n or an axis of it"
        if not any(route in each.routes() for each in learners):
            yield f"route {route!r} cannot measure {', '.join(request.labels)}"
    if request.trained:
        for k in range(len(request.learners)):
            request.first(k).recipe  # noqa: B018 (a refusal of its fields)
    if request.cells > MOST_CELLS:
        least = decimal(CELL_BYTES * request.cells)
        yield f"this study has {request.cells:.2g} cells, whose numbers take {least} at least"


def read(text: str, own: Collection[Learner] = ()) -> Study:
    """The study of a TOML text; `own` are the learners in it that do not ship with the package."""
    return requested(read_toml(text, "study"), "study", own=own)


def world_in(text: str) -> World:
    """The base world of a study's TOML text, whatever its learners are."""
    return world_from(None, read_toml(text, "study").get("world", {}))


def requested(
    document: dict[str, Any],
    source: str,
    flags: dict[str, Any] | None = None,
    world_file: Path | None = None,
    own: Collection[Learner] = (),
) -> Study:
    """The study of a document with a world file on top, and flags on top of both; `source` names
    the document.

    A name of one of the learners `own` stands for it.
    """
    for key, value in document.items():
        if key not in KEYS:
            raise RequestError(
                f"{source}: key {key!r} is unknown{suggestion(key, KEYS, quoted=True)}"
            )
        if key in TABLES and not isinstance(value, dict):
            raise RequestError(f"{source}: {key} = {value!r} is not a table")
        if key in LISTS and not all(
            isinstance(word, str) for word in (value if isinstance(value, list) else [value])
        ):
            raise RequestError(f"{source}: {key} = {value!r} is not a list of names")
    below = {} if world_file is None else read_toml(world_file, "world")
    whole = merged(merged(document, {"world": below}), flags or {})
    if own:
        objects: dict[Any, Any] = {learner.name: learner for learner in own}
        whole["learners"] = [objects.get(each, each) for each in whole["learners"]]
    return study(**{**whole, "world": world_from(None, whole["world"])})


def merged(document: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """A document with another one on top: tables by key, else whole; an axis replaces a field, and
    a field an axis.
    """
    set_above = (
        {"n", "seed"} & over.keys() | over.get("world", {}).keys() | over.get("recipe", {}).keys()
    )
    varied_above = {name.replace("-", "_") for name in over.get("axes", {})}
    whole = {**{key: value for key, value in document.items() if key not in varied_above}, **over}
    for key in TABLES:
        dropped = (set_above if key == "axes" else set()) | varied_above
        below = document.get(key, {}).items()
        lower = {name: value for name, value in below if name.replace("-", "_") not in dropped}
        whole[key] = {**lower, **over.get(key, {})}
    return whole
