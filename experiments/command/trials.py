"""`soberclip claims`, `check` and `reproduce`: claims on trial."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from experiments.command.words import Json, Seed, emit, free_output, note
from experiments.errors import Interrupted, RequestError, RunError, checked_seed
from experiments.progress import tell

VERDICTS = "verdicts.json"


def claims(*, json: Json = False) -> None:
    """The claims on trial, with source and statement; what is not on trial, with the reason.

    Example: soberclip claims
    """
    from experiments.command.screens.trials import claims_table
    from experiments.court.registry import all_trials
    from theory.claims.catalogue import untried

    tried = [{"claim": t.id, "source": t.source, "statement": t.statement, "untried": None} for t in all_trials()]
    others = [{"claim": u.id, "source": u.source, "statement": u.statement, "untried": u.reason} for u in untried()]
    emit([*tried, *others], json, claims_table)


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
    prove: Annotated[
        bool, Parameter(negative="", help="also prove or refute the closed forms over their whole domains")
    ] = False,
    verify: Annotated[
        Path | None, Parameter(help="check the certificates (*.proof) of this folder instead, and try nothing")
    ] = None,
    seed: Seed = 0,
    output: Annotated[
        Path | None,
        Parameter(help="folder for verdicts.json, rewritten after each verdict, and certificates; made if need be"),
    ] = None,
    json: Json = False,
) -> None:
    """Put claims on trial: proved, supported, contradicted or undecided, with the evidence.

    Example: soberclip check wang-lemma-d3 corrected-law --quick
    """
    from experiments.command.screens.trials import verdict_table
    from experiments.court.parallel import run_all
    from experiments.court.registry import all_trials, chosen, claims_of_file, trial_of
    from experiments.verdict import REFUSED

    if verify is not None:
        if ids or quick or prove or output is not None or error_rate is not None:
            raise RequestError(
                "--verify checks a folder of certificates and tries nothing; give --claims alone with it"
            )
        return _verify(verify, claims, json)
    if error_rate is not None and not 0 < error_rate < 1:
        raise RequestError(f"--error-rate = {error_rate} lies outside (0, 1); .01 is usual")
    checked_seed(seed)
    proving = {"prove": prove, "certificates": output} if prove else {}
    available = all_trials(**proving) if claims is None else [trial_of(c, **proving) for c in claims_of_file(claims)]
    selected = chosen(ids, available)
    free_output(output, "check", [VERDICTS])
    if prove:
        _ready_to_prove(output, [trial.id for trial in selected])
    kept = None if output is None else output / VERDICTS
    before = _written(kept)
    try:
        with redirect_stdout(sys.stderr):  # a prediction of a user's own may print
            how = {"seed": seed, "quick": quick, "error_rate": error_rate, "output": output}
            document = run_all(selected, **how, proving=proving if claims is None else None)
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


def _ready_to_prove(output: Path | None, ids: list[str]) -> None:
    from experiments.court.certificates import need_libraries, refuse_other_files

    need_libraries("--prove")
    if output is not None:
        refuse_other_files(output, ids)


def _verify(folder: Path, claims: Path | None, json: bool) -> None:
    """Run the checker over a folder; RunError names the certificates that it refuses."""
    from experiments.command.screens.trials import certificate_table
    from experiments.court.certificates import need_libraries, verified
    from experiments.court.registry import claims_of_file
    from theory.claims.catalogue import claims as catalogue

    need_libraries("--verify")
    known = [*catalogue(), *([] if claims is None else claims_of_file(claims))]
    document = verified(folder, known, tell)
    emit(document, json, certificate_table)
    refused = [result["file"] for result in document if result["refused"]]
    if refused:
        raise RunError(f"refused: {', '.join(refused)}; the reasons stand with the certificates")


def _written(file: Path | None) -> int | None:
    """When a file was last written, None if it is not there; to tell whether this run wrote it."""
    return file.stat().st_mtime_ns if file is not None and file.exists() else None


def reproduce(
    *,
    output: Annotated[
        Path,
        Parameter(
            help="folder for report.html, figures, verdicts and certificates; an earlier report there is replaced"
        ),
    ] = Path("soberclip-report"),
    full: Annotated[
        bool,
        Parameter(negative="", help="trials as thorough as those of check, trainings included: an hour and more"),
    ] = False,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """The main job: every claim on a quick trial (`check` audits eight times as many points), the figures, and one
    report.html that opens offline.

    Example: soberclip reproduce --output soberclip-report
    """
    from experiments.command.screens.trials import verdict_table
    from experiments.page.reproduce import reproduce as run

    checked_seed(seed)
    if full:
        note(_hours())
    document = run(output, seed, full)
    emit(document, json, verdict_table)
    note(f"report: {output / 'report.html'}")


def _hours() -> str:
    """What a full reproduction does beyond a quick one, and how long that took when the verdicts were stored."""
    from experiments.court.trained import stored_verdicts
    from experiments.lab.words import counted, duration

    seconds = [verdict["seconds"] for verdict in stored_verdicts()]
    return (
        f"{counted(len(seconds), 'claim')} whose verdict is stored are trained anew, which took "
        f"{duration(sum(seconds))} then; the others are audited at 32 points in place of 4"
    )
