"""Claims that only training can test: towers after gradient descent against the closed forms.

A case is one ensemble: a world, a recipe (fields of `simulator.towers.recipe.Recipe`, all others at
their defaults) and the learners that the towers should reach, one per prompt; or only prompts,
where there is no closed form. A row is one group accuracy of one case, a mean over models that
differ only in their seeds. The statement about the rows, `says`:

    reaches    every row lies within `tolerance` of its prediction
    misses     the counter accuracy of the only case lies further than `tolerance` from it
    ahead      the first row exceeds the second by at least `margin`, with models paired by seed
    alike      with the same pairing, the two differ by at most `tolerance`
    placed     every case's equivalent correlation lies between 1/2 and its world's correlation, to
               within `tolerance`
    bridged    every row lies within `tolerance` of the prediction from the Gaussian world of its
               model's own embeddings

"ahead" and "alike" also hold for the third and fourth row, and so on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from simulator.prompts import prompt_name
from simulator.world import World
from theory.claims.words import AnyClaim
from theory.learners import Learner

TOLERANCE = 0.01
# Standard deviation of a group accuracy over models of the default recipe, in the worlds below. It
# determines the number of models. If models scatter more, a claim is less likely to be decided, and
# no more likely to be wrong.
SPREAD = 0.004


@dataclass(frozen=True)
class Case:
    """One ensemble: a world, its recipe, and the learners that it should reach."""

    world: World
    recipe: Mapping[str, Any]
    subjects: tuple[Learner, ...] = ()
    prompts: tuple[str | None, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "prompts", tuple(map(prompt_name, self.prompts)))

    @property
    def row_prompts(self) -> tuple[str | None, ...]:
        """The prompts, one per row."""
        return tuple(getattr(subject, "prompt", None) for subject in self.subjects) or self.prompts

    def predictions(self) -> dict[str | None, tuple[float, ...]]:
        """prompt -> accuracy by group at the optimum: common, counter, and unseen if there is such
        a group.
        """
        by_prompt = {getattr(s, "prompt", None): s.accuracy(self.world) for s in self.subjects}
        return {prompt: tuple(map(float, accuracy)) for prompt, accuracy in by_prompt.items()}


@dataclass(frozen=True, kw_only=True)
class TrainedClaim(AnyClaim):
    """A statement about trained towers, with the runs that decide it."""

    cases: tuple[Case, ...]
    source: str = "soberclip"
    question: str = "trained"
    says: Literal["reaches", "misses", "ahead", "alike", "placed", "bridged"] = "reaches"
    tolerance: float = TOLERANCE
    groups: tuple[str, ...] = ("counter",)
    margin: float = 0.0
    spread: float = SPREAD
    clustered: bool = False
    error_rate: float = 0.01

    def declared(self) -> dict[str, Any]:
        """What gives the claim its meaning."""
        return {
            name: getattr(self, name) for name in ("says", "cases", "groups", "tolerance", "margin")
        }

    @property
    def towers(self) -> str:
        """A key of the trainings: claims with the same key use the same models."""
        return repr([(case.world, dict(case.recipe)) for case in self.cases])
