"""Training in one call, from a notebook: `simulator.train(world, recipe)`.

The command `soberclip train` adds folders, resuming, Ctrl-C and torchrun's processes
(experiments.lab.training).
"""

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from simulator.accuracy import GROUPS, LEVEL, Accuracy, mean_interval
from simulator.progress import counting
from simulator.prompts import Prompt, prompt_name
from simulator.quantities import check_count
from simulator.summary import html_table, one_line
from simulator.towers.ensemble import Ensemble, ensemble_of
from simulator.towers.evaluation import accuracies, default_prompts, prompts_of, trial
from simulator.towers.group_batches import check_groups
from simulator.towers.history import history_row, log_spaced
from simulator.towers.last_layer_retraining import with_retrained_head
from simulator.towers.layers import Parameters
from simulator.towers.multiprocess import check_processes, run_in, threads_for
from simulator.towers.recipe import Recipe, not_converged
from simulator.towers.training import check_ensemble, start
from simulator.world import World

TRIAL = (11, 8)  # 2^11 images per group, in 8 replicates
COARSE = (9, 4)  # likewise, for changes of accuracies
REPORTS = 20  # of the progress


@dataclass(frozen=True, repr=False)
class Towers:
    """A trained ensemble: `models` models of every world, world by world along the leading axis of
    its parameters.

    Attributes
    ----------
    ensemble
        Recipe, world and number of every model, seed, device.
    parameters
        Final weights by name, every tensor with a leading model axis. Diverged models keep their
        last finite weights.
    diverged
        First step at which a model's loss or gradient was not finite; -1 for the others.
    shape
        Shape of the worlds, () for a single one.
    history
        Rows of `simulator.towers.history`, on request.
    """

    ensemble: Ensemble
    parameters: Parameters
    diverged: torch.Tensor
    shape: tuple[int, ...]
    history: tuple[dict[str, Any], ...] = ()

    def _summary(self) -> dict[str, Any]:
        recipe = self.ensemble.recipe
        worlds = self.ensemble.models.count(0)
        models = len(self.ensemble.models) // worlds
        lost = int((self.diverged >= 0).sum())
        settings = {"loss": recipe.loss, "towers": recipe.towers, "steps": recipe.steps}
        return {**settings, "worlds": worlds, "models": models, "diverged": lost}

    def __repr__(self) -> str:
        return one_line(self, **self._summary())

    def _repr_html_(self) -> str:
        return html_table("Towers", ["", ""], self._summary().items())

    @cached_property
    def _trial(self):
        return trial(self.ensemble, prompts_of(self.ensemble.recipe), *TRIAL)

    def each(self, prompt: Prompt | None = None) -> Accuracy:
        """Every model's own accuracies, shape (*worlds, models); nan for models that diverged.

        The prompt is one of `simulator.prompts`, "typical" by default; None for towers that read no
        captions. Accuracies are exact for linear towers, and have an error of about .002
        (quasi-Monte Carlo) for others.
        """
        accuracies = self.groups(prompt)
        absent = np.full_like(accuracies["common"], np.nan)
        return Accuracy(
            accuracies["common"], accuracies.get("counter", absent), unseen=accuracies.get("unseen")
        )

    def groups(self, prompt: Prompt | None = None) -> dict[str, Float[np.ndarray, "*w models"]]:
        """Accuracies as in `each` by group: "common", "counter", "unseen", "rand" and so on."""
        recipe = self.ensemble.recipe
        choices = prompts_of(self.ensemble.recipe)
        prompt = choices[0] if prompt is None else prompt_name(prompt)
        if prompt not in choices:
            raise ValueError(
                f"prompt = {prompt!r} has no meaning for loss = {recipe.loss!r}; choose one of "
                + ", ".join(map(repr, choices))
            )
        return self.by_prompt((prompt,))[prompt]

    def by_prompt(
        self, prompts: Collection[Prompt | None]
    ) -> dict[Prompt | None, dict[str, Float[np.ndarray, "*w models"]]]:
        """`groups` of several prompts, for which images are embedded once."""
        diverged = self.diverged.cpu().numpy() >= 0
        return {
            prompt: {
                g: np.where(diverged, np.nan, x.mean(0)).reshape(*self.shape, -1)
                for g, x in by_group.items()
            }
            for prompt, by_group in accuracies(
                self.ensemble, self.parameters, prompts, self._trial
            ).items()
        }

    def accuracy(self, prompt: Prompt | None = None) -> Accuracy:
        """Mean accuracies over the models of a world that did not diverge, in the worlds' shape.

        The interval is Student's 95% interval of the mean over seeds, within [0, 1]; None for a
        single model. Accuracies of brief trainings are skewed: after 25 steps the intervals of 8
        models covered about 82 %. The prompt, and the ValueError for one that the towers do not
        have, are those of `each`.
        """
        each = tuple(map(np.asarray, self.each(prompt)))
        means, _, low, high = zip(*(mean_interval(values) for values in each), strict=True)
        several = each[0].shape[-1] > 1
        return (
            Accuracy.of(means, LEVEL, zip(low, high, strict=True))
            if several
            else Accuracy.of(means)
        )


def train(
    world: World | Sequence[World],
    recipe: Recipe | None = None,
    *,
    models: int = 8,
    seed: int = 0,
    device: str = "cpu",
    draw_on: str | None = None,
    compile: bool = False,
    processes: int = 1,
    history: int = 0,
) -> Towers:
    """Train `models` models of every world at once, with progress on a terminal after three
    seconds.

    A warning says if the accuracies still changed by more than 5 points in the second half of the
    steps.

    Model k has the same streams and initial weights in every world, so differences between worlds
    are paired.

    Parameters
    ----------
    world
        One world, a grid with one axis, or several worlds that agree in dimensions and number of
        classes.
    recipe
        Objective, towers and optimisation; None: the defaults of `Recipe`.
    models
        Models per world, 1 or more.
    seed
        Root of every random stream, 0 or larger.
    device, draw_on
        Where to train, and where to draw the pairs: draw_on = "cpu" gives the same pairs on every
        device.
    compile
        Whether to compile the step. Compilation takes 15 to 60 seconds; steps are then two to four
        times as fast.
    processes
        Number of processes that share the models on a CPU, at most one per model. Several are
        spawned, so a script that uses them starts under ``if __name__ == "__main__":``.
    history
        Number of steps, evenly spaced on a log scale, at which `Towers.history` has loss and
        accuracies.

    Returns
    -------
    Towers

    Raises
    ------
    ValueError
        For an ensemble that cannot be trained.
    EveryModelDiverged
        If no model keeps a finite loss.
    ProcessEnded
        If one of several processes ends before its models are trained.
    """
    check_count("models", models, 1)
    worlds, shape = _listed(world)
    ensemble = ensemble_of(worlds, recipe or Recipe(), models, seed)
    ensemble = ensemble._replace(device=device, draw_on=draw_on, compile=compile)
    check_processes(processes, ensemble)
    with threads_for(ensemble):
        towers, half = train_ensemble(ensemble, shape, processes, history)
        if half is not None and (sentence := not_converged(_changes(half, towers))):
            warnings.warn(sentence, stacklevel=2)
    return towers


def train_ensemble(
    ensemble: Ensemble, shape: tuple[int, ...], processes: int = 1, history: int = 0
) -> tuple[Towers, Parameters | None]:
    """The towers of `ensemble_of` worlds of a shape, and their weights after half of the steps, if
    there are any.
    """
    check_ensemble(ensemble)
    check_groups(ensemble)
    steps, half = ensemble.recipe.steps, None
    reports = {steps * k // REPORTS for k in range(1, REPORTS)} | {steps // 2}
    rows = []
    report_steps = log_spaced(steps, history)
    since = 0
    with counting("training", steps, "steps/s") as advance:
        for state in run_in(
            processes, ensemble, start(ensemble), sorted({*reports, *report_steps} - {0})
        ):
            if int(state.step) in report_steps:
                rows.append(history_row(ensemble, state, since))
            advance(int(state.step) - since)
            since = int(state.step)
            half = state.eval_parameters if since == steps // 2 else half
    weights = with_retrained_head(ensemble, state.eval_parameters)
    return Towers(ensemble, weights, state.diverged, shape, tuple(rows)), half


def _changes(half: Parameters, towers: Towers) -> dict[str, dict[str, float]]:
    """prompt -> group -> change of the mean accuracy over the models that did not diverge."""
    ensemble = towers.ensemble
    going = (towers.diverged < 0).cpu().numpy()
    prompts = default_prompts(ensemble.recipe)
    coarse = trial(ensemble, prompts, *COARSE)
    both = with_retrained_head(ensemble, half), towers.parameters
    before, after = (accuracies(ensemble, parameters, prompts, coarse) for parameters in both)
    return {
        prompt or "none": {
            g: float((now[g] - before[prompt][g])[:, going].mean()) for g in GROUPS if g in now
        }
        for prompt, now in after.items()
    }


def _listed(world: World | Sequence[World]) -> tuple[list[World], tuple[int, ...]]:
    """(worlds one by one, their shape)."""
    if isinstance(world, World) and world.ndim > 1:
        raise ValueError(
            f"worlds of shape {world.shape} have more than one axis; call .ravel() first"
        )
    worlds = (
        [world[i] for i in np.ndindex(*world.shape)] if isinstance(world, World) else list(world)
    )
    shape = world.shape if isinstance(world, World) else (len(worlds),)
    if not worlds:
        raise ValueError("expected at least one world to train on, got none")
    return worlds, shape
