"""All claims of the project, of three kinds, and claims from a user's file.

Claims of the theory's catalogue are decided by `court.trial`, claims about trained towers by `court.trained`, claims
about published tables by `experiments.published.claims`.
"""

import runpy
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from experiments.errors import RequestError
from experiments.progress import tell
from simulator.naming import suggestion
from theory.claims.catalogue import CLAIMS, TRAINED, untried
from theory.claims.claim import Claim
from theory.claims.trained import TrainedClaim

QUESTIONS = {  # in the order of the report
    "theorem": "Does the published theorem hold, and where does it turn?",
    "supervised": "Is contrastive or supervised learning the more robust one?",
    "background": "What makes a contrastive learner rely on the background?",
    "prompts": "Do richer captions and other prompts help?",
    "mitigations": "Do other data help?",
    "pairs": "What do finitely many pairs and dimensions change?",
    "classes": "What do more classes change?",
    "trained": "Do trained towers do what the formulas say?",
    "pictures": "Does it show in pictures rather than in latents?",
    "tables": "What do the published tables of real models say?",
}
_OF_FAMILY = {"trained": "trained", "pictures": "pictures", "counteranimal": "tables"}

Item = TypeVar("Item")


class Trial(NamedTuple):
    """A claim and how it is decided: run(seed, quick, error_rate) returns the verdict as a document."""

    id: str
    source: str
    statement: str
    run: Callable[[int, bool, float | None], dict[str, Any]]


def all_trials(**proving) -> list[Trial]:
    """Every claim of the project: the papers' formulas first, then trained towers, then published tables."""
    return [*(trial_of(claim, **proving) for claim in CLAIMS), *trained_trials(), *published_trials()]


def trial_of(claim: Claim, **proving) -> Trial:
    """The trial of a claim of the catalogue's kind; `proving` are the options of `judge` about proofs."""

    def run(seed: int, quick: bool, error_rate: float | None) -> dict[str, Any]:
        from experiments.court import trial  # scipy's optimisers take half a second

        return trial.judge(claim, seed=seed, quick=quick, error_rate=error_rate, **proving).as_json()

    return Trial(claim.id, claim.source, claim.statement, run)


def trained_trials() -> list[Trial]:
    """Claims about trained towers; a quick trial shows the verdict stored with the package, where there is one."""

    def trial(claim: TrainedClaim) -> Trial:
        def run(seed: int, quick: bool, error_rate: float | None) -> dict[str, Any]:
            from experiments.court.trained import judge_trained, stored_for  # torch takes two seconds

            kept = stored_for(claim, error_rate) if quick else None
            return kept or judge_trained(claim, seed=seed, error_rate=error_rate, report=tell)

        return Trial(claim.id, claim.source, claim.statement, run)

    return [trial(claim) for claim in TRAINED]


def published_trials() -> list[Trial]:
    """Claims that the tables of [W] decide; about a second in all."""
    from experiments.published.claims import published_verdict, published_verdicts  # only this list needs the tables

    def trial(record: dict[str, Any]) -> Trial:
        name = record["claim"].partition("/")[2]
        return Trial(
            record["claim"],
            record["source"],
            record["statement"],
            lambda seed, quick, error_rate: published_verdict(name, error_rate, seed),
        )

    return [trial(record) for record in published_verdicts()]


def chosen(ids: tuple[str, ...], available: list[Trial]) -> list[Trial]:
    """The trials with these ids, or in these families ("family/member"); all if `ids` is empty.

    Raises RequestError for an unknown id, with the nearest known one, or with the reason why it cannot be tried.
    """
    for wanted in ids:
        if reason := next((u.reason for u in untried() if u.id == wanted), None):
            raise RequestError(f"claim {wanted!r} is not on trial: {reason}")
        if not any(_selects(wanted, trial) for trial in available):
            names = {t.id for t in available} | {t.id.split("/")[0] for t in available}
            raise RequestError(f"claim {wanted!r} is unknown{suggestion(wanted, names, quoted=True)}")
    return [trial for trial in available if not ids or any(_selects(wanted, trial) for wanted in ids)]


def _selects(wanted: str, trial: Trial) -> bool:
    return wanted in (trial.id, trial.id.split("/")[0])


def question_of(claim_id: str) -> str:
    """The key in QUESTIONS of the question that a claim answers. Raises KeyError for a claim without one."""
    return _questions().get(claim_id) or _OF_FAMILY[claim_id.partition("/")[0]]


@cache
def _questions() -> dict[str, str]:
    return {claim.id: claim.question for claim in CLAIMS}


def by_question(claims: Iterable[tuple[str, Item]]) -> list[tuple[str, list[Item]]]:
    """Items of (claim id, item) pairs, grouped by question in the order of QUESTIONS; empty questions are left out."""
    groups: dict[str, list[Item]] = {}
    for claim_id, item in claims:
        groups.setdefault(question_of(claim_id), []).append(item)
    return [(question, groups[question]) for question in QUESTIONS if question in groups]


def claims_of_file(path: Path) -> list[Claim]:
    """The Claim objects at the top level of a Python file. The file is executed as `python FILE` would.

    Modules beside it can be imported. What it prints goes to stderr, since stdout is for the verdicts. Raises
    RequestError if the file cannot be read, raises an error (naming the line), defines no claim, or two with one id.
    """
    if not path.is_file():
        raise RequestError(f"claims file {str(path)!r} does not exist; give a Python file that defines Claim objects")
    sys.path.insert(0, str(path.resolve().parent))
    try:
        with redirect_stdout(sys.stderr):
            names = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        line = frames[-1].lineno if frames else getattr(error, "lineno", "?")
        words = " ".join(str(error).split())
        raise RequestError(f"claims file {path}, line {line}: {type(error).__name__}: {words}") from None
    finally:
        sys.path.remove(str(path.resolve().parent))
    found: list[Claim] = []
    for value in names.values():
        found += [c for c in (value if isinstance(value, list | tuple) else [value]) if isinstance(c, Claim)]
    unique: dict[str, Claim] = {}
    for claim in found:
        if unique.setdefault(claim.id, claim) is not claim:
            raise RequestError(f"claims file {str(path)!r} defines two claims with the id {claim.id!r}; rename one")
    if not unique:
        raise RequestError(f"claims file {str(path)!r} defines no Claim at its top level; the README has an example")
    return list(unique.values())
