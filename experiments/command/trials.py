"""`soberclip claims`, `check` and `reproduce`: claims on trial.

Functions import what they need when they run, for start-up time.
"""

import sys
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Group, RenderableType
from rich.text import Text

from experiments.command.options import Json, Seed
from experiments.command.output import VERDICT_STYLES, emit, free_output, indented, note
from experiments.errors import Interrupted, RequestError, RunError, checked_seed
from experiments.progress import tell

VERDICTS = "verdicts.json"


def claims(*, json: Json = False) -> None:
    """The claims on trial, with source and statement; what is not on trial, with the reason.

    Example: soberclip claims
    """
    from experiments.court.registry import all_claims
    from theory.claims.catalogue import untried

    listed = [*((claim, None) for claim in all_claims()), *((one, one.reason) for one in untried())]
    rows = [{"claim": c.id, "source": c.source, "statement": c.statement, "untried": why} for c, why in listed]
    emit(rows, json, claims_table)


def check(
    *ids: Annotated[str, Parameter(help="claims or families of claims [default: all]")],
    quick: Annotated[
        bool, Parameter(negative="", help="audit 4 points instead of 32; show stored verdicts on long trainings")
    ] = False,
    error_rate: Annotated[
        float | None, Parameter(help="probability of a false verdict [default: the claim's own, .01]")
    ] = None,
    claims: Annotated[Path | None, Parameter(help="Python file with claims of your own; it is executed")] = None,
    prove: Annotated[
        bool, Parameter(negative="", help="also prove or refute the closed forms over their whole domains")
    ] = False,
    verify: Annotated[
        Path | None, Parameter(help="only check the certificates (*.proof) of this folder, without a trial")
    ] = None,
    seed: Seed = 0,
    output: Annotated[
        Path | None,
        Parameter(help="folder for certificates and verdicts.json, which is rewritten after each verdict"),
    ] = None,
    json: Json = False,
) -> None:
    """Put claims on trial: proved, supported, contradicted or undecided, with the evidence.

    Example: soberclip check wang-lemma-d3 corrected-law --quick
    """
    from experiments.court.parallel import run_all
    from experiments.court.registry import all_claims, chosen, claims_of_file
    from experiments.verdict import REFUSED

    if verify is not None:
        if ids or quick or prove or output is not None or error_rate is not None:
            raise RequestError("--verify only checks the certificates of a folder; it goes with --claims alone")
        return _verify(verify, claims, json)
    if error_rate is not None and not 0 < error_rate < 1:
        raise RequestError(f"--error-rate = {error_rate} lies outside (0, 1); .01 is usual")
    checked_seed(seed)
    proving = {"prove": prove, "certificates": output} if prove else {}
    selected = chosen(ids, all_claims() if claims is None else claims_of_file(claims))
    free_output(output, "check", [VERDICTS])
    if prove:
        _check_proving(output, [claim.id for claim in selected])
    kept = None if output is None else output / VERDICTS
    before = _modified(kept)
    try:
        with redirect_stdout(sys.stderr):  # a user's prediction may print
            how = {"seed": seed, "quick": quick, "error_rate": error_rate, **proving}
            document = run_all(selected, output, own=claims is not None, **how)
    except KeyboardInterrupt:
        if kept is None:
            raise Interrupted("interrupted; nothing was kept, since no --output was given") from None
        if _modified(kept) == before:
            raise Interrupted("interrupted before the first verdict; nothing was kept") from None
        raise Interrupted(f"interrupted; the finished verdicts are in {kept}") from None
    emit(document, json, verdict_table)
    refused = [verdict["claim"] for verdict in document if verdict["verdict"] == REFUSED]
    if refused:
        raise RequestError(f"not judged: {', '.join(refused)}; each verdict has the reason")


def _check_proving(output: Path | None, ids: list[str]) -> None:
    from experiments.court.certificates import need_libraries, refuse_other_files

    need_libraries("--prove")
    if output is not None:
        refuse_other_files(output, ids)


def _modified(file: Path | None) -> int | None:
    """When a file was last written; None if it does not exist."""
    return file.stat().st_mtime_ns if file is not None and file.exists() else None


def _verify(folder: Path, claims: Path | None, json: bool) -> None:
    """Check the certificates of a folder. Raises RunError with the names of those that fail."""
    from experiments.court.certificates import need_libraries, verified
    from experiments.court.registry import claims_of_file
    from theory.claims.catalogue import CLAIMS

    need_libraries("--verify")
    known = [*CLAIMS, *([] if claims is None else claims_of_file(claims))]
    document = verified(folder, known, tell)
    emit(document, json, certificate_table)
    refused = [result["file"] for result in document if result["refused"]]
    if refused:
        raise RunError(f"refused: {', '.join(refused)}; each certificate has the reason")


def reproduce(
    *,
    output: Annotated[
        Path,
        Parameter(help="folder for report.html, figures, verdicts and certificates; an earlier report is replaced"),
    ] = Path("soberclip-report"),
    full: Annotated[
        bool,
        Parameter(negative="", help="trials as thorough as those of check, with trainings: an hour and more"),
    ] = False,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """The main job: every claim on a quick trial (`check` audits eight times as many points), the figures, and one
    report.html that opens offline.

    Example: soberclip reproduce --output soberclip-report
    """
    from experiments.page.reproduce import reproduce as run

    checked_seed(seed)
    if full:
        note(_full_work())
    document = run(output, seed, full)
    emit(document, json, verdict_table)
    note(f"report: {output / 'report.html'}")


def _full_work() -> str:
    """The work that a full reproduction adds, with the training time of the stored verdicts."""
    from experiments.court.trained import stored_verdicts
    from experiments.lab.words import counted, duration

    seconds = [verdict["seconds"] for verdict in stored_verdicts()]
    return (
        f"{counted(len(seconds), 'claim')} with a stored verdict are trained again, which took "
        f"{duration(sum(seconds))} then; the others are audited at 32 points instead of 4"
    )


def claims_table(document: list[dict[str, Any]]) -> Group:
    """One block per claim."""
    lines: list[RenderableType] = []
    for row in document:
        lines += [Text.assemble((row["claim"], "bold"), "  ", (row["source"], "dim")), indented(row["statement"])]
        if row["untried"]:
            lines.append(indented(f"not on trial: {row['untried']}"))
    return Group(*lines)


def verdict_table(document: list[dict[str, Any]]) -> Group:
    """One block per verdict: statement, relation, numbers, interval and point; --json has the rest."""
    from experiments.page.evidence import by_verdict, claimed, how, measured, place, tally

    lines: list[RenderableType] = []
    for row in document:
        term, where = place(row)
        parts = [f"claimed {claimed(row)}", f"measured {measured(row)}", f"{term} {where}" if term else ""]
        parts.append(f"{row['route']}, n = {row['n']:.4g}; {how(row)}" if row["route"] else how(row))
        if row["verdict"] not in ("supported", "contradicted") or row.get("proof"):
            why = row.get("reason", "")  # verdicts from the published tables have none
            parts = [why] if row["route"] is None else [why, *parts]
        lines.append(Text.assemble((f"{row['verdict']:<13}", VERDICT_STYLES[row["verdict"]]), (row["claim"], "bold")))
        lines += [indented(row["statement"]), indented("; ".join(part for part in parts if part))]
    return Group(*lines, Text(f"{by_verdict(document)}. {' '.join(tally(document))}"))


def certificate_table(document: list[dict[str, Any]]) -> Group:
    """One block per certificate."""
    lines: list[RenderableType] = []
    for row in document:
        outcome = "refused" if row["refused"] else row["shows"]
        checked = f"{row['boxes']} boxes checked" if row["boxes"] else "checked exactly"
        result = row["refused"] or f"{checked}, in {row['seconds']:.2g} s"
        lines.append(Text.assemble((f"{outcome:<13}", VERDICT_STYLES[outcome]), (row["claim"] or row["file"], "bold")))
        lines.append(indented(f"{row['file']}: {result}"))
    counts = Counter("refused" if row["refused"] else row["shows"] for row in document)
    return Group(*lines, Text(", ".join(f"{n} {outcome}" for outcome, n in counts.items()) + "."))
