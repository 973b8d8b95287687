"""The questions behind the docket: which claims answer which, the one table by which the report is ordered.

A claim that is new to the docket is named here too, by its id or its family ("family/member"); an id goes before its
family.
"""

from collections.abc import Iterable
from typing import NamedTuple, TypeVar


class Question(NamedTuple):
    """What is asked of the whole docket."""

    key: str
    words: str
    claims: tuple[str, ...]


QUESTIONS = (
    Question(
        "theorem",
        "Does the published theorem hold, and where does it turn?",
        (
            "wang-lemma-d3",
            "wang-theorem-6.2-error",
            "wang-theorem-6.2-accuracy",
            "wang-theorem-6.2-mean-prompt",
            "theorem-6.2-boundary",
            "wang-half-correlation",
            "view-noise",
            "counter-majority-wrong",
            "paper-condition-sufficient",
            "paper-condition-sufficient-at-one",
            "xue-data-model-1",
            "corrected-law",
        ),
    ),
    Question(
        "supervised",
        "Is contrastive or supervised learning the more robust one?",
        (
            "xue-contrastive-more-robust",
            "clip-beats-supervised-at-full-correlation",
            "supervised-beats-clip-at-full-correlation",
            "no-extra-robustness",
            "imagenet-models-more-robust",
            "data-determine",
        ),
    ),
    Question(
        "background",
        "What makes a contrastive learner rely on the background?",
        (
            "one-number-decides",
            "reliance-law",
            "most-harmful-correlation",
            "no-correlation-no-reliance",
            "reliance-grows-with-correlation-name",
            "reliance-grows-with-correlation-mean",
            "xue-intra-class-contrasting",
            "sensitivity-grows",
            "bottleneck",
            "infonce-interpolates",
        ),
    ),
    Question(
        "prompts",
        "Do richer captions and other prompts help?",
        (
            "xue-rich-captions",
            "captions-worth",
            "captions-mentioning-background-hurt-mean",
            "prompt-matters",
            "named-background",
            "prompt-ensembles",
            "data-determine/language-at-test-time",
        ),
    ),
    Question(
        "mitigations",
        "Do other data help?",
        (
            "data-determine/training-distribution",
            "mixing-dilutes",
            "wrong-line/label-noise-least-squares",
            "wrong-line/label-noise-linear",
        ),
    ),
    Question(
        "pairs",
        "What do finitely many pairs and dimensions change?",
        (
            "wang-theorem-6.2-high-probability",
            "thousand-pairs-suffice",
            "rate",
            "dimension-not-needed",
            "wrong-line/more-data",
        ),
    ),
    Question("classes", "What do more classes change?", ("many-classes",)),
    Question("trained", "Do trained towers do what the formulas say?", ("trained",)),
    Question("pictures", "Does it show in pictures rather than in latents?", ("pictures",)),
    Question("tables", "What do the published tables of real models say?", ("counteranimal",)),
)

Item = TypeVar("Item")


def question_of(claim: str) -> Question:
    """The question that a claim of the docket answers. Raises KeyError for a claim that stands under none."""
    for name in (claim, claim.partition("/")[0]):
        for question in QUESTIONS:
            if name in question.claims:
                return question
    raise KeyError(f"claim {claim!r} stands under no question of experiments/court/questions.py")


def by_question(claims: Iterable[tuple[str, Item]]) -> list[tuple[Question, list[Item]]]:
    """(id, item) pairs of claims under their questions, in the order of the questions; those without any left out."""
    groups: dict[str, list[Item]] = {}
    for claim, item in claims:
        groups.setdefault(question_of(claim).key, []).append(item)
    return [(question, groups[question.key]) for question in QUESTIONS if question.key in groups]
