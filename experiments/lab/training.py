"""`soberclip train`: train an ensemble, measure it at checkpoints, and predict it.

Under torchrun every process runs this; rank 0 alone writes and prints. The module loads torch.
"""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from threading import Thread
from time import perf_counter
from typing import Any

import torch

from experiments.errors import (
    Interrupted,
    RequestError,
    RunError,
    SoberclipError,
    check_within,
    checked_seed,
)
from experiments.files import CHECKPOINT, RESULT, write_json
from experiments.lab import runfolder
from experiments.lab.config import checked_prompt
from experiments.lab.evaluate import history_line, result
from experiments.lab.history import moved, with_places
from experiments.lab.history import write as write_history
from experiments.lab.mitigations import NONE, apply_to_towers
from experiments.runtime import checked_device, device_name, free_bytes, handling
from simulator.progress import say
from simulator.towers import distributed
from simulator.towers.ensemble import ensemble_of, least_bytes
from simulator.towers.group_batches import check_groups
from simulator.towers.history import MOST_ROWS, history_row, log_spaced
from simulator.towers.last_layer_retraining import with_retrained_head
from simulator.towers.multiprocess import EveryModelDiverged, ProcessEnded, processes_for, run_in
from simulator.towers.recipe import Recipe
from simulator.towers.training import State, check_ensemble, compiles, restarted, start
from simulator.world import World

CHECKPOINTS = 10
LARGEST_ENSEMBLE = 10**6


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
    share_out: bool = False,
    history: int = 0,
) -> dict[str, Any] | None:
    """Train `models` models of one world; the result's document, or None on processes other than
    rank 0.

    prompt    of the accuracies at the top of the document; "prompts" also holds the usual ones and
              `further`
    mitigate  name of a mitigation (`experiments.lab.mitigations`)
    output    folder of the run; Ctrl-C saves it there after the current step, and raises
              Interrupted
    report    called with one line per checkpoint
    history   number of further steps, evenly spaced on a log scale, at which the history has rows
    share_out train the models of a long run in as many processes as torch has threads
    """
    check_within("--ensemble", models, 1, LARGEST_ENSEMBLE)
    check_within("--history", history, 0, MOST_ROWS)
    if resume is not None and output not in (None, resume):
        raise RequestError(
            f"--resume {resume} writes to its own folder; leave --output {output} out"
        )
    world, recipe, prompt = apply_to_towers(mitigate, world, recipe, checked_prompt(recipe, prompt))
    further = [checked_prompt(recipe, each) for each in further]
    device = checked_device(distributed.local_device(device))
    draw_on = None if draw_on is None else checked_device(draw_on)
    group = distributed.join(device)
    where = {"device": device, "draw_on": draw_on, "compile": compile, "group": group}
    ensemble = ensemble_of([world], recipe, models, checked_seed(seed))._replace(**where)
    processes = processes_for(ensemble) if share_out else 1
    folder = resume or output
    rows = list[dict[str, Any]]()
    further_steps = log_spaced(recipe.steps, history)
    with _as_sentences(device, folder):
        began = perf_counter()
        check_ensemble(ensemble)
        least = least_bytes(ensemble)
        free = free_bytes(device)
        if free is not None and least > free:  # it might show only after minutes
            raise RequestError(
                f"this run needs at least {least / 2**30:.1f} GiB and {device} has"
                f" {free / 2**30:.1f} free; a smaller --batch-size, --ensemble, --width or --n"
                " needs less"
            )
        check_groups(ensemble)
        failure = None
        try:
            if resume is not None:
                state, rows = runfolder.load_checkpoint(resume, ensemble)
            else:
                if folder is not None and group.rank == 0:
                    runfolder.begin(folder, ensemble)
                state = start(ensemble)
        except (SoberclipError, ValueError) as error:
            failure = error
        # all processes fail together, so that none waits forever
        if distributed.anywhere(group, failure is not None):
            raise failure or RequestError("another process refused the request")
        with nullcontext(lambda: False) if folder is None else interruption(group) as stop:
            state, compiled = _trained(
                ensemble, state, rows, further_steps, folder, processes, report, stop
            )
        distributed.leave(group)  # rank 0 alone evaluates
        if group.rank > 0:
            return None
        weights = with_retrained_head(ensemble, state.eval_parameters)
        document = {
            **result(ensemble, state, weights, prompt, further, mitigate),
            "moved": moved(rows),
            **({} if mitigate == NONE else {"mitigation": mitigate}),
            "history": with_places(world, rows) if history else rows,
            "seconds": round(perf_counter() - began, 3),
            "device": device_name(device),
            "processes": max(group.size, processes),
            "compiled": compiles(ensemble) and compiled,
        }
        if folder is not None:
            runfolder.save_weights(folder, weights)
            write_json(folder / RESULT, document)
            if history:
                write_history(folder, document)
    return document


def _trained(
    ensemble, state, history, further, folder, processes, report, stop
) -> tuple[State, bool]:
    """The state at the last step or `stop()`, and whether steps were compiled.

    Each tenth of the steps gives a checkpoint and a row of the history, `stop()` a checkpoint, a
    `further` step a row.
    """
    group, steps, compiled = ensemble.group, ensemble.recipe.steps, True
    checkpoints = {round(steps * k / CHECKPOINTS) for k in range(1, CHECKPOINTS + 1)} - {0}
    due = sorted({*checkpoints, *further})
    begun = int(state.step)
    clock = perf_counter()

    def uncompiled(reason: str) -> None:
        nonlocal compiled
        compiled = False
        say(f"torch.compile failed, so steps run uncompiled and slower: {reason}")

    with closing(run_in(processes, ensemble, state, due, stop, uncompiled)) as states:
        for state in states:
            step = int(state.step)
            if group.rank == 0 and step in due:
                rate = len(ensemble.models) * (step - begun) / max(perf_counter() - clock, 1e-9)
                since = history[-1]["step"] if history else 0
                history.append(history_row(ensemble, state, since))
                if step in checkpoints:
                    report(history_line(history[-1], steps, rate))
                state = restarted(state)  # the sums of losses are in the history
            if group.rank == 0 and folder is not None and step in checkpoints:
                runfolder.save_checkpoint(folder, state, ensemble, history)
    if int(state.step) < steps:
        if group.rank == 0:
            runfolder.save_checkpoint(folder, state, ensemble, history)
        distributed.leave(group)
        raise Interrupted(
            f"interrupted after step {int(state.step)} of {steps}; resume with --resume {folder}"
            " and the same flags"
        )
    return state, compiled


@contextmanager
def _as_sentences(device: str, folder: Path | None) -> Iterator[None]:
    """Raise failures of training, and Ctrl-C at once or in the evaluation, with one sentence and
    their exit status.
    """
    try:
        yield
    except (EveryModelDiverged, ProcessEnded) as error:
        raise RunError(str(error)) from None
    except ValueError as error:
        raise RequestError(str(error)) from error
    except (RuntimeError, MemoryError) as error:
        full = isinstance(error, torch.OutOfMemoryError | MemoryError)
        # the words of torch's CPU allocator
        if not full and "can't allocate memory" not in str(error):
            raise
        words = (
            "too little memory for this run; a smaller --ensemble, --batch-size or --width needs"
            " less"
        )
        raise RunError(f"{device} has {words}") from error
    except KeyboardInterrupt:
        if folder is None or not (folder / CHECKPOINT).exists():
            raise
        raise Interrupted(
            f"interrupted at once; --resume {folder} resumes from its last checkpoint"
        ) from None


@contextmanager
def interruption(group) -> Iterator[Callable[[], bool]]:
    """A function that returns true after Ctrl-C (or torchrun's SIGTERM), at the same step in all
    processes.
    """
    pressed = False

    def remember(number, frame):
        nonlocal pressed
        if pressed:  # the current step may be compiling, which takes a minute
            raise KeyboardInterrupt
        pressed = True
        # In a thread, since the signal may have come while another line was printed.
        Thread(
            target=say, args=("stopping after the current step; Ctrl-C again stops at once",)
        ).start()

    with handling((signal.SIGINT, signal.SIGTERM), remember):
        yield lambda: distributed.anywhere(group, pressed)
