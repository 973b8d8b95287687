"""What a study will take, found by asking a few of its cells: what is estimated, how long, how much."""

from typing import NamedTuple

import numpy as np

from experiments.errors import RequestError
from experiments.lab.blocks import Layout, layout, spread
from experiments.lab.measuring import unable
from experiments.lab.result import sizes, variables
from experiments.lab.study import Study
from experiments.lab.timing import expected
from experiments.lab.words import amount, counted, duration
from theory.learners.base import UNDEFINED

LOOKED = 9  # places at which a learner's numbers may turn out to be sampled
ASKED = 4096  # places at which a learner may refuse before it is said to refuse everywhere


class Plan(NamedTuple):
    """A study before it runs."""

    study: Study
    estimated: bool  # whether the theory of a learner is sampled, and so has an interval
    layout: Layout
    seconds: float  # expected, on one core
    bytes: int  # of all numbers, uncompressed

    def sentence(self) -> str:
        """Cells, expected time and size in words."""
        cells, blocks = counted(self.study.cells, "cell"), counted(self.layout.count, "block")
        return f"{cells} in {blocks}, {duration(self.seconds)} on one core, at most {amount(self.bytes)}"

    def beyond(self, budget: int) -> str:
        """What places beyond the grid take, in words."""
        seconds = self.seconds / int(np.prod(self.layout.shape, dtype=object)) * budget
        return f"{counted(budget, 'place')} beyond the grid, {duration(seconds)} more"


def plan(study: Study) -> Plan:
    """Ask a few cells.

    Raises RequestError for a learner that has no answer anywhere, with its own sentence, and for pictures that cannot
    be read: whoever plans will train, while a store is read where its pictures need not lie.
    """
    if "trained" in study.measured:
        _read_pictures(study)
    estimated = False
    for k in range(len(study.learners)):
        estimated = _sampled(study, k) or estimated
    cut, length = layout(study, estimated), sizes(study)
    numbers = sum(
        np.dtype(v.dtype).itemsize * int(np.prod([length[d] for d in v.dims], dtype=object))
        for v in variables(study, estimated).values()
    )
    return Plan(study, estimated, cut, expected(study, cut, estimated), int(numbers))


def _read_pictures(study: Study) -> None:
    """Those of the most classes, among which all others' are."""
    from simulator.towers.views import views_of

    worlds = study.worlds(tuple(slice(None) for _ in study.axes)).ravel()
    most = worlds.world(int(np.argmax(np.broadcast_to(worlds.classes, worlds.shape))))
    try:
        views_of(most).inputs(most)
    except ValueError as error:
        raise RequestError(str(error)) from None


def _sampled(study: Study, k: int) -> bool:
    """Whether the theory of learner k is sampled, for the least or the largest number of classes.

    Raises RequestError if neither the theory nor a route has an answer at any place that is asked.
    """
    counts = [c for axis in study.axes if axis.name == "classes" for c in axis.values] or [study.world.classes]
    found = [_answers(study, k, classes) for classes in sorted({min(counts), max(counts)})]
    if not any(answer.there for answer in found):
        raise RequestError(f"learner {study.labels[k]!r} has no answer anywhere on this grid: {found[0].why}")
    return any(answer.sampled for answer in found) and not study.measured


class _Answer(NamedTuple):
    there: bool
    sampled: bool = False
    why: str | None = None


def _answers(study: Study, k: int, classes: int) -> _Answer:
    """What the theory or a route of learner k says: at a few places, or at more until one has an answer."""
    why, there, few = None, False, spread(study, LOOKED)
    for place, index in enumerate([*few, *spread(study, ASKED)]):
        if there and place >= len(few):
            break
        world = study.world_at(index)
        if world.classes != classes:
            continue
        reasons = [unable(study, k, route, index) for route in study.measured]
        if None in reasons:
            return _Answer(True)
        for _, prompt in study.asked(k):
            try:
                law = study.setting(k, index, prompt, "trained" in study.measured).law()
                if law is not None:
                    if law.learner.accuracy(law.world).interval is not None:
                        return _Answer(True, sampled=True)
                    there = True
            except (RequestError, *UNDEFINED) as error:
                reasons.append(str(error))
        why = why or next(iter(reasons), None)
    return _Answer(there, why=why)
