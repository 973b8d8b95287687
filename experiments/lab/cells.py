"""A study as data: a table of cells over a base world, axes, learners, prompts, routes and replicates.

A cell is a place along the axes, a learner with one of its prompts, and a route. A part of a study is a study with
shorter axes.

Routes: theory (infinitely many pairs), exact (the exact law of the rule given n pairs), drawn (n pairs drawn one by
one), trained (towers). To train a learner, towers minimise the objective whose optimum the learner is. A study may
also name objectives.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.lab.axes import OF_LEARNERS, OF_RECIPE, Axis
from experiments.lab.config import recipe_of, validated, world_fields
from experiments.lab.mitigations import NONE, apply_to_learner, apply_to_towers, law_of_learner, law_of_towers
from simulator.summary import html_table, one_line
from simulator.tables import named as named_table
from simulator.world import SCALARS, World
from theory.learners import Learner, named, names

if TYPE_CHECKING:
    from simulator.towers.recipe import Recipe

ROUTES = ("theory", "exact", "drawn", "trained")
KEPT = ("mitigation", *OF_LEARNERS)  # axes that are no fields of a study

Place = tuple[int, ...]  # indices along the axes
Region = tuple[slice, ...]  # a box of places


@dataclass(frozen=True, repr=False)
class StudyData:
    """A table of cells, as data; `experiments.lab.studies.Study` can also be run."""

    world: World
    axes: tuple[Axis, ...]
    learners: tuple[str | Learner, ...]
    prompts: tuple[str, ...]
    routes: tuple[str, ...]
    n: int | None
    replicates: int
    seed: int
    recipe: tuple[tuple[str, Any], ...]

    @property
    def shape(self) -> Place:
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def dims(self) -> tuple[str, ...]:
        return tuple(axis.name for axis in self.axes)

    @property
    def measured(self) -> tuple[str, ...]:
        """The routes beside the theory, which is always computed."""
        return tuple(route for route in self.routes if route != "theory")

    @property
    def trained(self) -> bool:
        return "trained" in self.routes

    @cached_property
    def labels(self) -> tuple[str, ...]:
        return tuple(learner if isinstance(learner, str) else learner.name for learner in self.learners)

    @property
    def cells(self) -> int:
        """How many accuracies are computed: axes x learners x their prompts x measured routes."""
        series = sum(len(self.slots(k)) for k in range(len(self.learners)))
        return prod(self.shape) * series * max(1, len(self.measured))

    def slots(self, k: int) -> tuple[tuple[int, str | None], ...]:
        """(index along the dimension "prompt", prompt) of each cell of learner k; without prompts (0, None) alone."""
        learner = self.learners[k]
        if isinstance(learner, str) and learner not in names():
            from simulator.towers.objectives import OBJECTIVES  # start-up time: loads torch

            prompted = OBJECTIVES[learner].captions
        else:
            prompted = hasattr(named(learner), "prompt")
        return tuple(enumerate(self.prompts)) if prompted else ((0, None),)

    def part(self, region: Region) -> "StudyData":
        """The study of a box of places."""
        axes = zip(self.axes, region, strict=True)
        return replace(self, axes=tuple(replace(axis, values=axis.values[own]) for axis, own in axes))

    def pieces(self, names: Collection[str]) -> Iterator[tuple[Region, "StudyData"]]:
        """Boxes with one value along each of the named axes, and their studies."""
        cuts = [
            [slice(i, i + 1) for i in range(len(axis.values))] if axis.name in names else [slice(0, len(axis.values))]
            for axis in self.axes
        ]
        for region in product(*cuts):
            yield region, self.part(region)

    def worlds(self) -> World:
        """The worlds of all places, with length 1 along axes that do not vary them; they share the first table."""
        varied: dict[str, Any] = {}
        for i, axis in enumerate(self.axes):
            if axis.name == "table":
                varied["table"] = named_table(str(axis.values[0]))
            elif axis.name in SCALARS:
                varied[axis.name] = np.array(axis.values).reshape([-1 if j == i else 1 for j in range(len(self.axes))])
        return validated(lambda: self.world.replace(**varied))

    def at(self, place: Place | None = None) -> "StudyData":
        """The study of one place, the first by default: values of axes become fields, except for those in KEPT."""
        axes = [(axis, axis.values[i]) for axis, i in zip(self.axes, place or (0,) * len(self.axes), strict=True)]
        values: dict[str, Any] = {axis.name: value for axis, value in axes}
        world = {name: value for name, value in values.items() if name in SCALARS}
        world |= {"table": named_table(values["table"])} if "table" in values else {}
        recipe = {**dict(self.recipe), **{name: value for name, value in values.items() if name in OF_RECIPE}}
        return replace(
            self,
            world=validated(lambda: self.world.replace(**world)) if world else self.world,
            axes=tuple(replace(axis, values=(value,)) for axis, value in axes if axis.name in KEPT),
            n=values.get("n", self.n),
            seed=values.get("seed", self.seed),
            recipe=tuple(sorted(recipe.items())),
        )

    def learner(self, k: int, prompt: str | None, values: Mapping[str, Any] | None = None) -> Learner:
        """Learner k with a prompt and those of its options that the recipe or `values` has.

        Without `values`, they are the first of the axes.
        """
        if values is None:
            values = {axis.name: axis.values[0] for axis in self.axes}
        learner, given = named(self.learners[k]), {**dict(self.recipe), **values}
        options = {"prompt": prompt, **{name: given.get(name) for name in ("embed_dim", *OF_LEARNERS)}}
        own = {name: value for name, value in options.items() if value is not None and hasattr(learner, name)}
        return replace(learner, **own)

    def recipe_of(self, k: int) -> "Recipe":
        """The recipe that trains learner k. Raises RequestError where its fields contradict each other."""
        fields, label = {**dict(self.recipe), **({} if self.n is None else {"n": self.n})}, self.labels[k]
        return validated(lambda: recipe_of(label, fields), f"learner {label!r} cannot be trained: ")

    @property
    def mitigation(self) -> str:
        """The first mitigation."""
        return next((str(axis.values[0]) for axis in self.axes if axis.name == "mitigation"), NONE)

    def mitigated_learner(self, k: int, prompt: str | None) -> tuple[World, Learner]:
        """The worlds of all places and learner k, after the first mitigation."""
        return apply_to_learner(self.mitigation, self.worlds(), self.learner(k, prompt))

    def mitigated_towers(self, k: int, prompt: str | None) -> tuple[World, "Recipe", str | None]:
        """The world of one place, the recipe that trains learner k and the prompt, after the first mitigation."""
        return apply_to_towers(self.mitigation, self.world, self.recipe_of(k), prompt)

    def law(self, k: int, prompt: str | None) -> tuple[World, Learner] | None:
        """What learner k, or the towers that it trains at the first place, become after the first mitigation."""
        if self.trained:
            return law_of_towers(self.mitigation, *self.at().mitigated_towers(k, prompt))
        if self.mitigation == NONE:
            return self.worlds(), self.learner(k, prompt)
        return law_of_learner(self.mitigation, *self.mitigated_learner(k, prompt))

    def document(self, *, defaults: bool = True) -> dict[str, Any]:
        """The request as plain values, in the order of a TOML file; the world with or without its defaults."""
        return {
            "learners": list(self.labels),
            "prompts": list(self.prompts),
            "routes": list(self.routes),
            **({} if self.n is None else {"n": self.n}),
            "replicates": self.replicates,
            "seed": self.seed,
            "axes": {axis.name: axis.toml() for axis in self.axes},
            "recipe": dict(self.recipe),
            "world": world_fields(self.world, defaults=defaults),
        }

    def toml(self) -> str:
        """The request as a TOML text. Without the world's defaults, so that a field added later changes no hash."""
        import tomli_w  # start-up time

        return tomli_w.dumps(self.document(defaults=False))

    @property
    def hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the request and of the options of a user's own learners."""
        own = [repr(learner) for learner in self.learners if not isinstance(learner, str)]
        return sha256("\n".join([self.toml(), *own]).encode()).hexdigest()[:16]

    def _summary(self) -> dict[str, Any]:
        axes = " x ".join(f"{axis.name} {len(axis.values)}" for axis in self.axes)
        lists = {"learners": self.labels, "prompts": self.prompts, "routes": self.routes}
        return {"axes": axes, **{name: ", ".join(values) for name, values in lists.items()}, "cells": self.cells}

    def __repr__(self) -> str:
        return one_line(self, **self._summary())

    def _repr_html_(self) -> str:
        rows = {**self._summary(), "n": self.n, "replicates": self.replicates, "world": self.world}
        return html_table("Study", ["", ""], rows.items())
