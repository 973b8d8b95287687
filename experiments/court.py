"""Which claims, tried in which order, with every finished verdict kept."""

import runpy
import traceback
from pathlib import Path
from typing import Any

from experiments.errors import RequestError, nearest
from experiments.files import output_folder, write_json
from experiments.progress import track
from theory.catalogue import claims as catalogue
from theory.claims import Claim


def chosen_claims(ids: tuple[str, ...], own: list[Claim] | None) -> list[Claim]:
    """The claims with these ids, or in these families, of a user's own list or the catalogue; all if none named.

    Raises RequestError for an id that names no claim, with the nearest that does.
    """
    available = catalogue() if own is None else own
    if not ids:
        return available
    for wanted in ids:
        if not any(_selects(wanted, claim) for claim in available):
            names = {c.id for c in available} | {c.id.split("/")[0] for c in available}
            raise RequestError(f"claim {wanted!r} is unknown; the nearest is {nearest(wanted, names)!r}")
    return [claim for claim in available if any(_selects(wanted, claim) for wanted in ids)]


def _selects(wanted: str, claim: Claim) -> bool:
    return claim.id == wanted or claim.id.split("/")[0] == wanted


def claims_of_file(path: Path) -> list[Claim]:
    """The Claim objects at the top level of a Python file, which is executed.

    Raises RequestError if it cannot be read, raises (naming the line) or defines no claim.
    """
    if not path.is_file():
        raise RequestError(f"claims file {str(path)!r} does not exist; give a Python file that defines Claim objects")
    try:
        names = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        line = frames[-1].lineno if frames else getattr(error, "lineno", "?")
        raise RequestError(f"claims file {path}, line {line}: {type(error).__name__}: {error}") from None
    found: list[Claim] = []
    for value in names.values():
        found += [c for c in (value if isinstance(value, list | tuple) else [value]) if isinstance(c, Claim)]
    unique = {claim.id: claim for claim in found}
    if not unique:
        raise RequestError(
            f"claims file {str(path)!r} defines no Claim at its top level; see the README for an example"
        )
    return list(unique.values())


def try_claims(
    selected: list[Claim], *, seed: int, quick: bool, error_rate: float | None, output: Path | None
) -> list[dict[str, Any]]:
    """Judge the claims one after another; `output`/verdicts.json is rewritten after each.

    A claim of a user's own that the closed forms cannot evaluate is a wrong request: the sentence names it.
    """
    from experiments.judge import judge

    folder = None if output is None else output_folder(output)
    verdicts: list[dict[str, Any]] = []
    for claim in track(selected, len(selected), "claims tried"):
        try:
            verdict = judge(claim, seed=seed, quick=quick, error_rate=error_rate)
        except (ValueError, KeyError, TypeError) as error:
            raise RequestError(f"claim {claim.id!r} cannot be judged: {type(error).__name__}: {error}") from error
        verdicts.append(verdict.as_json())
        if folder is not None:
            write_json(folder / "verdicts.json", verdicts)
    return verdicts
