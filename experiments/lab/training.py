"""`soberclip train`: train an ensemble, measure it at checkpoints, and predict it.

Under torchrun every process runs this; rank 0 alone writes and prints. The module loads torch.
"""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from time import perf_counter
from typing import Any

import torch

from experiments.errors import Interrupted, RequestError, RunError, SoberclipError, check_within, checked_seed
from experiments.files import write_json
from experiments.lab import runfolder
from experiments.lab.config import checked_prompt
from experiments.lab.evaluate import history_line, result
from experiments.lab.history import arrived, check_until, moved, with_places
from experiments.lab.history import write as write_history
from experiments.lab.mitigations import NONE, apply_to_towers
from experiments.runtime import checked_device, device_name, free_bytes, handling
from simulator.progress import say
from simulator.towers import distributed
from simulator.towers.ensemble import Ensemble, least_bytes
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
    until: float | None = None,
    share_out: bool = False,
    history: int = 0,
) -> dict[str, Any] | None:
    """Train `models` models of one world; the result's document, or None on processes other than rank 0.

    prompt    of the accuracies at the top of the document; "prompts" also holds the usual ones and `further`
    mitigate  name of a mitigation (`experiments.lab.mitigations`)
    output    folder of the run; Ctrl-C saves it there after the current step, and raises Interrupted
    report    called with one line per checkpoint
    until     stop at the first checkpoint where training has arrived (`experiments.lab.history`)
    history   number of further steps, evenly spaced on a log scale, at which the history has rows
    share_out train the models of a long run in as many processes as torch has threads
    """
    check_within("--ensemble", models, 1, LARGEST_ENSEMBLE)
    check_within("--history", history, 0, MOST_ROWS)
    if resume is not None and output not in (None, resume):
        raise RequestError(f"--resume {resume} writes to its own folder; leave --output {output} out")
    world, recipe, prompt = apply_to_towers(mitigate, world, recipe, checked_prompt(recipe, prompt))
    further = [checked_prompt(recipe, each) for each in further]
    device = checked_device(distributed.local_device(device))
    draw_on = None if draw_on is None else checked_device(draw_on)
    group = distributed.join(device)
    if until is not None:
        check_until(until, recipe, models, group.size)
    who = {"worlds": (world,) * models, "models": tuple(range(models)), "seed": checked_seed(seed)}
    where = {"device": device, "draw_on": draw_on, "compile": compile, "group": group}
    ensemble = Ensemble(recipe, **who, **where)
    processes = processes_for(ensemble) if share_out else 1
    run = _Run(ensemble, processes, resume or output, until, report, log_spaced(recipe.steps, history))
    with _as_sentences(device, run.folder):
        began = perf_counter()
        check_ensemble(ensemble)
        least, free = least_bytes(ensemble), free_bytes(device)
        if free is not None and least > free:  # it might show only after minutes
            raise RequestError(
                f"this run needs at least {least / 2**30:.1f} GiB and {device} has {free / 2**30:.1f} free; "
                "a smaller --batch-size, --ensemble, --width or --n needs less"
            )
        check_groups(ensemble)
        failure = None
        try:
            run.begin(resume is not None)
        except (SoberclipError, ValueError) as error:
            failure = error
        if distributed.anywhere(group, failure is not None):  # all processes fail together, so that none waits forever
            raise failure or RequestError("another process refused the request")
        with nullcontext(lambda: False) if run.folder is None else interruption(group) as stop:
            run.train(stop)
        distributed.leave(group)  # rank 0 alone evaluates
        if group.rank > 0:
            return None
        weights = with_retrained_head(ensemble, run.state.eval_parameters)
        document = {
            **result(ensemble, run.state, weights, prompt, further, mitigate),
            "moved": moved(run.history),
            **({} if until is None else {"until": until, "arrived": arrived(run.history, until)}),
            **({} if mitigate == NONE else {"mitigation": mitigate}),
            "history": with_places(world, run.history) if history else run.history,
            "seconds": round(perf_counter() - began, 3),
            "device": device_name(device),
            "processes": max(group.size, processes),
            "compiled": compiles(ensemble) and run.compiled,
        }
        if run.folder is not None:
            runfolder.save_weights(run.folder, weights)
            write_json(run.folder / runfolder.RESULT, document)
            if history:
                write_history(run.folder, document)
    return document


@dataclass
class _Run:
    ensemble: Ensemble
    processes: int
    folder: Path | None
    until: float | None
    report: Callable[[str], None]
    further: list[int]  # steps that have rows beside the checkpoints
    state: State | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    compiled: bool = True

    @property
    def checkpoints(self) -> set[int]:
        steps = self.ensemble.recipe.steps
        return {round(steps * k / CHECKPOINTS) for k in range(1, CHECKPOINTS + 1)} - {0}

    def begin(self, resuming: bool) -> None:
        if resuming:
            self.state, self.history = runfolder.load_checkpoint(self.folder, self.ensemble)
            return
        if self.folder is not None and self.ensemble.group.rank == 0:
            runfolder.begin(self.folder, self.ensemble)
        self.state = start(self.ensemble)

    def train(self, stop: Callable[[], bool]) -> None:
        """Train, measure and save at each checkpoint, until the last step, an arrival, or `stop()`."""
        group, steps = self.ensemble.group, self.ensemble.recipe.steps
        due = sorted({*self.checkpoints, *self.further})
        begun, clock = int(self.state.step), perf_counter()
        if self._arrived():
            return
        with closing(run_in(self.processes, self.ensemble, self.state, due, stop, self._uncompiled)) as states:
            for self.state in states:
                step, saved = int(self.state.step), self.state
                if group.rank == 0 and step in due:
                    rate = len(self.ensemble.models) * (step - begun) / max(perf_counter() - clock, 1e-9)
                    since = self.history[-1]["step"] if self.history else 0
                    self.history.append(history_row(self.ensemble, self.state, since, fine=self.until is not None))
                    if step in self.checkpoints:
                        self.report(history_line(self.history[-1], steps, rate))
                    saved = restarted(saved)  # the sums of losses are in the history
                between = step in due and step not in self.checkpoints  # a row without a checkpoint
                if group.rank == 0 and self.folder is not None and not between:
                    runfolder.save_checkpoint(self.folder, saved, self.ensemble, self.history)
                if step in due and self._arrived():
                    return
        if int(self.state.step) < steps:
            if between and group.rank == 0:
                runfolder.save_checkpoint(self.folder, saved, self.ensemble, self.history)
            distributed.leave(group)
            raise Interrupted(
                f"interrupted after step {int(self.state.step)} of {steps}; resume with --resume {self.folder} and the "
                "same flags"
            )

    def _arrived(self) -> bool:
        at_checkpoint = bool(self.history) and self.history[-1]["step"] in self.checkpoints
        return self.until is not None and at_checkpoint and arrived(self.history, self.until)

    def _uncompiled(self, reason: str) -> None:
        self.compiled = False
        say(f"torch.compile failed, so steps run uncompiled and slower: {reason}")


@contextmanager
def _as_sentences(device: str, folder: Path | None) -> Iterator[None]:
    """Raise failures of training, and Ctrl-C at once or in the evaluation, with one sentence and their exit status."""
    try:
        yield
    except (EveryModelDiverged, ProcessEnded) as error:
        raise RunError(str(error)) from None
    except ValueError as error:
        raise RequestError(str(error)) from error
    except (RuntimeError, MemoryError) as error:
        full = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not full and "can't allocate memory" not in str(error):  # the words of torch's CPU allocator
            raise
        words = "too little memory for this run; a smaller --ensemble, --batch-size or --width needs less"
        raise RunError(f"{device} has {words}") from error
    except KeyboardInterrupt:
        if folder is None or not (folder / runfolder.CHECKPOINT).exists():
            raise
        raise Interrupted(f"interrupted at once; --resume {folder} resumes from its last checkpoint") from None


@contextmanager
def interruption(group) -> Iterator[Callable[[], bool]]:
    """A function that returns true after Ctrl-C (or torchrun's SIGTERM), at the same step in all processes."""
    pressed = False

    def remember(number, frame):
        nonlocal pressed
        if pressed:  # the current step may be compiling, which takes a minute
            raise KeyboardInterrupt
        pressed = True
        # In a thread, since the signal may have come while another line was printed.
        Thread(target=say, args=("stopping after the current step; Ctrl-C again stops at once",)).start()

    with handling((signal.SIGINT, signal.SIGTERM), remember):
        yield lambda: distributed.anywhere(group, pressed)
