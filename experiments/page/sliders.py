"""The data of the page's explorer: its sliders, prompts and learners, and the error of its arithmetic."""

from typing import Any, NamedTuple

from experiments.page.text import ANSWER_WORLD
from simulator.prompts import prompt_row
from simulator.quantities import quantity_of
from simulator.world import World
from theory.learners import named

PROMPTS = ("name", "mean", "background")  # prompts of all captions would need nested integrals
LEARNERS = ("linear", "infonce", "least-squares", "bayes")
# Largest difference from theory/ at 1000 random worlds of KNOBS, as the tests check. For InfoNCE one world in a
# hundred may differ by LARGEST_ERROR, if the grid misses an island of the decision region.
ERRORS = {"linear": 1e-9, "least-squares": 1e-9, "bayes": 1e-7, "infonce": 1e-4}
LARGEST_ERROR = 1e-3


class Knob(NamedTuple):
    """A slider for a field of World."""

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


def slider_data() -> dict[str, Any]:
    """The variables of the page's template."""
    fields = World.model_fields
    return {
        "knobs": [
            {
                **knob._asdict(),
                "meaning": quantity_of(World.__annotations__[knob.field]).meaning,
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
