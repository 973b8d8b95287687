"""What a cell of a study is: a Setting. Some cells that one call computes are a Setting, too.

A cell is a place along the axes, a learner, and one of its prompts. A learner computes many worlds at once, so along
axes that are numbers of the world a Setting may hold an array of values; of each other axis it holds one value.
Routes and replicates are further dimensions of a cell's numbers.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from experiments.lab.axes import OF_BOTH, OF_LEARNERS, OF_RECIPE
from experiments.lab.config import recipe_of, validated
from experiments.lab.grid import Grid
from experiments.lab.mitigations import NONE, apply_to_learner, apply_to_towers, law_of_learner, law_of_towers
from simulator.tables import named as named_table
from simulator.towers.recipe import Recipe
from simulator.world import SCALARS, World
from theory.learners import Learner, named

NUMBERS = {*SCALARS} - {"classes"}  # of the world: one call takes many values, as a mitigation takes one number K
OF_TRAINING = OF_RECIPE.difference(OF_BOTH) | {"n", "seed"}  # axes that the law of a learner does not read

Index = tuple[int | slice, ...]  # of some cells in an array of a study


@dataclass(frozen=True, eq=False)
class Setting:
    """One cell of a study, or some that differ in numbers of the world alone.

    Attributes
    ----------
    k
        The place of the learner among the study's.
    values
        The value of each axis; of a number in which the worlds differ, an array.
    worlds
        One world, or a grid with an axis for each such number.
    """

    study: Grid
    k: int
    prompt: str | None
    values: Mapping[str, Any]
    worlds: World

    @property
    def learner(self) -> Learner:
        """The learner with its prompt and those of its options that an axis or the recipe has."""
        learner, fields = named(self.study.learners[self.k]), {**dict(self.study.recipe), **self.values}
        if self.study.trained:  # the recipe's fields are those of the towers, whose optimum `law` knows
            fields = {}
        options = {"prompt": self.prompt, **{name: fields.get(name) for name in (*OF_BOTH, *OF_LEARNERS)}}
        own = {name: value for name, value in options.items() if value is not None and hasattr(learner, name)}
        with validated():
            return replace(learner, **own)

    @property
    def recipe(self) -> Recipe:
        """The recipe that trains the learner. Raises RequestError where its fields contradict each other."""
        own = {name: value for name, value in self.values.items() if name in OF_RECIPE}
        fields, label = {**dict(self.study.recipe), **own}, self.study.labels[self.k]
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
        return self.values.get("mitigation", NONE)

    def mitigated_learner(self) -> tuple[World, Learner]:
        """The worlds of the pairs and the learner that is fitted to them, after the mitigation."""
        return apply_to_learner(self.mitigation, self.worlds, self.learner)

    def mitigated_towers(self) -> tuple[World, Recipe, str | None]:
        """The worlds of the pairs, the recipe of the towers and their prompt, after the mitigation."""
        return apply_to_towers(self.mitigation, self.worlds, self.recipe, self.prompt)

    def law(self) -> tuple[World, Learner] | None:
        """What the learner, or its towers, become at infinitely many pairs; None where that is not known."""
        if self.study.trained:
            return law_of_towers(self.mitigation, *self.mitigated_towers())
        return law_of_learner(self.mitigation, *self.mitigated_learner())


def setting(study: Grid, k: int, prompt: str | None, values: Mapping[str, Any]) -> Setting:
    """The setting of a learner and a prompt at these values of the axes."""
    return Setting(study, k, prompt, values, _worlds(study, values))


def cell(study: Grid, place: tuple[int, ...], k: int, prompt: str | None) -> Setting:
    """The cell of a learner and a prompt at a place along the axes."""
    values = {axis.name: axis.values[i] for axis, i in zip(study.axes, place, strict=True)}
    return setting(study, k, prompt, values)


def first(study: Grid, k: int) -> Setting:
    """The first cell of a learner."""
    return cell(study, (0,) * len(study.shape), k, None)


def _worlds(study: Grid, values: Mapping[str, Any]) -> World:
    own = {name: value for name, value in values.items() if name in SCALARS}
    if "table" in values:
        own["table"] = named_table(str(values["table"]))
    with validated():
        return study.world.replace(**own) if own else study.world


def settings(study: Grid, names: Collection[str]) -> Iterator[tuple[Index, Setting]]:
    """All cells, in settings with one learner, one prompt, and one value along each of the named axes.

    Along another axis a setting has all values of a number of the world, and the first of anything else.
    """
    whole = [axis.name for axis in study.axes if axis.name not in names]
    every: list[Iterable[int | slice]] = [
        range(len(axis.values)) if axis.name in names else [slice(None)] for axis in study.axes
    ]
    for index in product(*every):
        values: dict[str, Any] = {}
        for axis, i in zip(study.axes, index, strict=True):
            if axis.name in whole and axis.name in NUMBERS:
                values[axis.name] = np.array(axis.values).reshape([-1 if axis.name == name else 1 for name in whole])
            else:
                values[axis.name] = axis.values[0 if isinstance(i, slice) else i]
        worlds = _worlds(study, values)
        for k in range(len(study.learners)):
            for slot, prompt in study.slots(k):
                yield (*index, k, slot), Setting(study, k, prompt, values, worlds)
