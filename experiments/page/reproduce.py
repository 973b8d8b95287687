"""The main job: try every claim, prove what can be proved, run the quick designs, and write one
folder with report.html and the certificates of the proofs."""

import shutil
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from experiments.court.parallel import run_parallel
from experiments.court.registry import ALL_CLAIMS
from experiments.errors import Interrupted, RequestError
from experiments.files import (
    REPORT,
    check_report,
    replace_folder,
    staging_folder,
    write_json,
    write_text,
)
from experiments.lab.presets import design
from experiments.verdict import REFUSED, Verdict
from simulator.progress import counting, say

PROOFS = "proofs"  # the folder of the certificates inside the report's folder
INDEX = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>soberclip</title>
<meta http-equiv="refresh" content="0; url={REPORT}"><p><a href="{REPORT}">The report</a></p></html>
"""  # a web server shows it for the folder
# a claim whose proof takes longer is judged without one; on an idle machine all take below 1 s
PROOF_SECONDS = 30.0
# The designs without training, in the order of the page; the picture of the first opens it.
DESIGNS = (
    "equivalent",
    "correlation",
    "theorem",
    "supervised",
    "sources",
    "view-noise",
    "ensembles",
    "captions",
    "classes",
    "bottleneck",
    "pairs",
)


def reproduce(output: Path, seed: int, full: bool = False) -> list[Verdict]:
    """Write the report's folder and return the verdicts. The folder is replaced as a whole, or not
    at all.

    With `full` the trials are those of `check`, with trainings; designs keep their quick size.
    """
    began = perf_counter()
    folder = output
    output = output.resolve()
    check_report(output)
    staging = staging_folder(output)
    duration = "more than an hour" if full else "one to four minutes"
    say(f"{len(ALL_CLAIMS)} claims and {len(DESIGNS)} designs, {duration} on two cores")
    try:
        with counting("claims and designs", len(ALL_CLAIMS) + len(DESIGNS)) as advance:
            verdicts = _verdicts(seed, staging / PROOFS, not full, advance)
            write_json(staging / "verdicts.json", verdicts)
            _write_report(staging, verdicts, seed, began, advance)
        replace_folder(staging, output)
    except KeyboardInterrupt:
        earlier = f"; {folder} is unchanged" if output.exists() else ""
        raise Interrupted(f"interrupted; nothing of this report was kept{earlier}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return verdicts


def _verdicts(
    seed: int, certificates: Path, quick: bool, advance: Callable[[int], None]
) -> list[Verdict]:
    """The verdicts on all claims. Raises RequestError for a claim that cannot be judged."""
    ids = [claim.id for claim in ALL_CLAIMS]
    proving = {"prove": True, "proof_seconds": PROOF_SECONDS, "certificates": certificates}
    verdicts = {}
    for verdict in run_parallel(ids, seed=seed, quick=quick, error_rate=None, **proving):
        if verdict.verdict == REFUSED:
            raise RequestError(verdict.reason)
        verdicts[verdict.claim] = verdict
        advance(1)
    return [verdicts[id] for id in ids]


def _write_report(
    folder: Path, verdicts: list[Verdict], seed: int, began: float, advance: Callable[[int], None]
) -> None:
    """Run the designs, draw the figures, and write the page with its tables."""
    # These import matplotlib and xarray, which are not needed if a trial fails first.
    from experiments.lab.tables import write_csv
    from experiments.page.report import render, section_of
    from experiments.provenance import provenance
    from experiments.svg import standalone

    sections = []
    for name in DESIGNS:
        one = design(name)
        table = one.study(seed=seed).run()
        write_csv(folder / f"{name}.csv", table)
        sections.append(section_of(one, table))
        for file, drawing in sections[-1].drawings.items():
            write_text(folder / f"{file}.svg", standalone(drawing))
        advance(1)
    page = render(
        verdicts=verdicts,
        sections=sections,
        proofs=PROOFS,
        provenance=provenance(),
        seed=seed,
        seconds=round(perf_counter() - began),
    )
    write_text(folder / REPORT, page)
    write_text(folder / "index.html", INDEX)
