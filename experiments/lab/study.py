"""A study: a base world, axes, learners, prompts, routes and replicates; one request, written in Python or TOML.

>>> from experiments import study
>>> table = study(axes={"p_spu": "0.5:1:3"}, learners=["linear"]).run()
>>> table.counter.dims
('p_spu', 'learner', 'prompt')

Routes: theory (n = infinity), exact (the exact law of the rule given n pairs), drawn (n pairs drawn one by one),
trained (towers; a learner is trained by the objective that becomes it, and objectives may be named themselves).
What the theory says stands beside every measured route.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import sha256
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from experiments.abilities import ability_of
from experiments.errors import RequestError, checked_seed
from experiments.lab import axes as lines
from experiments.lab.axes import Axis
from experiments.lab.recipes import in_words
from experiments.lab.words import amount
from simulator.naming import suggestion
from simulator.prompts import PROMPTS
from simulator.quantities import domain_of
from simulator.world import World, Worlds
from theory.learners import Learner, named, names

if TYPE_CHECKING:
    import xarray as xr

    from experiments.lab.setting import Setting
    from simulator.towers.recipe import Recipe

ROUTES = ("theory", "exact", "drawn", "trained")
MOST_REPLICATES = 10**7
MOST_CELLS = 10**17  # numpy counts no further than 9e18 bytes; no disk does
CELL_BYTES = 24  # at least: two accuracies and a reliance


@dataclass(frozen=True)
class Study:
    """What is asked; made by `study`, which validates it. Equal studies have equal numbers."""

    world: World
    axes: tuple[Axis, ...]
    learners: tuple[str | Learner, ...]
    prompts: tuple[str, ...]
    routes: tuple[str, ...]
    n: int | None
    replicates: int
    seed: int
    recipe: tuple[tuple[str, Any], ...]
    device: str = "cpu"

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes."""
        return tuple(axis.name for axis in self.axes)

    @property
    def measured(self) -> tuple[str, ...]:
        """The routes that measure something."""
        return tuple(route for route in self.routes if route != "theory")

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The learners by name."""
        return tuple(learner if isinstance(learner, str) else learner.name for learner in self.learners)

    @property
    def cells(self) -> int:
        """Numbers of accuracies to compute: axes x learners x their prompts x routes."""
        each = sum(len(self.asked(k)) for k in range(len(self.learners)))
        return int(np.prod(self.shape, dtype=object)) * each * max(1, len(self.measured))

    def asked(self, k: int) -> tuple[tuple[int, str | None], ...]:
        """(place, prompt) of the cells that learner k fills: every prompt, or the first place without one."""
        return tuple(enumerate(self.prompts)) if self._takes_prompts(k) else ((0, None),)

    def _takes_prompts(self, k: int) -> bool:
        learner = self.learners[k]
        if isinstance(learner, str) and learner not in names():
            from simulator.towers.objectives import OBJECTIVES

            return OBJECTIVES[learner].captions
        return "prompt" in {field.name for field in fields(type(self.learner(k, None)))}

    def learner(self, k: int, prompt: str | None, embed_dim: int | None = None) -> Learner:
        """Learner k as it is asked; embed_dim is left out of learners that have none."""
        learner = named(self.learners[k])
        options = {"prompt": prompt, "embed_dim": embed_dim}
        known = {field.name for field in fields(type(learner))}
        given = {name: value for name, value in options.items() if value is not None and name in known}
        return type(learner)(**{**{f.name: getattr(learner, f.name) for f in fields(type(learner)) if f.init}, **given})

    def worlds(self, region: tuple[slice, ...]) -> Worlds:
        """The worlds of a block: a grid that broadcasts to the block's shape, and is 1 along axes of other things."""
        varied = {}
        for place, (axis, part) in enumerate(zip(self.axes, region, strict=True)):
            if lines.of_world(axis.name):
                shape = [1] * len(self.axes)
                shape[place] = -1
                varied[axis.name] = np.array(axis.values[part]).reshape(shape)
        return Worlds.of(self.world).replace(**varied) if varied else Worlds.of(self.world)

    def cell(self, index: tuple[int, ...]) -> dict[str, Any]:
        """Values of the axes at one place, by name."""
        return {axis.name: axis.values[i] for axis, i in zip(self.axes, index, strict=True)}

    def world_at(self, index: tuple[int, ...]) -> World:
        """The world of one place."""
        varied = {name: value for name, value in self.cell(index).items() if lines.of_world(name)}
        return self.world.model_copy(update=varied)

    def recipe_at(self, index: tuple[int, ...], k: int) -> "Recipe":
        """The recipe by which learner k is trained at one place; ValidationError where its fields do not agree."""
        from experiments.lab.trained import recipe_of

        varied = {name: value for name, value in self.cell(index).items() if lines.of_recipe(name)}
        n = self.cell(index).get("n", self.n)
        return recipe_of(self.labels[k], {**dict(self.recipe), **varied, **({} if n is None else {"n": n})})

    def setting(
        self, k: int, index: tuple[int, ...], prompt: str | None, towers: bool, worlds: Worlds | None = None
    ) -> "Setting":
        """Learner k as it is trained and asked at one place, after the place's mitigation.

        `towers`: trained as towers, rather than known by its law or fitted to pairs. `worlds`: a grid in place of the
        world of one place. Raises RequestError for a mitigation that makes no sense there.
        """
        from experiments.lab.mitigations import NONE, mitigated
        from experiments.lab.setting import Setting

        if towers:
            plain = Setting(self.world_at(index), recipe=self.recipe_at(index, k), prompt=prompt)
        else:
            world = self.world_at(index) if worlds is None else worlds
            plain = Setting(world, self.learner(k, prompt, self.embed_dim(index)))
        return mitigated(self.cell(index).get("mitigation", NONE), plain)

    def embed_dim(self, index: tuple[int, ...]) -> int | None:
        """Width of the embedding of learners that have one, at one place; None: wide enough for all."""
        return self.cell(index).get("embed_dim", dict(self.recipe).get("embed_dim"))

    def document(self) -> dict[str, Any]:
        """The request as plain values, in the order in which a TOML file shows it."""
        world = self.world.model_dump(exclude_none=True)
        attributes = world.pop("attribute")
        return {
            "learners": list(self.labels),
            "prompts": list(self.prompts),
            "routes": list(self.routes),
            **({} if self.n is None else {"n": self.n}),
            "replicates": self.replicates,
            "seed": self.seed,
            **({} if self.device == "cpu" else {"device": self.device}),
            "axes": {axis.name: axis.toml() for axis in self.axes},
            "recipe": dict(self.recipe),
            "world": {**world, **({"attribute": [dict(a) for a in attributes]} if attributes else {})},
        }

    def toml(self) -> str:
        """The request as TOML that `read` takes back."""
        import tomli_w

        return tomli_w.dumps(self.document())

    @property
    def hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the request, learners of one's own with their options."""
        own = [repr(learner) for learner in self.learners if not isinstance(learner, str)]
        return sha256("\n".join([self.toml(), *own]).encode()).hexdigest()[:16]

    def run(
        self,
        path: "str | Path | None" = None,
        *,
        workers: int | None = None,
        scheduler: str | None = None,
    ) -> "xr.Dataset":
        """Compute what is missing, and return all of it."""
        from experiments.lab.executors import executor
        from experiments.lab.sweep import sweep

        with executor(workers, scheduler, self.device) as execute:
            return sweep(self, path, execute=execute)


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
    """A study, validated whole before any work.

    Parameters
    ----------
    world : base world; the default world if None
    axes : values by field, each a range or list as text ("0.5:1:51", "1e-3:1:7:log") or numbers
    learners, prompts, routes : one or several, see `Study`
    n, replicates, seed : see `Study`; whole numbers, 1e9 too
    recipe, device : see `Study`

    Raises
    ------
    RequestError
        one sentence, naming the field and the value, for anything that makes no sense.

    >>> study(axes={"p-spu": [0.5, 0.9], "mu_spu": "1:4:4"}).shape
    (2, 4)
    """
    pairs = axes.items() if isinstance(axes, Mapping) else [(axis.name, axis) for axis in axes]
    asked = Study(
        world=World() if world is None else world,
        axes=tuple(lines.axis(name, values) for name, values in pairs),
        learners=_several(learners, (str, Learner)),
        prompts=_several(prompts, str),
        routes=_several(routes, str),
        n=None if n is None else _whole("n", n),
        replicates=_whole("replicates", replicates),
        seed=checked_seed(_whole("seed", seed)),
        recipe=_recipe_fields(recipe),
        device=device,
    )
    _check_names(asked)
    _check_use(asked)
    _check_worlds(asked)
    return asked


def _whole(name: str, value: Any) -> int:
    """A count as an int; 1e9 is one as well."""
    whole = isinstance(value, Real) and not isinstance(value, bool) and value == value // 1
    if not whole:
        raise RequestError(f"{name} = {value!r} is not a whole number")
    return int(value)


def _several(values: Any, kinds: Any) -> tuple:
    return (values,) if isinstance(values, kinds) else tuple(values)


def _recipe_fields(recipe: "Mapping[str, Any] | Recipe | None") -> tuple[tuple[str, Any], ...]:
    from simulator.towers.recipe import Recipe

    if recipe is None:
        return ()
    if isinstance(recipe, Recipe):
        default = {name: field.default for name, field in Recipe.model_fields.items()}
        recipe = {k: v for k, v in recipe.model_dump().items() if v != default[k] and k not in ("loss", "n")}
    for name in recipe:
        if name not in Recipe.model_fields or name in ("loss", "n"):
            near = suggestion(str(name), Recipe.model_fields, quoted=True)
            hint = {"loss": "; name it among the learners", "n": "; n stands beside the recipe"}.get(name, near)
            raise RequestError(f"{name!r} is no field of a study's recipe{hint}")
    return tuple(sorted(recipe.items()))


def _check_names(asked: Study) -> None:
    _refuse_repeated("axis", [axis.name for axis in asked.axes])
    for kind, values, choices in (("prompt", asked.prompts, PROMPTS), ("route", asked.routes, ROUTES)):
        _refuse_repeated(kind, values)
        for value in values:
            if value not in choices:
                raise RequestError(f"{kind} {value!r} is not one of {', '.join(choices)}{suggestion(value, choices)}")
    known = [*names(), *(_objectives() if "trained" in asked.routes else ())]
    for learner in asked.learners:
        if isinstance(learner, str) and learner not in known:
            objective = learner in _objectives()
            hint = "; it is an objective, for the route 'trained'" if objective else suggestion(learner, known)
            raise RequestError(f"learner {learner!r} is not one of {', '.join(dict.fromkeys(known))}{hint}")
    _refuse_repeated("learner", asked.labels)


def _objectives() -> tuple[str, ...]:
    from simulator.towers.objectives import OBJECTIVES

    return tuple(OBJECTIVES)


def _refuse_repeated(kind: str, values: Sequence[str]) -> None:
    if not values and kind != "axis":
        raise RequestError(f"no {kind} is given; name at least one")
    for i, value in enumerate(values):
        if value in values[:i]:
            raise RequestError(f"{kind} {value!r} is given more than once")


def _check_use(asked: Study) -> None:
    """Whatever is set must be of use to a route, and what a route needs must be set."""
    if not 1 <= asked.replicates <= MOST_REPLICATES:
        near = min(max(asked.replicates, 1), MOST_REPLICATES)
        raise RequestError(
            f"replicates = {asked.replicates} lies outside [1, {MOST_REPLICATES}]; the nearest valid value is {near}"
        )
    varied = [axis.name for axis in asked.axes]
    sampled = [route for route in asked.routes if route in ("exact", "drawn")]
    trained = "trained" in asked.routes
    if asked.n is not None:
        low, high = domain_of(lines.q.PairCount)
        if not low <= asked.n <= high:
            end = min(max(asked.n, low), high)
            raise RequestError(f"n = {asked.n} lies outside [{low:g}, {high:g}]; the nearest valid value is {end:g}")
        if "n" in varied:
            raise RequestError(f"n = {asked.n} is set and an axis as well; leave one of them out")
    if sampled and asked.n is None and "n" not in varied:
        raise RequestError(f"route {sampled[0]!r} needs n, the number of pairs; give n or an axis of it")
    if not asked.measured:
        for name, idle in (("n", asked.n is not None or "n" in varied), ("replicates", asked.replicates > 1)):
            if idle:
                raise RequestError(f"{name} has no meaning for the theory alone; leave it out or name a route")
        if "seed" in varied:
            raise RequestError("axis seed has no meaning for the theory alone; leave it out or name a route")
    wide = [asked.learner(k, None) for k, name in enumerate(asked.labels) if name in names() or not trained]
    narrowing = any("embed_dim" in {field.name for field in fields(type(learner))} for learner in wide)
    for name in [*(name for name in varied if lines.of_recipe(name)), *dict(asked.recipe)]:
        if not trained and not (name == "embed_dim" and narrowing):
            whom = "any of these learners" if name == "embed_dim" else "routes other than 'trained'"
            raise RequestError(f"{name} has no meaning for {whom}; leave it out")
        if name in varied and name in dict(asked.recipe):
            raise RequestError(f"{name} = {dict(asked.recipe)[name]} is set and an axis as well; leave one of them out")
    for route in sampled:
        _check_route(asked, route)
    if trained:
        from experiments.runtime import checked_device

        checked_device(asked.device)
        _check_recipes(asked)
    elif asked.device != "cpu":
        raise RequestError(f"device = {asked.device!r} has no meaning for routes other than 'trained'; leave it out")


def _check_route(asked: Study, route: str) -> None:
    """A route that no learner can go is refused; where some can, the others' cells say why they cannot."""
    able = [ability_of(asked.learner(k, None)) for k in range(len(asked.learners)) if asked.labels[k] in names()]
    if not any(ability.exact if route == "exact" else ability.estimator for ability in able):
        what = "no exact law given n pairs is known" if route == "exact" else "nothing is fitted to drawn pairs"
        raise RequestError(f"route {route!r}: {what} for {', '.join(asked.labels)}")


def _check_recipes(asked: Study) -> None:
    """Every field of the recipe at every value of its axis, the others at their first."""
    for k in range(len(asked.learners)):
        for place, axis in enumerate(asked.axes):
            along = range(len(axis.values)) if lines.of_recipe(axis.name) or axis.name == "n" else range(1)
            for i in along:
                index = tuple(i if j == place else 0 for j in range(len(asked.axes)))
                _check_recipe(asked, index, k)
        if not asked.axes:
            _check_recipe(asked, (), k)


def _check_recipe(asked: Study, index: tuple[int, ...], k: int) -> None:
    try:
        asked.recipe_at(index, k)
    except ValidationError as failure:
        raise RequestError(f"learner {asked.labels[k]!r} cannot be trained so: {in_words(failure)}") from None


def _check_worlds(asked: Study) -> None:
    if asked.cells > MOST_CELLS:
        least = amount(CELL_BYTES * asked.cells)
        raise RequestError(f"this study has {asked.cells:.2g} cells, whose numbers take {least} at least")
    try:
        asked.worlds(tuple(slice(None) for _ in asked.axes))
    except ValueError as error:
        raise RequestError(str(error)) from None
