"""`soberclip claims`, `check` and `reproduce`: claims on trial."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from experiments.command.words import Json, Seed, emit, free_output
from experiments.errors import Interrupted, RequestError, checked_seed

VERDICTS = "verdicts.json"


def claims(*, json: Json = False) -> None:
    """The claims on trial, with source and statement.

    Example: soberclip claims
    """
    from experiments.command.screens import claims_table
    from experiments.court.docket import docket

    document = [{"claim": t.id, "source": t.source, "statement": t.statement} for t in docket()]
    emit(document, json, claims_table)


def check(
    *ids: Annotated[str, Parameter(help="claims or families of claims; all if none is named")],
    quick: Annotated[
        bool, Parameter(negative="", help="audit 4 points instead of 32; show stored verdicts on long trainings")
    ] = False,
    error_rate: Annotated[
        float | None, Parameter(help="probability of a false verdict [default: the claim's own, .01]")
    ] = None,
    claims: Annotated[
        Path | None, Parameter(help="Python file that defines claims of your own; it is executed")
    ] = None,
    seed: Seed = 0,
    output: Annotated[
        Path | None, Parameter(help="folder for verdicts.json, rewritten after each verdict; made if need be")
    ] = None,
    json: Json = False,
) -> None:
    """Put claims on trial: supported, contradicted or undecided, with the evidence.

    Example: soberclip check wang-lemma-d3 corrected-law --quick
    """
    from experiments.command.screens import verdict_table
    from experiments.court.docket import REFUSED, chosen, claims_of_file, docket, trial_of, try_all

    if error_rate is not None and not 0 < error_rate < 1:
        raise RequestError(f"--error-rate = {error_rate} lies outside (0, 1); .01 is usual")
    checked_seed(seed)
    available = docket() if claims is None else [trial_of(claim) for claim in claims_of_file(claims)]
    selected = chosen(ids, available)
    free_output(output, "check", [VERDICTS])
    kept = None if output is None else output / VERDICTS
    before = _written(kept)
    try:
        with redirect_stdout(sys.stderr):  # a prediction of a user's own may print
            document = try_all(selected, seed=seed, quick=quick, error_rate=error_rate, output=output)
    except KeyboardInterrupt:
        if kept is None:
            raise Interrupted("interrupted; nothing was kept, since no --output was given") from None
        if _written(kept) == before:
            raise Interrupted("interrupted before the first verdict; nothing was kept") from None
        raise Interrupted(f"interrupted; the finished verdicts are in {kept}") from None
    emit(document, json, verdict_table)
    refused = [verdict["claim"] for verdict in document if verdict["verdict"] == REFUSED]
    if refused:
        raise RequestError(f"not judged: {', '.join(refused)}; the reasons stand with the verdicts")


def _written(file: Path | None) -> int | None:
    """When a file was last written, None if it is not there; to tell whether this run wrote it."""
    return file.stat().st_mtime_ns if file is not None and file.exists() else None


def reproduce(
    *,
    output: Annotated[
        Path, Parameter(help="folder for report.html, figures and verdicts; an earlier report there is replaced")
    ] = Path("soberclip-report"),
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """The main job: every claim on a quick trial (`check` audits eight times as many points), the figures, and one
    report.html that opens offline.

    Example: soberclip reproduce --output soberclip-report
    """
    from experiments.command.screens import verdict_table
    from experiments.page.reproduce import reproduce as run

    document = run(output, checked_seed(seed))
    emit(document, json, verdict_table)
    print(f"report: {output / 'report.html'}", file=sys.stderr)
