"""What theory says of a world: group accuracies, p' and r of every learner and prompt, as rows of a
table.
"""

from contextlib import suppress
from typing import Any

import numpy as np
from jaxtyping import Int

from experiments.errors import RequestError
from experiments.lab.answers import in_groups, placed, predict
from simulator.accuracy import GROUPS, PLACE
from simulator.progress import track
from simulator.world import World
from theory.binned_captions import NONE, BinnedCaptions
from theory.ideal_curve import equivalent
from theory.learners import named

# a way to ask that no single continuous caption has: the phrase of the background is omitted
OBJECT_ONLY = "object"


def prompts_of(world: World) -> list[str]:
    return ["name", "mean", "background", *(["bare"] if world.bare > 0 else [])]


def worded_prompts(world: World) -> dict[str, Int[np.ndarray, "K told"]]:
    """The captions in words that represent the classes, by prompt."""
    words = BinnedCaptions(world)
    prompts = {prompt: words.prompts(prompt) for prompt in prompts_of(world)}
    if world.mention_spu < 1:
        silent = prompts["name"].copy()
        silent[:, 1:][:, words.mixture.block == 1] = NONE
        prompts[OBJECT_ONLY] = silent
    return prompts


def theory_rows(world: World) -> list[dict[str, Any]]:
    """One row per learner and prompt that has an answer in this world; `interval95` is that of a
    sampled p'.
    """
    kinds = [(name, None) for name in ("bayes", "logistic", "least-squares")]
    kinds += [(name, prompt) for name in ("infonce", "linear") for prompt in prompts_of(world)]
    rows = []
    for name, prompt in track(kinds, len(kinds), "theory"):
        with suppress(RequestError):  # no closed form here
            rows.append(_row(name, prompt, predict(world, named(name, prompt=prompt))))
    return rows


def worded_rows(world: World) -> list[dict[str, Any]]:
    """The same for InfoNCE's optimum where captions are words; a prompt is one caption per
    class.
    """
    prompts = worded_prompts(world)
    rows = []
    for prompt, accuracy in zip(
        prompts, BinnedCaptions(world).accuracies(np.array([*prompts.values()])), strict=True
    ):
        numbers, ends = placed(equivalent, world, accuracy)
        rows.append(
            _row(
                "infonce, captions in words",
                prompt,
                {**in_groups(accuracy), **numbers, "interval95": ends},
            )
        )
    return rows


def _row(learner: str, prompt: str | None, place: dict[str, Any]) -> dict[str, Any]:
    ends = (place["interval95"] or {}).get(PLACE[0])
    names = [*(group for group in GROUPS if group in place), *PLACE]
    return {
        "learner": learner,
        "prompt": prompt,
        **{name: place[name] for name in names},
        "interval95": ends,
    }
