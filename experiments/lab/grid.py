"""A study as data: a Grid of cells, and the Setting of one cell or of some.

A Grid is a base world, axes, learners, prompts and routes; a part of it is a Grid with shorter
axes. A cell is a place along the axes, a learner, and one of its prompts. A learner computes many
worlds at once, so along axes that are numbers of the world a Setting may hold an array of values;
of each other axis it holds one value. Routes and replicates are further dimensions of a cell's
numbers. `experiments.lab.studies` makes a Grid from a request and runs it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from itertools import product
from math import prod
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, InstanceOf
from pydantic.dataclasses import dataclass

from experiments.lab import mitigations
from experiments.lab.answers import MOST_REPLICATES
from experiments.lab.axes import OF_BOTH, OF_LEARNERS, OF_RECIPE, StudyAxis
from experiments.lab.config import recipe_of, validated, world_fields
from experiments.provenance import source
from simulator.prompts import prompt_name
from simulator.quantities import PairCount, Seed, one_number
from simulator.tables import named as named_table
from simulator.towers.recipe import Recipe
from simulator.world import SCALARS, World
from theory.learners import Learner, named, names

# of the world: one call takes many values, as a mitigation takes one number K
NUMBERS = {*SCALARS} - {"classes"}
# axes that the law of a learner does not read
OF_TRAINING = OF_RECIPE.difference(OF_BOTH) | {"n", "seed"}

Place = tuple[int, ...]  # indices along the axes
Region = tuple[slice, ...]  # a box of places
Index = tuple[Any, ...]  # of some cells in an array of a study
Replicates = Annotated[
    int, *one_number("R", "independent trainings per cell", "", 1, MOST_REPLICATES)
]


@dataclass(frozen=True, repr=False)
class Grid:
    """A table of cells, as data."""

    world: InstanceOf[World]
    axes: tuple[InstanceOf[StudyAxis], ...]
    learners: tuple[str | InstanceOf[Learner], ...]
    prompts: tuple[Annotated[str, BeforeValidator(prompt_name)], ...]
    routes: tuple[str, ...]
    n: PairCount | None
    replicates: Replicates
    seed: Seed
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
        return tuple(
            learner if isinstance(learner, str) else learner.name for learner in self.learners
        )

    @property
    def cells(self) -> int:
        """How many accuracies are computed: axes x learners x their prompts x measured routes."""
        series = sum(len(self.slots(k)) for k in range(len(self.learners)))
        return prod(self.shape) * series * max(1, len(self.measured))

    def slots(self, k: int) -> tuple[tuple[int, str | None], ...]:
        """(index along the dimension "prompt", prompt) of each cell of learner k; without prompts
        (0, None) alone.
        """
        learner = self.learners[k]
        if isinstance(learner, str) and learner not in names():
            from simulator.towers.objectives import OBJECTIVES  # start-up time: loads torch

            prompted = OBJECTIVES[learner].captions
        else:
            prompted = hasattr(named(learner), "prompt")
        return tuple(enumerate(self.prompts)) if prompted else ((0, None),)

    def part(self, region: Region) -> "Grid":
        """The grid of a box of places."""
        axes = zip(self.axes, region, strict=True)
        return replace(
            self, axes=tuple(replace(axis, values=axis.values[own]) for axis, own in axes)
        )

    def setting(self, k: int, prompt: str | None, values: Mapping[str, Any]) -> "Setting":
        """The setting of a learner and a prompt at these values of the axes."""
        return Setting(self, k, prompt, values, self._worlds(values))

    def cell(self, place: Place, k: int, prompt: str | None = None) -> "Setting":
        """The cell of a learner and a prompt at a place along the axes."""
        return self.setting(
            k, prompt, {axis.name: axis.values[i] for axis, i in zip(self.axes, place, strict=True)}
        )

    def first(self, k: int) -> "Setting":
        """The first cell of a learner."""
        return self.cell((0,) * len(self.axes), k)

    def settings(self, names: Collection[str]) -> "Iterator[tuple[Index, Setting]]":
        """All cells, in settings with one learner, one prompt, and one value along each of the
        named axes.

        Along another axis a setting has all values of a number of the world, and the first of
        anything else.
        """
        whole = [axis for axis in self.axes if axis.name not in names]
        shared: dict[str, Any] = {axis.name: axis.values[0] for axis in whole}
        for axis in whole:
            if axis.name in NUMBERS:
                shared[axis.name] = np.reshape(
                    axis.values, [-1 if axis is other else 1 for other in whole]
                )
        every: list[Collection[Any]] = [
            [slice(None)] if axis.name in shared else range(len(axis.values)) for axis in self.axes
        ]
        for index in product(*every):
            values = {
                axis.name: axis.values[i] for axis, i in zip(self.axes, index, strict=True)
            } | shared
            worlds = self._worlds(values)
            for k in range(len(self.learners)):
                for slot, prompt in self.slots(k):
                    yield (*index, k, slot), Setting(self, k, prompt, values, worlds)

    def _worlds(self, values: Mapping[str, Any]) -> World:
        own = {name: value for name, value in values.items() if name in SCALARS}
        if "table" in values:
            own["table"] = named_table(str(values["table"]))
        with validated():
            return self.world.replace(**own) if own else self.world

    def document(self, *, defaults: bool = True) -> dict[str, Any]:
        """The request as plain values, in the order of a TOML file; the world with or without its
        defaults.
        """
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
        """The request as a TOML text. Without the world's defaults, so that a field added later
        changes no hash.
        """
        import tomli_w  # start-up time

        return tomli_w.dumps(self.document(defaults=False))

    @property
    def hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the request and of the options of a user's
        own learners.
        """
        own = [repr(learner) for learner in self.learners if not isinstance(learner, str)]
        return sha256("\n".join([self.toml(), *own]).encode()).hexdigest()[:16]

    def sources(self) -> dict[str, str]:
        """What identifies a user's own learners and mitigations, by its words in a refusal."""
        kinds: dict[str, type] = {
            own.name: type(own) for own in self.learners if not isinstance(own, str)
        }
        used = [
            str(name) for axis in self.axes if axis.name == "mitigation" for name in axis.values
        ]
        return {
            **{
                f"the file of {name}": code
                for name, kind in kinds.items()
                if (code := source(kind))
            },
            **{
                f"the mitigation {name}": code
                for name in used
                if (code := mitigations.identity(name))
            },
        }


@plain_dataclass(frozen=True, eq=False)
class Setting:
    """One cell of a study, or some that differ in numbers of the world alone.

    k        place of the learner among the study's
    values   value of each axis; of a number in which the worlds differ, an array
    worlds   one world, or a grid with an axis for each such number
    """

    study: Grid
    k: int
    prompt: str | None
    values: Mapping[str, Any]
    worlds: World

    @property
    def learner(self) -> Learner:
        """The learner with its prompt and those of its options that an axis or the recipe has."""
        learner = named(self.study.learners[self.k])
        fields = {
            **dict(self.study.recipe),
            **self.values,
        }
        # the recipe's fields are those of the towers, whose optimum `law` knows
        if self.study.trained:
            fields = {}
        options = {
            "prompt": self.prompt,
            **{name: fields.get(name) for name in (*OF_BOTH, *OF_LEARNERS)},
        }
        own = {
            name: value
            for name, value in options.items()
            if value is not None and hasattr(learner, name)
        }
        with validated():
            return replace(learner, **own)

    @property
    def recipe(self) -> Recipe:
        """The recipe that trains the learner. Raises RequestError where its fields contradict each
        other.
        """
        own = {name: value for name, value in self.values.items() if name in OF_RECIPE}
        fields = {**dict(self.study.recipe), **own}
        label = self.study.labels[self.k]
        fields |= {} if self.n is None else {"n": self.n}
        with validated(f"learner {label!r} cannot be trained: "):
            return recipe_of(label, fields)

    @property
    def n(self) -> Any:
        return self.values.get("n", self.study.n)

    @property
    def seed(self) -> int:
        return self.values.get("seed", self.study.seed)

    @property
    def mitigation(self) -> str:
        return self.values.get("mitigation", mitigations.NONE)

    def mitigated_learner(self) -> tuple[World, Learner]:
        """The worlds of the pairs and the learner that is fitted to them, after the mitigation."""
        return mitigations.apply_to_learner(self.mitigation, self.worlds, self.learner)

    def mitigated_towers(self) -> tuple[World, Recipe, str | None]:
        """The worlds of the pairs, the recipe of the towers and their prompt, after the
        mitigation.
        """
        return mitigations.apply_to_towers(self.mitigation, self.worlds, self.recipe, self.prompt)

    def law(self) -> tuple[World, Learner] | None:
        """What the learner, or its towers, become at infinitely many pairs; None where that is not
        known.
        """
        if self.study.trained:
            return mitigations.law_of_towers(self.mitigation, *self.mitigated_towers())
        return mitigations.law_of_learner(self.mitigation, *self.mitigated_learner())
