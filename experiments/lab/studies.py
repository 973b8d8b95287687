"""Studies: any grid of worlds and learners, validated whole and then run.

>>> from experiments import study
>>> table = study(axes={"p_spu": "0.5:1:3"}, learners=["linear"]).run()
>>> table.counter.dims
('p_spu', 'learner', 'prompt')
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from experiments.errors import RequestError, checked_seed, unknown
from experiments.estimators import estimator_of
from experiments.lab.axes import Axis, axis, of_recipe
from experiments.lab.config import recipe_refusal
from experiments.lab.execution import run
from experiments.lab.executors import executor
from experiments.lab.spec import ROUTES, StudySpec
from experiments.lab.words import amount
from experiments.runtime import checked_device
from simulator.naming import suggestion
from simulator.prompts import PROMPTS
from simulator.quantities import PairCount, domain_of
from simulator.towers.recipe import Recipe
from simulator.world import World
from theory.learners import Learner, names

if TYPE_CHECKING:
    import xarray as xr

MOST_REPLICATES = 10**7
MOST_CELLS = 10**17  # numpy counts up to 9e18 bytes, more than any disk holds
CELL_BYTES = 24  # at least: two accuracies and a reliance


class Study(StudySpec):
    """A validated study; `study` makes one."""

    def run(
        self, path: "str | Path | None" = None, *, workers: int | None = None, scheduler: str | None = None
    ) -> "xr.Dataset":
        """Compute what a store at `path` lacks, and return the whole; without a path all of it, in memory.

        Parameters
        ----------
        path : a folder or an fsspec address
        workers : number of processes of this machine
        scheduler : address of a dask cluster
        """
        with executor(workers, scheduler, self.device) as execute:
            return run(self, path, execute=execute)


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
    device: str = "cpu",
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
    recipe, device : how and where towers are trained

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
        learners=_tuple(learners, (str, Learner)),
        prompts=_tuple(prompts, str),
        routes=_tuple(routes, str),
        n=None if n is None else _whole("n", n),
        replicates=_whole("replicates", replicates),
        seed=checked_seed(_whole("seed", seed)),
        recipe=_recipe_fields(recipe),
        device=device,
    )
    _check_names(request)
    _check_counts(request)
    _check_recipe_fields(request)
    _check_routes(request)
    _check_worlds(request)
    return request


def _whole(name: str, value: Any) -> int:
    """A count as an int; 1e9 is one as well."""
    whole = isinstance(value, Real) and not isinstance(value, bool) and value == value // 1
    if not whole:
        raise RequestError(f"{name} = {value!r} is not a whole number")
    return int(value)


def _tuple(values: Any, kinds: Any) -> tuple:
    return (values,) if isinstance(values, kinds) else tuple(values)


def _recipe_fields(recipe: "Mapping[str, Any] | Recipe | None") -> tuple[tuple[str, Any], ...]:
    """The fields that differ from the default, sorted; the loss is a learner, and n a field of the study."""
    if recipe is None:
        return ()
    elsewhere = {"loss": "; name it among the learners", "n": "; n is given beside the recipe"}
    if isinstance(recipe, Recipe):
        default = {name: field.default for name, field in Recipe.model_fields.items()}
        recipe = {k: v for k, v in recipe.model_dump().items() if v != default[k] and k not in elsewhere}
    for name in recipe:
        if name not in Recipe.model_fields or name in elsewhere:
            hint = elsewhere.get(name, suggestion(str(name), Recipe.model_fields, quoted=True))
            raise RequestError(f"{name!r} is not a field of a study's recipe{hint}")
    return tuple(sorted(recipe.items()))


def _check_names(request: Study) -> None:
    _check_distinct("axis", request.dims)
    for kind, values, choices in (("prompt", request.prompts, PROMPTS), ("route", request.routes, ROUTES)):
        for value in values:
            if value not in choices:
                raise unknown(kind, value, choices)
    objectives = _objectives() if request.trained else ()
    known = list(dict.fromkeys([*names(), *objectives]))
    for learner in request.learners:
        if isinstance(learner, str) and learner not in known:
            if learner in _objectives():
                raise RequestError(f"learner {learner!r} is an objective, which needs the route 'trained'")
            raise unknown("learner", learner, known)
    for kind, values in (("learner", request.labels), ("prompt", request.prompts), ("route", request.routes)):
        if not values:
            raise RequestError(f"no {kind} is given; name at least one")
        _check_distinct(kind, values)


def _check_distinct(kind: str, values: Sequence[str]) -> None:
    for i, value in enumerate(values):
        if value in values[:i]:
            raise RequestError(f"{kind} {value!r} is given more than once")


def _objectives() -> tuple[str, ...]:
    from simulator.towers.objectives import OBJECTIVES  # start-up time: loads torch

    return tuple(OBJECTIVES)


def _check_counts(request: Study) -> None:
    """Replicates and n lie in their domains, and n is given once, where it has a meaning."""
    if not 1 <= request.replicates <= MOST_REPLICATES:
        raise _outside("replicates", request.replicates, 1, MOST_REPLICATES)
    if request.n is not None:
        low, high = domain_of(PairCount)
        if not low <= request.n <= high:
            raise _outside("n", request.n, low, high)
        if "n" in request.dims:
            raise RequestError(f"n = {request.n} is set and an axis as well; leave one of them out")
    if not request.measured:
        given = {
            "n": request.n is not None or "n" in request.dims,
            "replicates": request.replicates > 1,
            "seed": "seed" in request.dims,
        }
        for name, used in given.items():
            if used:
                raise RequestError(f"{name} has no meaning for the theory alone; leave it out or name a route")


def _outside(name: str, value: int, low: float, high: float) -> RequestError:
    near = int(min(max(value, low), high))
    return RequestError(f"{name} = {value} lies outside [{low:g}, {high:g}]; the nearest valid value is {near}")


def _check_recipe_fields(request: Study) -> None:
    """Each field of the recipe has a meaning for a route or a learner, and is not an axis as well."""
    learners = [request.learner(k, None) for k, name in enumerate(request.labels) if name in names()]
    has_width = any("embed_dim" in {field.name for field in fields(learner)} for learner in learners)
    given = dict(request.recipe)
    for name in [*(name for name in request.dims if of_recipe(name)), *given]:
        if not request.trained and not (name == "embed_dim" and has_width):
            whom = "any of these learners" if name == "embed_dim" else "routes other than 'trained'"
            raise RequestError(f"{name} has no meaning for {whom}; leave it out")
        if name in request.dims and name in given:
            raise RequestError(f"{name} = {given[name]} is set and an axis as well; leave one of them out")


def _check_routes(request: Study) -> None:
    """Each route has its number of pairs and a learner that it can measure; the device is used."""
    able = [estimator_of(request.learner(k, None)) for k, name in enumerate(request.labels) if name in names()]
    for route in request.measured:
        if route == "trained":
            continue
        if request.n is None and "n" not in request.dims:
            raise RequestError(f"route {route!r} needs n, the number of pairs; give n or an axis of it")
        if not any(estimator.exact if route == "exact" else estimator.fit for estimator in able):
            what = "no exact law given n pairs is known" if route == "exact" else "nothing is fitted to drawn pairs"
            raise RequestError(f"route {route!r}: {what} for {', '.join(request.labels)}")
    if request.trained:
        checked_device(request.device)
        for k in range(len(request.learners)):
            _check_recipes(request, k)
    elif request.device != "cpu":
        raise RequestError(f"device = {request.device!r} has no meaning for routes other than 'trained'; leave it out")


def _check_recipes(request: Study, k: int) -> None:
    """Learner k's recipe is valid at each value of each of its axes, the other axes at their first value."""
    first = (0,) * len(request.axes)
    places = {first: None}
    for i, varied in enumerate(request.axes):
        if of_recipe(varied.name) or varied.name == "n":
            places |= {(*first[:i], j, *first[i + 1 :]): None for j in range(len(varied.values))}
    for place in places:
        try:
            request.recipe_at(place, k)
        except ValidationError as failure:
            raise RequestError(f"learner {request.labels[k]!r} cannot be trained: {recipe_refusal(failure)}") from None


def _check_worlds(request: Study) -> None:
    if request.cells > MOST_CELLS:
        least = amount(CELL_BYTES * request.cells)
        raise RequestError(f"this study has {request.cells:.2g} cells, whose numbers take {least} at least")
    try:
        request.worlds(request.whole)
    except ValueError as error:
        raise RequestError(str(error)) from None
