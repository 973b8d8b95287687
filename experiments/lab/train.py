"""What `soberclip train` does: an ensemble trained to the end, measured at checkpoints, predicted beside it.

Under torchrun every process runs this; rank 0 alone writes and prints.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from time import perf_counter
from typing import Any

from experiments.errors import Interrupted, RequestError, RunError, checked_seed
from experiments.files import write_json
from experiments.lab import runfolder
from experiments.lab.arrival import arrived, moved, refuse_until
from experiments.lab.interruption import interruption, together
from experiments.lab.mitigations import NONE, mitigated
from experiments.lab.recipes import checked_prompt
from experiments.lab.setting import Setting
from experiments.runtime import checked_device, device_name, free_bytes
from simulator.towers.recipe import Recipe
from simulator.world import World

CHECKPOINTS = 10
LARGEST_ENSEMBLE = 10**6
TOO_LITTLE = "too little memory for this run; a smaller --ensemble, --batch-size or --width needs less"


def train(
    recipe: Recipe,
    world: World,
    *,
    models: int = 1,
    seed: int = 0,
    prompt: str | None = None,
    further: Sequence[str] = (),
    mitigate: str = NONE,
    device: str = "cpu",
    draw_on: str | None = None,
    compile: bool = True,
    output: Path | None = None,
    resume: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
    keep: bool = True,
    until: float | None = None,
    share_out: bool = False,
) -> dict[str, Any] | None:
    """Train `models` models of one world and return the result's document; None on processes other than rank 0.

    prompt chooses the accuracies at the top of the document; under "prompts" stand the usual ones, it, and `further`
    ones. mitigate is the name of a mitigation (`experiments.lab.mitigations`). With `until` the run ends at the first
    checkpoint that finds it arrived (`experiments.lab.arrival`).
    With `share_out` the models of a long run train in as many processes as torch has threads here.
    `report` receives a line a checkpoint. Raises RequestError for a request that cannot be met, RunError where no model
    stays finite, Interrupted after Ctrl-C, when the run is saved; without `keep` Ctrl-C is a KeyboardInterrupt and
    saves nothing.
    """
    from experiments.lab.measured import result
    from simulator.towers import distributed
    from simulator.towers.ensemble import Ensemble
    from simulator.towers.group_batches import check_groups
    from simulator.towers.last_layer_retraining import with_retrained_head
    from simulator.towers.multiprocess import processes_for
    from simulator.towers.training import check_ensemble, compiles

    _check(models, seed, output, resume)
    setting = mitigated(mitigate, Setting(world, recipe=recipe, prompt=checked_prompt(recipe, prompt)))
    recipe, world = setting.recipe, setting.world
    further = [checked_prompt(recipe, each) for each in further]
    device = checked_device(distributed.local_device(device))
    draw_on = None if draw_on is None else checked_device(draw_on)
    group = distributed.join(device)
    if until is not None:
        refuse_until(until, recipe, models, group.size)
    ensemble = Ensemble(recipe, (world,) * models, tuple(range(models)), seed, device, draw_on, compile)
    processes = processes_for(ensemble) if share_out and group.size == 1 else 1
    folder, uncompiled = resume or output, []

    def refused(reason: str) -> None:
        uncompiled.append(reason)
        report(f"torch.compile failed, so steps run uncompiled and slower: {reason}")

    with _failures_in_words(device):
        began = perf_counter()
        check_ensemble(ensemble)
        _refuse_what_cannot_fit(ensemble, group.size)
        check_groups(ensemble)
        with _stoppable(group, folder) if keep else nullcontext(lambda: False) as stop:
            state, trace = _run(ensemble, group, processes, folder, resume is not None, stop, report, refused, until)
        distributed.leave(group)  # evaluation is rank 0's alone
        if group.rank > 0:
            return None
        weights = with_retrained_head(ensemble, state.eval_parameters)
        with _training_kept(ensemble, state, trace, folder, keep):
            document = {**result(ensemble, state, weights, setting, further), "moved": moved(trace)}
        document |= {
            **({} if until is None else {"until": until, "arrived": arrived(trace, until)}),
            **({} if mitigate == NONE else {"mitigation": mitigate}),
            "trace": trace,
            "seconds": round(perf_counter() - began, 3),
            "device": device_name(device),
            "processes": max(group.size, processes),
            "compiled": compiles(ensemble, group) and not uncompiled,
        }
    if folder is not None:
        runfolder.save_weights(folder, weights)
        write_json(folder / runfolder.RESULT, document)
    return document


def _check(models: int, seed: int, output: Path | None, resume: Path | None) -> None:
    if not 1 <= models <= LARGEST_ENSEMBLE:
        near = min(max(models, 1), LARGEST_ENSEMBLE)
        raise RequestError(
            f"--ensemble = {models} lies outside [1, {LARGEST_ENSEMBLE}]; the nearest valid value is {near}"
        )
    checked_seed(seed)
    if resume is not None and output is not None and resume != output:
        raise RequestError(f"--resume {resume} goes on in its own folder; leave --output {output} out")


@contextmanager
def _failures_in_words(device: str) -> Iterator[None]:
    """Errors of training as one sentence of the right status."""
    import torch

    from simulator.towers.multiprocess import ProcessEnded
    from simulator.towers.training import EveryModelDiverged

    try:
        yield
    except (EveryModelDiverged, ProcessEnded) as error:
        raise RunError(str(error)) from None
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise RunError(f"{device} has {TOO_LITTLE}") from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # what torch's CPU allocator says
            raise
        raise RunError(f"{device} has {TOO_LITTLE}") from error
    except ValueError as error:
        raise RequestError(str(error)) from error


def _run(ensemble, group, processes: int, folder: Path | None, resuming: bool, stop, report, refused, until):
    """(final state, trace): train, measuring and saving at every checkpoint, until the end or an arrival."""
    from experiments.lab.measured import trace_line, trace_row
    from simulator.towers import distributed
    from simulator.towers.multiprocess import run_in

    steps = ensemble.recipe.steps
    with together(group):
        state, trace = _begun(ensemble, group, folder, resuming)
    due = sorted({round(steps * k / CHECKPOINTS) for k in range(1, CHECKPOINTS + 1)} - {0})
    step = int(state.step)
    since = max([0, *(s for s in due if s <= step)])
    if until is not None and arrived(trace, until):
        return state, trace
    begun, clock = step, perf_counter()  # of this stretch of steps; evaluation that holds them up does not count
    with closing(run_in(processes, ensemble, state, due, stop, group, refused)) as states:
        for reached in states:
            state, step = reached, int(reached.step)
            came = perf_counter()
            rate = len(ensemble.models) * (step - begun) / max(came - clock, 1e-9)
            checkpoint = step in due
            if group.rank == 0:
                if checkpoint:
                    trace.append(trace_row(ensemble, state, since, fine=until is not None))
                    report(trace_line(trace[-1], steps, rate))
                if folder is not None:
                    _save(folder, ensemble, state, trace)
            if checkpoint:
                since = step
                if until is not None and arrived(trace, until):
                    return state, trace
            begun, clock = step, perf_counter() if processes == 1 else came
    if step < steps:
        if group.rank == 0 and folder is None:
            folder = _keep(ensemble, state, trace)
        distributed.leave(group)
        raise Interrupted(f"interrupted after step {step} of {steps}; go on with --resume {folder}")
    return state, trace


@contextmanager
def _stoppable(group, folder: Path | None) -> Iterator[Callable[[], bool]]:
    """`interruption`; of a Ctrl-C that it does not hold back the sentence says from where, if anywhere, one goes on."""
    try:
        with interruption(group) as stop:
            yield stop
    except KeyboardInterrupt:
        saved = folder is not None and (folder / runfolder.CHECKPOINT).exists()
        kept = f"--resume {folder} goes on from its last checkpoint" if saved else "nothing was kept"
        raise Interrupted(f"interrupted at once; {kept}") from None


def _begun(ensemble, group, folder: Path | None, resuming: bool):
    """(state, trace) from which to go on: the folder's last checkpoint, or the start of a new run."""
    from simulator.towers.checkpoints import specification
    from simulator.towers.training import start

    if resuming:
        return runfolder.load_checkpoint(folder, ensemble)
    if folder is not None and group.rank == 0:
        runfolder.begin(folder, specification(ensemble), device_name(ensemble.device))
    return start(ensemble), []


@contextmanager
def _training_kept(ensemble, state, trace, folder: Path | None, keep: bool) -> Iterator[None]:
    """Ctrl-C in the block, after the last step, keeps the training unless nothing is to be kept."""
    try:
        yield
    except KeyboardInterrupt:
        if not keep:
            raise
        folder = folder or _keep(ensemble, state, trace)
        raise Interrupted(f"interrupted after the last step; --resume {folder} evaluates it") from None


def _save(folder: Path, ensemble, state, trace) -> None:
    """Save a state that `run` yielded; sums of measures that stand in the trace already start again."""
    from simulator.towers.training import restarted

    measured = bool(trace) and trace[-1]["step"] == int(state.step)
    runfolder.save_checkpoint(folder, restarted(state) if measured else state, ensemble, trace)


def _keep(ensemble, state, trace) -> Path:
    """Save an interrupted run that was given no folder; where."""
    from simulator.towers.checkpoints import specification

    wanted = specification(ensemble)
    folder = runfolder.unnamed(wanted)
    runfolder.begin(folder, wanted, device_name(ensemble.device))
    _save(folder, ensemble, state, trace)
    return folder


def _refuse_what_cannot_fit(ensemble, processes: int) -> None:
    """RequestError before a machine runs out of memory, which takes it minutes to notice."""
    from simulator.towers.ensemble import least_bytes

    least, free = least_bytes(ensemble, processes), free_bytes(ensemble.device)
    if free is not None and least > free:
        raise RequestError(
            f"this run needs at least {least / 2**30:.1f} GiB and {ensemble.device} has {free / 2**30:.1f} free; "
            "a smaller --batch-size, --ensemble, --width or --n needs less"
        )
