"""The grid of a study as data: a base world, axes, learners, prompts and routes.

`experiments.lab.setting` says what a cell of it is, and `experiments.lab.studies` makes a grid from a request and runs
it. A part of a grid is a grid with shorter axes.
"""

from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from math import prod
from typing import Annotated, Any

from pydantic import BeforeValidator, InstanceOf
from pydantic.dataclasses import dataclass

from experiments.lab.answers import MOST_REPLICATES
from experiments.lab.axes import StudyAxis
from experiments.lab.config import world_fields
from experiments.lab.mitigations import identity
from experiments.provenance import source
from simulator.prompts import prompt_name
from simulator.quantities import PairCount, Seed, one_number
from simulator.world import World
from theory.learners import Learner, named, names

Place = tuple[int, ...]  # indices along the axes
Region = tuple[slice, ...]  # a box of places
Replicates = Annotated[int, *one_number("R", "independent trainings per cell", "", 1, MOST_REPLICATES)]


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

    def part(self, region: Region) -> "Grid":
        """The grid of a box of places."""
        axes = zip(self.axes, region, strict=True)
        return replace(self, axes=tuple(replace(axis, values=axis.values[own]) for axis, own in axes))

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

    def sources(self) -> dict[str, str]:
        """What identifies a user's own learners and mitigations, by its words in a refusal."""
        kinds: dict[str, type] = {own.name: type(own) for own in self.learners if not isinstance(own, str)}
        used = [str(name) for axis in self.axes if axis.name == "mitigation" for name in axis.values]
        return {
            **{f"the file of {name}": code for name, kind in kinds.items() if (code := source(kind))},
            **{f"the mitigation {name}": code for name in used if (code := identity(name))},
        }
