"""Which claims, tried in which order, with every finished verdict kept.

Three kinds of claim share one docket: those of the theory's catalogue (`court.judge`), those that only training can
test (`court.trained`), and those that the published tables decide (`experiments.published.claims`).
"""

import runpy
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from experiments.errors import RequestError
from experiments.files import output_folder, write_json
from experiments.progress import tell, track
from simulator.naming import suggestion
from theory.claims.catalogue import claims as catalogue
from theory.claims.claim import Claim


class Trial(NamedTuple):
    """A claim and how it is tried: hold(seed, quick, error_rate) -> verdict as a document."""

    id: str
    source: str
    statement: str
    hold: Callable[[int, bool, float | None], dict[str, Any]]


def docket() -> list[Trial]:
    """Every claim of the project: the papers' formulas first, then trained towers, then published tables."""
    return [*map(trial_of, catalogue()), *trained_trials(), *published_trials()]


def trial_of(claim: Claim) -> Trial:
    """The trial of a claim that is data: search, design, measurement, decision."""

    def hold(seed: int, quick: bool, error_rate: float | None) -> dict[str, Any]:
        from experiments.court.judge import judge

        return judge(claim, seed=seed, quick=quick, error_rate=error_rate).as_json()

    return Trial(claim.id, claim.source, claim.statement, hold)


def trained_trials() -> list[Trial]:
    """Claims about trained towers; quick ones mostly show the verdict stored with the package."""
    from theory.claims.trained import TrainedClaim, trained_claims

    def trial(claim: TrainedClaim) -> Trial:
        def hold(seed: int, quick: bool, error_rate: float | None) -> dict[str, Any]:
            from experiments.court.trained import judge_trained, quick_verdict

            return (quick_verdict(claim, seed=seed) if quick else None) or judge_trained(claim, seed=seed, report=tell)

        return Trial(claim.id, claim.source, claim.statement, hold)

    return [trial(claim) for claim in trained_claims()]


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

    Raises RequestError for an id that names no claim, with the nearest that does.
    """
    for wanted in ids:
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
    trials: list[Trial], *, seed: int, quick: bool, error_rate: float | None, output: Path | None
) -> list[dict[str, Any]]:
    """Hold the trials one after another; `output`/verdicts.json is rewritten after each.

    A claim of a user's own that the closed forms cannot evaluate is a wrong request: the sentence names it.
    """
    folder = None if output is None else output_folder(output)
    verdicts: list[dict[str, Any]] = []
    for trial in track(trials, len(trials), "claims tried"):
        try:
            verdict = trial.hold(seed, quick, error_rate)
        except (ValueError, KeyError, TypeError) as error:
            raise RequestError(f"claim {trial.id!r} cannot be judged: {type(error).__name__}: {error}") from error
        verdicts.append(verdict)
        if folder is not None:
            write_json(folder / "verdicts.json", verdicts)
    return verdicts
