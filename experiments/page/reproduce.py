"""The main job: try every claim quickly, draw the figures, write one folder with report.html."""

import os
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

from experiments.court.docket import Trial, chosen, docket
from experiments.errors import RequestError, RunError
from experiments.files import write_json, write_text
from experiments.progress import track

REPORT = "report.html"


def reproduce(output: Path, seed: int) -> list[dict[str, Any]]:
    """Write the report folder and return the verdicts. The folder is replaced as a whole, or not at all.

    Raises RequestError if `output` is something other than an earlier report or an empty folder.
    """
    began = perf_counter()
    _refuse_foreign(output)
    staging = _staging(output)
    try:
        verdicts = _verdicts(seed)
        write_json(staging / "verdicts.json", verdicts)
        _write_report(staging, verdicts, seed, began)
        _replace(staging, output)
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
    return docket()


def _write_report(folder: Path, verdicts: list[dict[str, Any]], seed: int, began: float) -> None:
    from experiments.page import figures, sweeps
    from experiments.page.report import inline_svg, render
    from experiments.provenance import provenance

    curves = sweeps.error_against_correlation(seed)
    turning = sweeps.boundary()
    maps = sweeps.supervised_map()
    bridge = sweeps.infonce_bridge(seed)
    rate = sweeps.minimiser_error(seed)
    latents = sweeps.latent_sample(seed)
    shares = sweeps.map_shares(maps)
    write_json(folder / "maps.json", {"shares": shares, "map": maps.to_dict()})
    drawings = [
        ("latents", figures.latent_scatter(latents), _latents_caption(latents)),
        ("error", figures.error_curves(curves), _curves_caption(curves)),
        ("boundary", figures.boundary_map(turning), _BOUNDARY_CAPTION),
        ("maps", figures.supervised_maps(maps), _maps_caption(maps)),
        ("infonce", figures.infonce_curves(bridge), _bridge_caption(bridge)),
        ("rate", figures.rate_plot(rate), _rate_caption(rate)),
    ]
    for name, figure, _ in drawings:
        write_text(folder / f"{name}.svg", inline_svg(figure, name, name))
    page = render(
        verdicts=verdicts,
        figures=drawings,
        answer=answer(shares),
        shares=shares,
        map_region="μ_spu from 0.5 to 3, σ_spu from 0.2 to 2.5, σ_inv = 1, ν = 0.1",
        provenance=provenance(),
        seed=seed,
        seconds=round(perf_counter() - began),
        world=", ".join(f"{name} = {value}" for name, value in sweeps.LOUD.items()),
    )
    write_text(folder / REPORT, page)


def answer(shares: list[dict[str, Any]]) -> list[str]:
    """The title question in three sentences, every number computed; `shares` as `sweeps.map_shares` gives them."""
    from experiments.page.sweeps import LOUD
    from simulator.world import Worlds, view_noise
    from theory.learners import InfoNCE, LinearCLIP, Logistic

    def points(accuracy) -> str:
        return f"{100 * float(accuracy.common):.1f}/{100 * float(accuracy.counter):.1f}"

    def share(contrastive: str, ahead: str = "contrastive") -> str:
        rows = [r for r in shares if r["contrastive"] == contrastive and r["supervised"] == "logistic"]
        return f"{100 * sum(r[f'{ahead}_more_robust'] for r in rows) / len(rows):.0f} %"

    strong, certain = (Worlds(p_spu=p, sigma_xi=view_noise(0.01), **LOUD) for p in (0.9, 1 - 1e-5))
    logistic = [Logistic().accuracy(w) for w in (strong, certain)]
    name, mean = (points(LinearCLIP(prompt).accuracy(strong)) for prompt in ("name", "mean"))
    return [
        "It depends on the prompt, on the loss and on how certain the correlation is, more than on being contrastive: "
        "where the background is twice as loud as the animal and matches it in 90 % of the pairs, linear CLIP is right "
        f"on {name} % of the common/counter group when prompted with the bare class "
        f"name and on {mean} % when prompted with the average caption, while the "
        f"optimum of the InfoNCE loss that CLIP really minimises reaches {points(InfoNCE('name').accuracy(strong))} % "
        f"and {points(InfoNCE('mean').accuracy(strong))} % with the same two prompts.",
        f"Supervised logistic regression on the same images is right on {points(logistic[0])} %, so it beats linear "
        "CLIP there; but as the correlation becomes certain, the limit in which the published theorem is stated, it "
        f"falls to {points(logistic[1])} % against {points(LinearCLIP('name').accuracy(certain))} % of linear CLIP.",
        "So the theorem shows that CLIP can be bad, not that it is worse than supervised learning, and neither paper's "
        "ranking holds in general: over the mapped worlds linear CLIP (name prompt) is ahead of logistic regression on "
        f"the counter group in {share('linear CLIP, name')} and behind in {share('linear CLIP, name', 'supervised')}, "
        f"the InfoNCE optimum with the same prompt ahead in {share('InfoNCE, name')} and with the average caption "
        f"behind in {share('InfoNCE, mean', 'supervised')}.",
    ]


def _latents_caption(table) -> str:
    return (
        f"{table.size} training pairs at p_spu = {table.p_spu}: circles have the background of their class (common), "
        "crosses do not (counter). Each line is where a rule changes its mind; the flatter it is, the more the "
        "background decides."
    )


def _curves_caption(table) -> str:
    return (
        "Error on the counter group against the correlation. Points with bars: exact law of training on "
        f"n = {table.n} pairs, mean and central 95 % of {table.replicates} trainings; crosses: mean of "
        f"{table.drawn_replicates} trainings on drawn pairs. Where the black dashed line lies above a coloured one, "
        "the printed lower bound is violated."
    )


_BOUNDARY_CAPTION = (
    "The correlation above which each printed inequality of Theorem 6.2 holds, at σ_spu = 0.5; it is false below. "
    "White where the theorem's own condition fails."
)


def _maps_caption(table) -> str:
    return (
        "Counter accuracy of each contrastive optimum minus that of logistic regression, by closed form and "
        "quadrature. Black: equal. Dashed: σ_spu = σ_inv; the theorem is stated to its left. View noise "
        f"ν = {table.nu}."
    )


def _bridge_caption(table) -> str:
    return (
        "The optimum of InfoNCE at p_spu = 0.9, name prompt, between the nearest prompt in latent space (no view "
        "noise: perfectly robust) and linear CLIP (much noise). Points: decisions counted on "
        f"{table.images} drawn images a group."
    )


def _rate_caption(table) -> str:
    return (
        f"Error of the minimiser in operator norm, d = {table.dim}: mean and central 95 % of {table.replicates} exact "
        "draws. The lemma claims n^-1/4; the truth is n^-1/2."
    )


def _refuse_foreign(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise RequestError(f"output {str(output)!r} is a file, a folder is needed; try {str(output) + '-report'!r}")
    if output.is_dir() and any(output.iterdir()) and not (output / REPORT).exists():
        raise RequestError(
            f"output {str(output)!r} holds other things and would be replaced as a whole; "
            f"try {str(output / 'report')!r}"
        )


def _staging(output: Path) -> Path:
    try:
        output.absolute().parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.absolute().parent))
    except OSError as error:
        raise RequestError(
            f"output folder {str(output)!r} cannot be written ({error.strerror}); try a folder of your own"
        ) from None


def _replace(staging: Path, output: Path) -> None:
    """Move the finished folder to its place; an earlier report is moved aside first and back on failure."""
    staging.chmod(0o755)
    old = None
    try:
        if output.exists():
            old = staging.with_name(staging.name + ".old")
            output.rename(old)
        staging.rename(output)
    except OSError as error:
        if old is not None and old.exists() and not output.exists():
            old.rename(output)
        raise RunError(f"{output} could not be replaced: {error.strerror}") from error
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
