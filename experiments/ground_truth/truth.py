"""What theory says of a world: group accuracies, p' and r of every learner and prompt, as rows of a table."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Int

from experiments.errors import RequestError
from experiments.lab.answers import PLACE, in_groups, placed, predict
from simulator.accuracy import GROUPS
from simulator.world import World
from theory.binned_captions import NONE, BinnedCaptions
from theory.ideal_curve import equivalent
from theory.learners import named

SUPERVISED = ("bayes", "logistic", "least-squares")
CONTRASTIVE = ("infonce", "linear")
WORDED = "infonce, captions in words"
OBJECT_ONLY = "object"  # a way to ask that no single continuous caption has: the phrase of the background is omitted


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
    """One row per learner and prompt that has an answer in this world."""
    return list(_rows(world))


def _rows(world: World) -> Iterator[dict[str, Any]]:
    kinds = [(name, None) for name in SUPERVISED]
    kinds += [(name, prompt) for name in CONTRASTIVE for prompt in prompts_of(world)]
    for name, prompt in kinds:
        try:
            found = predict(world, named(name, prompt=prompt))
        except RequestError:  # no closed form here
            continue
        yield {"learner": name, "prompt": prompt, **_groups(found), **{key: found[key] for key in PLACE}}


def _groups(document: dict[str, Any]) -> dict[str, float | None]:
    return {group: document[group] for group in GROUPS if group in document}


def worded_rows(world: World) -> list[dict[str, Any]]:
    """The same for InfoNCE's optimum where captions are words; a prompt is one caption per class."""
    rows, words = [], BinnedCaptions(world)
    for prompt, captions in worded_prompts(world).items():
        accuracy = words.accuracy(captions)
        numbers, _ = placed(world, lambda accuracy=accuracy: equivalent(world, accuracy))
        rows.append({"learner": WORDED, "prompt": prompt, **_groups(in_groups(accuracy)), **numbers})
    return rows
