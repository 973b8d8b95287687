"""The main job: try every claim quickly, draw the figures, write one folder with report.html."""

import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

from experiments.court.docket import Trial, chosen, docket
from experiments.court.proving import need_libraries
from experiments.errors import Interrupted
from experiments.files import REPORT, refuse_foreign, replace_folder, staging_folder, write_json, write_text
from experiments.page import story
from experiments.progress import track

PROOF_SECONDS = 5.0  # a claim whose proof takes longer is judged without one


def reproduce(output: Path, seed: int) -> list[dict[str, Any]]:
    """Write the report folder and return the verdicts. The folder is replaced as a whole, or not at all.

    A link keeps pointing where it points. Raises RequestError if `output` is something other than an earlier report or
    an empty folder, Interrupted after Ctrl-C, when nothing is kept.
    """
    began = perf_counter()
    asked, output = output, output.resolve()
    refuse_foreign(output)
    need_libraries("reproduce")
    staging = staging_folder(output)
    try:
        verdicts = _verdicts(seed)
        write_json(staging / "verdicts.json", verdicts)
        _write_report(staging, verdicts, seed, began)
        replace_folder(staging, output)
    except KeyboardInterrupt:
        standing = f"; {asked} is as it was" if output.exists() else ""
        raise Interrupted(f"interrupted; of this report nothing was kept{standing}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return verdicts


def _verdicts(seed: int) -> list[dict[str, Any]]:
    """Quick verdicts of the whole docket, on as many processes as there are cores up to four."""
    ids = [trial.id for trial in docket()]
    workers = min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    # Spawned rather than forked: torch's threads do not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            return list(track(pool.map(_quick_verdict, ids, [seed] * len(ids)), len(ids), "claims tried"))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _quick_verdict(claim_id: str, seed: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)  # one process a core: more threads would only contend
    (trial,) = chosen((claim_id,), _known_trials())
    return trial.hold(seed, True, None)


@cache
def _known_trials() -> list[Trial]:
    return docket(prove=True, proof_seconds=PROOF_SECONDS)


def _write_report(folder: Path, verdicts: list[dict[str, Any]], seed: int, began: float) -> None:
    from experiments.page import figures, sweeps
    from experiments.page.report import inline_svg, render
    from experiments.provenance import provenance

    plan = {  # figure: its table, how it is drawn, what is said below it
        "latents": (partial(sweeps.latent_sample, seed), figures.latent_scatter, story.latents_caption),
        "error": (partial(sweeps.error_against_correlation, seed), figures.error_curves, story.curves_caption),
        "boundary": (sweeps.boundary, figures.boundary_map, story.boundary_caption),
        "maps": (sweeps.supervised_map, figures.supervised_maps, story.maps_caption),
        "infonce": (partial(sweeps.infonce_bridge, seed), figures.infonce_curves, story.bridge_caption),
        "rate": (partial(sweeps.minimiser_error, seed), figures.rate_plot, story.rate_caption),
    }
    tables, drawings = {}, []
    for name, (compute, draw, caption) in track(plan.items(), len(plan), "figures drawn"):
        table = tables[name] = compute()
        drawings.append((name, draw(table), caption(table)))
        write_text(folder / f"{name}.svg", inline_svg(drawings[-1][1], name, name))
    maps = tables["maps"]
    shares = sweeps.map_shares(maps)
    write_json(folder / "maps.json", {"shares": shares, "map": maps.to_dict()})
    page = render(
        verdicts=verdicts,
        figures=drawings,
        answer=story.answer(shares),
        shares=shares,
        map_region=f"μ_spu from 0.5 to 3, σ_spu from 0.2 to 2.5, σ_inv = 1, ν = {maps.nu}",
        provenance=provenance(),
        seed=seed,
        seconds=round(perf_counter() - began),
        world=", ".join(f"{name} = {value}" for name, value in sweeps.LOUD.items()),
    )
    write_text(folder / REPORT, page)
