"""The route "theory": accuracies at infinitely many pairs, over a region of places at once."""

from collections.abc import Iterator
from itertools import product

import numpy as np
from jaxtyping import Float

from experiments.errors import RequestError
from experiments.lab.blocks import Region
from experiments.lab.law import Law
from experiments.lab.spec import StudySpec
from simulator.world import Worlds
from theory.accuracy import reliance
from theory.learners.base import UNDEFINED, Learner, attempt

NO_LAW = "no closed form is known of what is learned so"
COLUMNS = ("common", "counter", "reliance", "common_low", "common_high", "counter_low", "counter_high")

Reasons = dict[tuple[int, ...], str]  # why there is no number, by place


def theory(
    study: StudySpec, region: Region, k: int, prompt: str | None
) -> tuple[dict[str, Float[np.ndarray, "..."]], Reasons]:
    """(values by the names of COLUMNS, nan where there are none; why, by place within the region)."""
    shape = tuple(part.stop - part.start for part in region)
    values = np.full((*shape, len(COLUMNS)), np.nan)
    reasons: Reasons = {}
    for part, law in _laws(study, region, k, prompt):
        if isinstance(law, str):
            reasons |= dict.fromkeys(product(*(range(each.start, each.stop) for each in part)), law)
            continue
        worlds = Worlds.of(law.world)
        # The grid has length 1 along axes that do not change the world, and broadcasts along them.
        grid = worlds.shape if worlds.ndim else (1,) * len(shape)
        found, refused = _accuracies(law.learner, worlds)
        values[part] = found.reshape((*grid, len(COLUMNS)))
        for place, sentence in refused.items():
            for offset in _broadcast(place, grid, part):
                reasons[offset] = sentence
    return {name: values[..., q] for q, name in enumerate(COLUMNS)}, reasons


def _laws(study: StudySpec, region: Region, k: int, prompt: str | None) -> Iterator[tuple[Region, Law | str]]:
    """(part of the region, its law, or why there is none): one part for each value that changes more than the world.

    What towers reach depends on their whole recipe, so every place of a study of towers is a part.
    """
    cuts = [
        [slice(i, i + 1) for i in range(part.stop - part.start)]
        if study.trained or axis.name in ("embed_dim", "mitigation")
        else [slice(0, part.stop - part.start)]
        for axis, part in zip(study.axes, region, strict=True)
    ]
    for part in product(*cuts):
        yield from _law(study, region, part, k, prompt)


def _law(
    study: StudySpec, region: Region, part: Region, k: int, prompt: str | None
) -> Iterator[tuple[Region, Law | str]]:
    """The law of one part; of each of its places if the part as a whole has none."""
    whole = tuple(slice(r.start + p.start, r.start + p.stop) for r, p in zip(region, part, strict=True))
    first = tuple(each.start for each in whole)
    try:
        law = study.setting(k, first, prompt, study.trained, None if study.trained else study.worlds(whole)).law()
    except (RequestError, *UNDEFINED) as error:
        places = [[slice(i, i + 1) for i in range(p.start, p.stop)] for p in part]
        if all(len(along) == 1 for along in places):
            yield part, str(error)
            return
        for place in product(*places):
            yield from _law(study, region, place, k, prompt)
        return
    yield part, NO_LAW if law is None else law


def _broadcast(place: tuple[int, ...], grid: tuple[int, ...], part: Region) -> Iterator[tuple[int, ...]]:
    """The places of a part that share one world of a grid."""
    place = place or (0,) * len(grid)
    along = [
        range(each.start, each.stop) if length == 1 else [each.start + i]
        for i, length, each in zip(place, grid, part, strict=True)
    ]
    return product(*along)


def _accuracies(learner: Learner, worlds: Worlds) -> tuple[Float[np.ndarray, "... Q"], Reasons]:
    """(values in the order of COLUMNS, reasons by world) of a learner over a grid."""

    def numbers(some: Worlds) -> Float[np.ndarray, "... Q"]:
        accuracy = learner.accuracy(some)
        exact = ((accuracy.common, accuracy.common), (accuracy.counter, accuracy.counter))
        (a, b), (c, d) = exact if accuracy.interval is None else accuracy.interval[:2]
        columns = (accuracy.common, accuracy.counter, _reliance(learner, some), a, b, c, d)
        return np.stack([np.broadcast_to(column, some.shape) for column in columns], axis=-1)

    try:
        return numbers(worlds), {}
    except UNDEFINED:
        found, reasons = attempt(numbers, worlds)
        if len(reasons) == worlds.size:
            found = np.full((*worlds.shape, len(COLUMNS)), np.nan)
        return found, reasons


def _reliance(learner: Learner, worlds: Worlds) -> Float[np.ndarray, "..."] | float:
    """nan where the learner is no linear rule, or ignores the invariant latent."""
    try:
        t = reliance(learner.direction(worlds))
    except UNDEFINED:
        return np.nan
    return np.where(np.isfinite(t), t, np.nan)
