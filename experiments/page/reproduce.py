"""The main job: try every claim, prove what can be, run the quick designs, draw them, write one folder with
report.html and the certificates of the proofs."""

import shutil
from pathlib import Path
from time import perf_counter
from typing import Any

from experiments.court.certificates import need_libraries
from experiments.court.parallel import run_parallel
from experiments.court.registry import all_trials
from experiments.errors import Interrupted, RequestError
from experiments.files import REPORT, check_report, replace_folder, staging_folder, write_json, write_text
from experiments.lab.design import design
from experiments.page import story
from experiments.page.section import section_of
from experiments.progress import track
from experiments.verdict import REFUSED

PROOFS = "proofs"  # the folder of the certificates, in that of the report
PROOF_SECONDS = 30.0  # a claim whose proof takes longer is judged without one; all take less than one, undisturbed
# The designs that need no training, in the order of the page.
SHOWN = (
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


def reproduce(output: Path, seed: int, full: bool = False) -> list[dict[str, Any]]:
    """Write the report folder and return the verdicts. The folder is replaced as a whole, or not at all.

    With `full` the trials are those of `check`: more points a claim, and no verdict on trained towers is a stored one;
    the designs stay in their quick size. A link keeps pointing where it points. Raises RequestError if `output` is
    something other than an earlier report or an empty folder, Interrupted after Ctrl-C, when nothing is kept.
    """
    began = perf_counter()
    asked, output = output, output.resolve()
    check_report(output)
    need_libraries("reproduce")
    staging = staging_folder(output)
    try:
        verdicts = _verdicts(seed, staging / PROOFS, quick=not full)
        write_json(staging / "verdicts.json", verdicts)
        _write_report(staging, verdicts, seed, began)
        replace_folder(staging, output)
    except KeyboardInterrupt:
        standing = f"; {asked} is as it was" if output.exists() else ""
        raise Interrupted(f"interrupted; of this report nothing was kept{standing}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return verdicts


def _verdicts(seed: int, certificates: Path, quick: bool) -> list[dict[str, Any]]:
    """Verdicts of the whole docket; certificates as files. Raises RequestError where one cannot be judged."""
    ids = [trial.id for trial in all_trials()]
    proving = {"prove": True, "proof_seconds": PROOF_SECONDS, "certificates": certificates}
    found = run_parallel(ids, seed=seed, quick=quick, error_rate=None, proving=proving)
    verdicts = {verdict["claim"]: verdict for verdict in track(found, len(ids), "claims tried")}
    for verdict in verdicts.values():
        if verdict["verdict"] == REFUSED:
            raise RequestError(verdict["reason"])
    return [verdicts[id] for id in ids]


def _write_report(folder: Path, verdicts: list[dict[str, Any]], seed: int, began: float) -> None:
    """Run the designs, draw everything, and write the page with what stands beside it."""
    from experiments.lab.table import write_csv
    from experiments.page import ahead, latents, rate
    from experiments.page.drawing import svg
    from experiments.page.report import render
    from experiments.provenance import provenance

    sections, tables = [latents.section(seed), rate.section(seed)], {}
    for name in track(SHOWN, len(SHOWN), "designs run", str):
        found = design(name)
        tables[name] = found.study(seed=seed).run()
        write_csv(folder / f"{name}.csv", tables[name])
        sections.insert(-1, section_of(found, tables[name]))
    drawings = {}
    pictures = [(section, *item) for section in sections for item in section.figures.items()]
    for section, name, figure in track(pictures, len(pictures), "figures drawn", lambda picture: picture[1]):
        drawings[name] = svg(figure, section.takeaway)
        write_text(folder / f"{name}.svg", drawings[name])
    gap = ahead.leads(tables["supervised"])
    shares = ahead.shares(gap)
    write_json(folder / "maps.json", {"shares": shares, "map": gap.to_dict()})
    page = render(
        verdicts=verdicts,
        sections=sections,
        drawings=drawings,
        at_length=story.at_length(shares),
        shares=shares,
        proofs=PROOFS,
        map_region=ahead.region(tables["supervised"]),
        provenance=provenance(),
        seed=seed,
        seconds=round(perf_counter() - began),
    )
    write_text(folder / REPORT, page)
