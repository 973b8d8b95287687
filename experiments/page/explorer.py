"""The page's explorer as data: what can be turned, what is drawn, and how far its arithmetic may lie from theory/."""

from typing import Any, NamedTuple

from experiments.page.story import ANSWER_WORLD
from simulator.prompts import prompt_row
from simulator.quantities import quantity_of
from simulator.world import World
from theory.learners import named

PROMPTS = (
    "name",
    "mean",
    "background",
)  # single captions; those of all captions of a class need integrals of integrals
LEARNERS = ("linear", "infonce", "logistic", "least-squares", "bayes")
# Largest difference of an accuracy from theory/ at 1000 random worlds of KNOBS, as the tests hold it. Of InfoNCE one
# world in a hundred may lie beyond: an island of its decision that no place of search has met.
ERRORS = {"linear": 1e-9, "least-squares": 1e-9, "logistic": 1e-9, "bayes": 1e-7, "infonce": 1e-4}
LARGEST_ERROR = 1e-3


class Knob(NamedTuple):
    """A field of World that a slider turns."""

    field: str
    low: float
    high: float
    scale: str = "linear"


KNOBS = (
    Knob("p_spu", 0.5, 1.0, "one-minus"),
    Knob("mu_inv", 0.2, 3.0),
    Knob("mu_spu", 0.0, 4.0),
    Knob("sigma_inv", 0.1, 3.0),
    Knob("sigma_spu", 0.1, 3.0),
    Knob("sigma_xi", 0.0, 20.0, "cube"),
    Knob("mention_inv", 0.02, 1.0),
    Knob("mention_spu", 0.0, 1.0),
)


def explorer() -> dict[str, Any]:
    """What the page's template is told."""
    fields = World.model_fields
    return {
        "knobs": [
            {
                **knob._asdict(),
                "meaning": _meaning(knob.field),
                "default": fields[knob.field].default,
                "start": getattr(World(**ANSWER_WORLD), knob.field),
            }
            for knob in KNOBS
        ],
        "prompts": {name: prompt_row(name).words for name in PROMPTS},
        "learners": {name: named(name).words for name in LEARNERS},
        "dimension": fields["dim_image"].default,
        "errors": f"{100 * ERRORS['infonce']:g}",
        "largest": f"{100 * LARGEST_ERROR:g}",
    }


def _meaning(field: str) -> str:
    return quantity_of(World.__annotations__[field]).meaning
