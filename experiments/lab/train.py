"""What `soberclip train` does: an ensemble trained to the end, measured at checkpoints, predicted beside it.

Accuracies are fractions. Under torchrun every process runs this; rank 0 alone writes and prints.
"""

import signal
import sys
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import current_thread, main_thread
from time import perf_counter
from typing import Any

import numpy as np
from pydantic import ValidationError

from experiments.device import free_bytes
from experiments.errors import RequestError, RunError, SoberclipError, checked_seed
from experiments.files import write_json
from experiments.inference import interval95
from experiments.lab import runfolder
from experiments.lab.answers import GROUPS, population
from simulator.towers.recipe import ONE_TOWER, Recipe
from simulator.world import World
from theory.claims.claim import Subject, group_quantity

CHECKPOINTS = 10
LARGEST_ENSEMBLE = 10**6
TOO_LITTLE = "too little memory for this run; a smaller --ensemble, --batch-size or --width needs less"
TRACE_POINTS = {"power": 9, "replicates": 4}  # a checkpoint's accuracies: to about .005
FINAL_POINTS = {"power": 12, "replicates": 8}  # the result's: to about .001


class Interrupted(SoberclipError):
    """Ctrl-C: the run stopped at a step boundary and was saved."""

    status = 130


def train(
    recipe: Recipe,
    world: World,
    *,
    models: int = 1,
    seed: int = 0,
    prompt: str | None = None,
    device: str = "cpu",
    draw_on: str | None = None,
    compile: bool = True,
    output: Path | None = None,
    resume: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
    keep: bool = True,
) -> dict[str, Any] | None:
    """Train `models` models of one world and return the result's document; None on processes other than rank 0.

    prompt chooses the accuracies at the top of the document; both stand under "prompts". `report` receives a line a
    checkpoint. Raises RequestError for a request that cannot be met, RunError where no model stays finite, Interrupted
    after Ctrl-C, when the run is saved; without `keep` Ctrl-C is a KeyboardInterrupt and saves nothing.
    """
    import torch

    from simulator.towers import distributed
    from simulator.towers.training import Ensemble, EveryModelDiverged, compiles

    if not 1 <= models <= LARGEST_ENSEMBLE:
        near = min(max(models, 1), LARGEST_ENSEMBLE)
        raise RequestError(
            f"--ensemble = {models} lies outside [1, {LARGEST_ENSEMBLE}]; the nearest valid value is {near}"
        )
    checked_seed(seed)
    if resume is not None and output is not None and resume != output:
        raise RequestError(f"--resume {resume} goes on in its own folder; leave --output {output} out")
    prompt = _prompt(recipe, prompt)
    device = _device(distributed.local_device(device))
    draw_on = None if draw_on is None else _device(draw_on)
    group = distributed.join(device)
    ensemble = Ensemble(recipe, (world,) * models, tuple(range(models)), seed, device, draw_on, compile)
    _refuse_what_cannot_fit(ensemble, group.size)
    uncompiled: list[str] = []

    def refused(reason: str) -> None:
        uncompiled.append(reason)
        report(f"torch.compile failed, so steps run uncompiled and slower: {reason}")

    try:
        began = perf_counter()
        with _interruption(group) if keep else nullcontext(lambda: False) as stop:
            state, trace = _run(ensemble, group, output, resume, stop, report, refused)
        distributed.leave(group)  # evaluation is rank 0's alone
        if group.rank > 0:
            return None
        try:
            result = _result(ensemble, state, prompt)
        except KeyboardInterrupt:
            if not keep:
                raise
            folder = resume or output or _keep(ensemble, state, trace)
            raise Interrupted(f"interrupted after the last step; --resume {folder} evaluates it") from None
        document = {
            **result,
            "trace": trace,
            "seconds": round(perf_counter() - began, 3),
            "device": _device_name(device),
            "processes": group.size,
            "compiled": compiles(ensemble, group) and not uncompiled,
        }
    except EveryModelDiverged as error:
        raise RunError(str(error)) from None
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise RunError(f"{device} has {TOO_LITTLE}") from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # what torch's CPU allocator says
            raise
        raise RunError(f"{device} has {TOO_LITTLE}") from error
    except ValueError as error:
        raise RequestError(str(error)) from error
    folder = resume or output
    if folder is not None:
        runfolder.save_weights(folder, state.parameters)
        write_json(folder / runfolder.RESULT, document)
    return document


def _run(ensemble, group, output: Path | None, resume: Path | None, stop, report, refused):
    """(final state, trace): train, measuring and saving at every checkpoint."""
    from simulator.towers import distributed
    from simulator.towers.checkpoints import specification
    from simulator.towers.training import run, start

    folder, wanted, steps = resume or output, specification(ensemble), ensemble.recipe.steps
    with _together(group):
        if resume is not None:
            state, trace = runfolder.load_checkpoint(resume, ensemble)
        else:
            if folder is not None and group.rank == 0:
                runfolder.begin(folder, wanted, _device_name(ensemble.device))
            state, trace = start(ensemble), []
    due = sorted({round(steps * k / CHECKPOINTS) for k in range(1, CHECKPOINTS + 1)} - {0})
    since = max([0, *(s for s in due if s <= state.step)])
    begun, clock = state.step, perf_counter()  # of this stretch of steps; evaluation between stretches does not count
    for reached in run(ensemble, state, due, stop, group, refused):
        state = reached
        rate = len(ensemble.models) * (state.step - begun) / max(perf_counter() - clock, 1e-9)
        checkpoint = state.step in due
        if group.rank == 0:
            if checkpoint:
                trace.append(_row(ensemble, state, since))
                report(_line(trace[-1], steps, rate))
            if folder is not None:
                _save(folder, ensemble, state, trace)
        if checkpoint:
            since = state.step
        begun, clock = state.step, perf_counter()
    if state.step < steps:
        if group.rank == 0 and folder is None:
            folder = _keep(ensemble, state, trace)
        distributed.leave(group)
        raise Interrupted(f"interrupted after step {state.step} of {steps}; go on with --resume {folder}")
    return state, trace


def _save(folder: Path, ensemble, state, trace) -> None:
    """Save a state that `run` yielded; sums of measures that stand in the trace already start again."""
    from simulator.towers.training import restarted

    measured = bool(trace) and trace[-1]["step"] == state.step
    runfolder.save_checkpoint(folder, restarted(state) if measured else state, ensemble, trace)


def _keep(ensemble, state, trace) -> Path:
    """Save an interrupted run that was given no folder; where."""
    from simulator.towers.checkpoints import specification

    wanted = specification(ensemble)
    folder = runfolder.unnamed(wanted)
    runfolder.begin(folder, wanted, _device_name(ensemble.device))
    _save(folder, ensemble, state, trace)
    return folder


def _refuse_what_cannot_fit(ensemble, processes: int) -> None:
    """RequestError before a machine runs out of memory, which takes it minutes to notice."""
    from simulator.towers.training import least_bytes

    least, free = least_bytes(ensemble, processes), free_bytes(ensemble.device)
    if free is not None and least > free:
        raise RequestError(
            f"this run needs at least {least / 2**30:.1f} GiB and {ensemble.device} has {free / 2**30:.1f} free; "
            "a smaller --batch-size, --ensemble, --width or --n needs less"
        )


def _row(ensemble, state, since: int) -> dict[str, Any]:
    """One line of the trace, a list a model: means over its steps since step `since`, accuracies now.

    A mean is null for a model that was frozen all the while.
    """
    from simulator.towers.evaluation import ensemble_accuracy, prompts_of, standard_points
    from simulator.towers.layers import logit_scale

    scale = (
        logit_scale(ensemble.recipe, state.parameters).tolist()
        if ensemble.recipe.loss in ("infonce", "siglip", "supcon")
        else None
    )
    lost = state.diverged
    taken = (lost.where(lost >= 0, state.step + 1) - 1 - since).clamp(min=0)  # steps that each model's sums hold
    points = standard_points(ensemble, **TRACE_POINTS) if ensemble.recipe.towers == "mlp" else None
    accuracy = {
        prompt or "none": ensemble_accuracy(ensemble, state.parameters, prompt, points).mean(0)
        for prompt in prompts_of(ensemble)
    }
    return {
        "step": state.step,
        **{name: [_finite(x) for x in (value / taken).tolist()] for name, value in state.measures.items()},
        "scale": scale,
        "prompts": {p: {g: a[:, i].tolist() for i, g in enumerate(GROUPS[:2])} for p, a in accuracy.items()},
    }


def _line(row: dict[str, Any], steps: int, rate: float) -> str:
    """The trace's last row for a reader: means over the models that still go on."""
    going = np.array([loss is not None for loss in row["loss"]])
    mean = {key: np.mean(np.array(row[key])[going], dtype=float) for key in ("loss", "scale") if row[key]}
    prompt, accuracy = next(iter(row["prompts"].items()))
    groups = ", ".join(f"{g} {100 * np.mean(np.array(a)[going]):.1f} %" for g, a in accuracy.items())
    return (
        f"step {row['step']} of {steps}: loss {mean['loss']:.4f}"
        + (f", scale {mean['scale']:.1f}" if "scale" in mean else "")
        + f", {groups}"
        + (f" ({prompt} prompt)" if prompt != "none" else "")
        + f", {rate:.3g} model steps/s"
    )


def _result(ensemble, state, prompt: str | None) -> dict[str, Any]:
    """Everything measured on the final weights, in the words of `simulate`."""
    from simulator.towers.checkpoints import specification
    from simulator.towers.evaluation import (
        ensemble_accuracy,
        latent_recovery,
        prompts_of,
        score_reliance,
        standard_points,
    )

    recipe, world = ensemble.recipe, ensemble.worlds[0]
    points = standard_points(ensemble, **FINAL_POINTS) if recipe.towers == "mlp" else None
    diverged = state.diverged.cpu().numpy()
    going = diverged < 0
    prompts = {}
    for each in prompts_of(ensemble):
        replicates = ensemble_accuracy(ensemble, state.parameters, each, points)  # (R, E, 2)
        accuracy = replicates.mean(0)
        common, counter = accuracy[going].mean(0)
        prompts[each] = {
            **_groups(float(common), float(counter)),
            "replicates": [{"common": float(a), "counter": float(b)} for a, b in accuracy],
            "interval95": {g: interval95(accuracy[going, i]) for i, g in enumerate(GROUPS[:2])},
            # Of quasi-Monte Carlo, one model; null where the accuracy is exact.
            "evaluation95": None
            if len(replicates) == 1
            else {g: [interval95(replicates[:, k, i]) for k in range(len(accuracy))] for i, g in enumerate(GROUPS[:2])},
            "reliance": [_finite(t) for t in score_reliance(ensemble, state.parameters, each)],
            "predicted": predicted(recipe, world, each),
        }
    top = prompts[prompt]
    recovery = latent_recovery(ensemble, state.parameters)
    wanted = specification(ensemble)
    return {
        "world": world.model_dump(),
        "learner": f"{recipe.loss}, {recipe.towers} towers",
        "prompt": prompt,
        "recipe": recipe.model_dump(),
        "hash": runfolder.specification_hash(wanted),
        "n": recipe.n or recipe.steps * recipe.batch_size,
        "method": "fresh pairs" if recipe.n is None else "fixed pairs",
        "seed": ensemble.seed,
        **{name: top[name] for name in (*GROUPS, "replicates", "interval95", "predicted")},
        "prompts": {str(name or "none"): value for name, value in prompts.items()},
        "recovery": {
            reader: {block: values[:, i].tolist() for i, block in enumerate(("invariant", "spurious"))}
            for reader, values in recovery._asdict().items()
        },
        "diverged": [{"model": int(k), "step": int(diverged[k])} for k in np.flatnonzero(~going)],
    }


def predicted(recipe: Recipe, world: World, prompt: str | None) -> dict[str, float] | None:
    """Group accuracies that the theory expects of unlimited pairs and towers; null where it says nothing."""
    subject = {
        ("linear", "linear"): Subject(
            "linear", prompt, None if recipe.embed_dim >= world.latents else recipe.embed_dim
        ),
        ("infonce", "mlp"): Subject("infonce", prompt),
        ("siglip", "mlp"): Subject("infonce", prompt),  # PMI - log(B - 1): the same decision
        ("supervised", "mlp"): Subject("bayes"),
        ("supervised", "linear"): Subject("logistic"),
    }.get((recipe.loss, recipe.towers))
    if subject is None:
        return None
    try:
        accuracy, _ = population(world, subject)
    except RequestError:
        return None  # ties, separable laws, no view noise
    return _groups(float(accuracy.common), float(accuracy.counter))


def _groups(common: float, counter: float) -> dict[str, float]:
    return {name: float(group_quantity(name, common, counter)) for name in GROUPS}


def recipe_from(flags: dict[str, Any]) -> Recipe:
    """The recipe of the flags that were given; RequestError naming flag, value, domain and the nearest valid choice."""
    try:
        return Recipe(**flags)
    except ValidationError as failure:
        error = failure.errors()[0]
    if not error["loc"]:  # a validator over several fields names them itself
        raise RequestError(error["msg"].removeprefix("Value error, ")) from None
    flag, value, limits = f"--{str(error['loc'][0]).replace('_', '-')}", error["input"], error.get("ctx", {})
    for name, words in (("ge", "at least"), ("gt", "above"), ("le", "at most")):
        if name in limits:
            near = Recipe.model_fields[error["loc"][0]].default if name == "gt" else limits[name]
            raise RequestError(
                f"{flag} = {value} is not {words} {limits[name]:g}; the nearest valid choice is {near}"
            ) from None
    raise RequestError(f"{flag} = {value!r}: {error['msg'][0].lower()}{error['msg'][1:]}") from None


def _finite(x: float) -> float | None:
    return float(x) if np.isfinite(x) else None


def _prompt(recipe: Recipe, prompt: str | None) -> str | None:
    if recipe.loss not in ONE_TOWER:
        return prompt or "name"
    if prompt is not None:
        raise RequestError(
            f"--prompt = {prompt} has no meaning for loss {recipe.loss!r}, which sees no text; leave it out"
        )
    return None


def _device(name: str) -> str:
    """The device, if it is there. Raises RequestError with the nearest that is."""
    import torch

    try:
        kind = torch.device(name)
        torch.empty(1, device=kind)
        torch.Generator(device=kind)  # meta has tensors and nothing to draw
    except (RuntimeError, AssertionError, NotImplementedError):
        raise RequestError(f"device {name!r} is not available here; the nearest valid choice is cpu") from None
    return "cpu" if kind.type == "cpu" else name  # cpu:1 is the same memory by a name that files do not know


def _device_name(device: str) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


@contextmanager
def _interruption(group):
    """A function that turns true once Ctrl-C (or torchrun's SIGTERM) came, for all processes at the same step.

    A second Ctrl-C is not held back.
    """
    from simulator.towers import distributed

    asked = False

    def remember(number, frame):
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    # Signals belong to the main thread; elsewhere nobody presses Ctrl-C.
    numbers = (signal.SIGINT, signal.SIGTERM) if current_thread() is main_thread() else ()
    handlers = {number: signal.signal(number, remember) for number in numbers}
    try:
        yield lambda: distributed.anywhere(group, asked)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def _together(group):
    """If the block fails in one process, fail in all of them, rather than let the others wait for it."""
    from simulator.towers import distributed

    failure = None
    try:
        yield
    except (SoberclipError, ValueError) as error:
        failure = error
    failed = distributed.anywhere(group, failure is not None)
    if failure is not None:
        raise failure
    if failed:
        raise RequestError("another process refused the request")


def to_stderr(line: str) -> None:
    """Report a checkpoint to whoever watches."""
    print(line, file=sys.stderr, flush=True)
