"""All claims of the project and of a user's file, and how each of the three kinds is decided."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from experiments.errors import RequestError
from experiments.published.claims import CLAIMS as PUBLISHED
from experiments.published.claims import TableClaim
from experiments.user_code import run_file
from experiments.verdict import REFUSED, Verdict, words_of
from simulator.naming import suggestion
from theory.claims.claim import Claim
from theory.claims.trained import TrainedClaim
from theory.claims.words import AnyClaim
from theory.docket.catalogue import CLAIMS, TRAINED, untried

if TYPE_CHECKING:
    from theory.proofs.identity import Digest

QUESTIONS = {  # in the order of the report
    "theorem": "Does the published theorem hold, and where does it fail?",
    "supervised": "Is contrastive or supervised learning more robust?",
    "ideal": "Which ideal classifier does a learner act like?",
    "detail": "What must captions describe, and how should one prompt?",
    "background": "What makes a contrastive learner rely on the background?",
    "prompts": "Do richer captions and other prompts help?",
    "mitigations": "Do other data help?",
    "combinations": "Does CLIP combine what it never saw together?",
    "pairs": "What do finitely many pairs and dimensions change?",
    "classes": "What do more classes change?",
    "trained": "Do trained towers do what the formulas say?",
    "pictures": "Do the results hold for pictures as well as latents?",
    "tables": "What do the published tables of real models say?",
}
ALL_CLAIMS: tuple[AnyClaim, ...] = (*CLAIMS, *TRAINED, *PUBLISHED.values())
Item = TypeVar("Item")
# The module whose `judge` tries claims of a kind. It is imported when a claim is tried: optimisers
# and torch are slow.
WAYS: dict[type, str] = {
    Claim: "experiments.court.trial",
    TrainedClaim: "experiments.court.trained",
    TableClaim: "experiments.published.claims",
}


def digest_of(claim: AnyClaim) -> "Digest":
    """The digest of a claim of any kind. Raises RequestError for a function whose source is in no
    file.
    """
    from theory.proofs import identity  # recording formulas is not needed to judge

    try:
        return identity.digest_of(claim)
    except ValueError as error:
        raise RequestError(f"claim {claim.id!r} has no digest: {error}") from error


def matching(patterns: Sequence[str], ids: Sequence[str]) -> list[str]:
    """The ids that contain one of the patterns, or match it if it has a wildcard; all if there is
    no pattern.

    Raises RequestError for a pattern that matches none, with the nearest id.
    """
    matches: set[str] = set()
    for pattern in patterns:
        whole = pattern if set(pattern) & set("*?[") else f"*{pattern}*"
        hits = {id for id in ids if fnmatchcase(id, whole)}
        if not hits:
            raise RequestError(
                f"no claim's id has {pattern!r} in it{suggestion(pattern, ids, quoted=True)}"
            )
        matches |= hits
    return [id for id in ids if id in matches or not patterns]


def try_claim(claim: AnyClaim, seed: int, trainings: dict | None = None, **options: Any) -> Verdict:
    """The verdict on a claim, or a refused one with the reason; `options` are those of
    `trial.judge`.

    Claims about the same towers share their `trainings`, to which new ones are added.
    """
    shared = {"trainings": trainings} if isinstance(claim, TrainedClaim) else {}
    try:
        return import_module(WAYS[type(claim)]).judge(claim, seed=seed, **shared, **options)
    except RequestError as error:
        words = {**words_of(claim), "verdict": REFUSED, "reason": str(error)}
        return Verdict(kind="refused", **words, seconds=0.0, seed=seed)


def select(ids: Sequence[str], available: Sequence[AnyClaim]) -> list[AnyClaim]:
    """The claims with these ids, in these families ("family/member") or about these sentences; all
    if `ids` is empty.

    Raises RequestError for an unknown id, with the nearest known one, or with the reason why it
    cannot be tried.
    """
    names_of = {
        claim.id: {claim.id, claim.id.split("/")[0], claim.sentence} - {""} for claim in available
    }
    names = set().union(*names_of.values())
    for wanted in (id for id in ids if id not in names):
        if reason := next((u.reason for u in untried() if u.id == wanted), None):
            raise RequestError(f"claim {wanted!r} is not on trial: {reason}")
        listed = (
            "soberclip claims lists them"
            if available is ALL_CLAIMS
            else f"there are {', '.join(sorted(names))}"
        )
        near = suggestion(wanted, names, quoted=True) or f"; {listed}"
        if wanted.endswith(".py"):
            near = f"; a file of claims follows --claims, as in --claims {wanted}"
        raise RequestError(f"claim {wanted!r} is unknown{near}")
    return [claim for claim in available if not ids or names_of[claim.id] & set(ids)]


def by_question(claims: Iterable[tuple[str, Item]]) -> list[tuple[str, list[Item]]]:
    """Items of (claim id, item) pairs, grouped by question in the order of QUESTIONS; empty
    questions are left out.
    """
    question_of = {claim.id: claim.question for claim in ALL_CLAIMS}
    groups = dict[str, list[Item]]()
    for claim_id, item in claims:
        groups.setdefault(question_of[claim_id], []).append(item)
    return [(question, groups[question]) for question in QUESTIONS if question in groups]


def claims_of_file(path: Path) -> list[Claim]:
    """The Claim objects at the top level of a Python file, which is executed.

    Raises RequestError if the file fails, defines no claim, or two with one id.
    """
    names = run_file(path, "claims file")
    unique: dict[str, Claim] = {}
    for value in names.values():
        for claim in value if isinstance(value, list | tuple) else [value]:
            if isinstance(claim, Claim) and unique.setdefault(claim.id, claim) is not claim:
                raise RequestError(
                    f"claims file {str(path)!r} defines two claims with the id {claim.id!r};"
                    " rename one"
                )
    if not unique:
        raise RequestError(
            f"claims file {str(path)!r} defines no Claim at its top level; the README has an"
            " example"
        )
    return list(unique.values())
