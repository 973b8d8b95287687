"""Which claims, tried in which order, with every finished verdict kept.

Three kinds of claim share one docket: those of the theory's catalogue (`court.judge`), those that only training can
test (`court.trained`), and those that the published tables decide (`experiments.published.claims`).
"""

import runpy
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.errors import RequestError
from experiments.files import output_folder, write_json
from experiments.inference import holm
from experiments.progress import tell, track
from simulator.naming import suggestion
from theory.claims.catalogue import claims as catalogue
from theory.claims.claim import Claim
from theory.claims.untried import UNTRIED

REFUSED = "refused"
FAMILY_ALPHA = 0.01  # family-wise error rate of a docket's contradictions


class Trial(NamedTuple):
    """A claim and how it is tried: hold(seed, quick, error_rate) -> verdict as a document."""

    id: str
    source: str
    statement: str
    hold: Callable[[int, bool, float | None], dict[str, Any]]


def docket(**proving) -> list[Trial]:
    """Every claim of the project: the papers' formulas first, then trained towers, then published tables."""
    return [*(trial_of(claim, **proving) for claim in catalogue()), *trained_trials(), *published_trials()]


def trial_of(claim: Claim, **proving) -> Trial:
    """The trial of a claim that is data: search, design, measurement, decision; `proving` as `judge` takes it."""

    def hold(seed: int, quick: bool, error_rate: float | None) -> dict[str, Any]:
        from experiments.court.judge import judge

        return judge(claim, seed=seed, quick=quick, error_rate=error_rate, **proving).as_json()

    return Trial(claim.id, claim.source, claim.statement, hold)


def trained_trials() -> list[Trial]:
    """Claims about trained towers; a quick trial mostly shows the verdict stored with the package."""
    from theory.claims.pictures import picture_claims
    from theory.claims.trained import TrainedClaim, trained_claims

    def trial(claim: TrainedClaim) -> Trial:
        def hold(seed: int, quick: bool, error_rate: float | None) -> dict[str, Any]:
            from experiments.court.trained import judge_trained, stored_for

            kept = stored_for(claim, error_rate) if quick else None
            return kept or judge_trained(claim, seed=seed, error_rate=error_rate, report=tell)

        return Trial(claim.id, claim.source, claim.statement, hold)

    return [trial(claim) for claim in (*trained_claims(), *picture_claims())]


def published_trials() -> list[Trial]:
    """Claims that the tables of [W] decide; about a second in all."""
    from experiments.published.claims import published_verdict, published_verdicts

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
    """The trials with these ids, or in these families ("family/member"); all if none is named.

    Raises RequestError for an id that names no claim, with the nearest that does, or with the reason why it is none.
    """
    for wanted in ids:
        if reason := next((u.reason for u in UNTRIED if u.id == wanted), None):
            raise RequestError(f"claim {wanted!r} is not on trial: {reason}")
        if not any(_selects(wanted, trial) for trial in available):
            names = {t.id for t in available} | {t.id.split("/")[0] for t in available}
            raise RequestError(f"claim {wanted!r} is unknown{suggestion(wanted, names, quoted=True)}")
    return [trial for trial in available if not ids or any(_selects(wanted, trial) for wanted in ids)]


def _selects(wanted: str, trial: Trial) -> bool:
    return wanted in (trial.id, trial.id.split("/")[0])


def claims_of_file(path: Path) -> list[Claim]:
    """The Claim objects at the top level of a Python file, which is executed as `python FILE` would.

    Modules beside it can be imported; what it prints goes to stderr, since stdout is for the verdicts. Raises
    RequestError if it cannot be read, raises (naming the line), defines no claim, or two of one id.
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
            raise RequestError(f"claims file {str(path)!r} defines two claims of the id {claim.id!r}; rename one")
    if not unique:
        raise RequestError(f"claims file {str(path)!r} defines no Claim at its top level; the README has an example")
    return list(unique.values())


def try_all(
    trials: list[Trial],
    *,
    seed: int,
    quick: bool,
    error_rate: float | None,
    output: Path | None,
    proving: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Hold the trials; `output`/verdicts.json is rewritten after each, in their order.

    With `proving`, as `docket` takes it, they are of that docket, and full trials share the cores of this machine;
    without, they are held here one after another. A claim that cannot be judged is recorded as REFUSED with the
    sentence why, and the others keep their verdicts. Raises RequestError if none can be judged.
    """
    from experiments.court.together import held_together, workers

    folder = None if output is None else output_folder(output)
    how = {"seed": seed, "quick": quick, "error_rate": error_rate}
    places = {trial.id: place for place, trial in enumerate(trials)}
    if proving is None or quick or min(len(trials), workers()) < 2:  # quick ones last no longer than processes start
        found = (held(trial, **how) for trial in track(trials, len(trials), "claims tried", lambda trial: trial.id))
    else:
        found = track(held_together(list(places), **how, proving=proving), len(trials), "claims tried")
    verdicts: list[dict[str, Any]] = []
    for verdict in found:
        verdicts = sorted([*verdicts, verdict], key=lambda one: places[one["claim"]])
        if folder is not None:
            write_json(folder / "verdicts.json", verdicts)
    if verdicts and all(verdict["verdict"] == REFUSED for verdict in verdicts):
        raise RequestError(verdicts[0]["reason"])
    return verdicts


def held(trial: Trial, seed: int, quick: bool, error_rate: float | None) -> dict[str, Any]:
    """The verdict, or why there is none."""
    try:
        return _of_this_seed(trial.hold(seed, quick, error_rate), seed)
    except RequestError as error:
        return refusal(trial, str(error), seed)


def _of_this_seed(verdict: dict[str, Any], seed: int) -> dict[str, Any]:
    """The verdict. Raises RequestError for a stored one of another seed: it would not be what was asked for."""
    if verdict.get("stored") and verdict["seed"] != seed:
        raise RequestError(
            f"--seed = {seed}: --quick shows the verdict of claim {verdict['claim']!r} that is stored for seed "
            f"{verdict['seed']}; leave --seed out, or leave --quick out to train"
        )
    return verdict


def family_sentence(verdicts: Sequence[dict[str, Any]]) -> str | None:
    """What the contradictions of a docket are worth together, for people; None if none was tested."""
    found = family(verdicts)
    if not found["contradicted"]:
        return None
    return (
        f"{len(found['standing'])} of {found['contradicted']} contradictions stand at family-wise error rate "
        f"{found['alpha']:g} (Holm over {found['tested']} claims tested); supported claims carry no error rate"
    )


def refusal(trial: Trial, reason: str, seed: int) -> dict[str, Any]:
    """What stands in the place of a verdict for a claim that cannot be judged."""
    nothing = dict.fromkeys(("predicted", "measured", "interval", "counterexample", "route", "n", "replicates"))
    words = {"claim": trial.id, "source": trial.source, "statement": trial.statement}
    return {**words, "verdict": REFUSED, "reason": reason, **nothing, "seconds": 0.0, "seed": seed}


def family(verdicts: Sequence[dict[str, Any]], alpha: float = FAMILY_ALPHA) -> dict[str, Any]:
    """The contradictions of a docket taken together, with Holm's correction over every claim that was tried.

    standing names the contradictions that stand at the family-wise error rate `alpha`: with probability 1 - alpha no
    true claim is among them. Verdicts without a p-value (stored trainings, published tables) are counted apart:
    nothing is corrected for them. Supported claims carry no error rate, singly or together.
    """
    tested = [v for v in verdicts if v.get("alpha") is not None and "p_value" in v]
    p = np.array([1.0 if v["p_value"] is None else v["p_value"] for v in tested])
    adjusted = {v["claim"]: float(q) for v, q in zip(tested, holm(p), strict=True)}
    contradicted = [v["claim"] for v in tested if v["verdict"] == "contradicted"]
    return {
        "alpha": alpha,
        "tested": len(tested),
        "untested": len(verdicts) - len(tested),
        "contradicted": len(contradicted),
        "standing": [claim for claim in contradicted if adjusted[claim] <= alpha],
        "adjusted_p": {claim: adjusted[claim] for claim in contradicted},
    }
