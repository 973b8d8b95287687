"""What a study will take: how many cells and bytes, and whether its theory is estimated, found from a few cells."""

from typing import NamedTuple

import numpy as np

from experiments.errors import RequestError
from experiments.lab.blocks import Layout, layout, spread
from experiments.lab.routes.fitted import unable
from experiments.lab.schema import sizes, variables
from experiments.lab.spec import StudySpec
from experiments.lab.words import amount, counted
from theory.learners.base import UNDEFINED

SAMPLED_AT = 9  # places at which a learner's theory may turn out to be sampled
REFUSED_AT = 4096  # places at which a learner has to refuse before the study is refused


class Plan(NamedTuple):
    """A study before it runs.

    estimated   whether the theory of a learner is sampled, and so has an interval
    bytes       of all numbers, uncompressed
    """

    study: StudySpec
    estimated: bool
    layout: Layout
    bytes: int

    def sentence(self) -> str:
        """Cells and size in words."""
        cells, blocks = counted(self.study.cells, "cell"), counted(self.layout.count, "block")
        return f"{cells} in {blocks}, at most {amount(self.bytes)}"


def plan(study: StudySpec) -> Plan:
    """Compute a few cells.

    Raises RequestError for a learner that has no answer anywhere, and for pictures that cannot be read.
    """
    if study.trained:
        _read_pictures(study)
    sampled = [_sampled(study, k) for k in range(len(study.learners))]  # raises for each learner without an answer
    estimated = any(sampled)
    length = sizes(study)
    numbers = sum(
        np.dtype(v.dtype).itemsize * int(np.prod([length[d] for d in v.dims], dtype=object))
        for v in variables(study, estimated).values()
    )
    return Plan(study, estimated, layout(study, estimated), int(numbers))


def _read_pictures(study: StudySpec) -> None:
    """Read the pictures of the most classes, which include all others."""
    from simulator.towers.views import views_of  # start-up time: loads torch

    worlds = study.worlds(study.whole).ravel()
    most = worlds.world(int(np.argmax(np.broadcast_to(worlds.classes, worlds.shape))))
    try:
        views_of(most).inputs(most)
    except ValueError as error:
        raise RequestError(str(error)) from None


def _sampled(study: StudySpec, k: int) -> bool:
    """Whether the theory of learner k is sampled, for the smallest or the largest number of classes.

    Raises RequestError if neither the theory nor a route has an answer anywhere.
    """
    counts = [c for axis in study.axes if axis.name == "classes" for c in axis.values] or [study.world.classes]
    answers = [_answer(study, k, classes) for classes in sorted({min(counts), max(counts)})]
    if not any(answer.exists for answer in answers):
        raise RequestError(f"learner {study.labels[k]!r} has no answer anywhere on this grid: {answers[0].why}")
    return any(answer.sampled for answer in answers) and not study.measured


class _Answer(NamedTuple):
    exists: bool
    sampled: bool = False
    why: str | None = None


def _answer(study: StudySpec, k: int, classes: int) -> _Answer:
    """Whether the theory or a route of learner k has an answer: at a few places, or at more until one has."""
    why, exists, few = None, False, spread(study, SAMPLED_AT)
    for i, place in enumerate([*few, *spread(study, REFUSED_AT)]):
        if exists and i >= len(few):
            break
        if study.world_at(place).classes != classes:
            continue
        reasons = [unable(study, k, route, place) for route in study.measured]
        if None in reasons:
            return _Answer(True)
        for _, prompt in study.slots(k):
            try:
                law = study.setting(k, place, prompt, study.trained).law()
                if law is not None:
                    if law.learner.accuracy(law.world).interval is not None:
                        return _Answer(True, sampled=True)
                    exists = True
            except (RequestError, *UNDEFINED) as error:
                reasons.append(str(error))
        why = why or next(iter(reasons), None)
    return _Answer(exists, why=why)
