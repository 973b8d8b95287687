"""What is measured on an ensemble: a row of the trace at every checkpoint, the document at the end.

Accuracies are fractions.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from experiments.errors import RequestError
from experiments.inference import interval95
from experiments.lab import runfolder
from experiments.lab.answers import GROUPS, in_groups, population
from experiments.lab.bridge import bridge
from experiments.lab.law import Law
from experiments.lab.setting import Setting
from simulator.accuracy import Accuracy
from simulator.prompts import LINEAR
from simulator.towers import evaluation
from simulator.towers.checkpoints import specification
from simulator.towers.ensemble import Ensemble
from simulator.towers.evaluation import default_prompts
from simulator.towers.kinds import Parameters
from simulator.towers.last_layer_retraining import with_retrained_head
from simulator.towers.layers import logit_scale
from simulator.towers.probes import latent_recovery, score_reliance
from simulator.towers.training import State
from theory.learners import GaussianPMI, InfoNCE
from theory.unseen import unseen

TRACE_POINTS = {"power": 9, "replicates": 4}  # a checkpoint's accuracies: to about .005
FINAL_POINTS = {"power": 12, "replicates": 8}  # the result's: to about .001


def trace_row(ensemble: Ensemble, state: State, since: int, fine: bool = False) -> dict[str, Any]:
    """One line of the trace, a list a model: means over its steps since step `since`, accuracies now.

    A mean is null for a model that was frozen all the while. fine: accuracies as exact as the result's.
    """
    scale = logit_scale(ensemble.recipe, state.parameters)
    step, lost = int(state.step), state.diverged
    taken = (lost.where(lost >= 0, step + 1) - 1 - since).clamp(min=0)  # steps that each model's sums hold
    prompts, parameters = default_prompts(ensemble.recipe), with_retrained_head(ensemble, state.eval_parameters)
    trial = evaluation.trial(ensemble, prompts, **(FINAL_POINTS if fine else TRACE_POINTS))
    accuracy = {p or "none": evaluation.accuracies(ensemble, parameters, p, trial) for p in prompts}
    return {
        "step": step,
        **{name: [_finite(x) for x in (value / taken).tolist()] for name, value in state.measures.items()},
        "scale": None if scale is None else scale.tolist(),
        "prompts": {p: {g: a.mean(0).tolist() for g, a in groups.items()} for p, groups in accuracy.items()},
    }


def trace_line(row: dict[str, Any], steps: int, rate: float) -> str:
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


def result(
    ensemble: Ensemble, state: State, weights: Parameters, setting: Setting, further: Iterable[str | None] = ()
) -> dict[str, Any]:
    """Everything measured on the final weights, in the words of `simulate`; under the usual and `further` prompts."""
    recipe, world, prompt = ensemble.recipe, ensemble.worlds[0], setting.prompt
    asked = dict.fromkeys((*default_prompts(recipe), prompt, *further))
    trial = evaluation.trial(ensemble, asked, **FINAL_POINTS)
    diverged = state.diverged.cpu().numpy()
    going = diverged < 0
    prompts = {each: _asked(ensemble, state, weights, replace(setting, prompt=each), trial, going) for each in asked}
    top = prompts[prompt]
    return {
        "world": world.model_dump(),
        "learner": f"{recipe.loss}, {' and '.join(dict.fromkeys(recipe.objective.kinds(recipe)))} towers",
        "prompt": prompt,
        "recipe": recipe.model_dump(),
        "hash": runfolder.specification_hash(specification(ensemble)),
        "n": recipe.n or int(state.step) * recipe.batch_size,
        "method": "fresh pairs" if recipe.n is None else "fixed pairs",
        "seed": ensemble.seed,
        **{name: top[name] for name in (*GROUPS, *top["interval95"], "replicates", "interval95", "predicted")},
        "prompts": {str(name or "none"): value for name, value in prompts.items()},
        "recovery": _recovery(ensemble, weights),
        "bridge": bridge(ensemble, weights),
        "diverged": [{"model": int(k), "step": int(diverged[k])} for k in np.flatnonzero(~going)],
    }


def _recovery(ensemble: Ensemble, weights: Parameters) -> dict[str, Any] | None:
    """What could be read out of the embeddings, by reader and block; None where views have no latents."""
    if ensemble.worlds[0].views is not None:
        return None
    return {
        reader: {block: values[:, i].tolist() for i, block in enumerate(("invariant", "spurious"))}
        for reader, values in latent_recovery(ensemble, weights)._asdict().items()
    }


def _asked(
    ensemble: Ensemble, state: State, weights: Parameters, setting: Setting, trial, going: np.ndarray
) -> dict[str, Any]:
    """Accuracies under one prompt: means over the models that did not diverge, and every model's own."""
    prompt = setting.prompt
    replicates = evaluation.accuracies(ensemble, weights, prompt, trial)  # (R, E) by group
    accuracy = {group: values.mean(0) for group, values in replicates.items()}
    mean = {group: values[going].mean() for group, values in accuracy.items()}
    exact = all(len(values) == 1 for values in replicates.values())
    relied = score_reliance(ensemble, weights, prompt) if ensemble.worlds[0].views is None else None
    return {
        **in_groups(Accuracy(mean["common"], mean["counter"])),
        **{group: float(value) for group, value in mean.items()},
        "replicates": [{g: float(values[k]) for g, values in accuracy.items()} for k in range(len(going))],
        "interval95": {group: interval95(values[going]) for group, values in accuracy.items()},
        # Of quasi-Monte Carlo, one model; null where the accuracy is exact.
        "evaluation95": None
        if exact
        else {g: [interval95(values[:, k]) for k in range(len(going))] for g, values in replicates.items()},
        "reliance": None if relied is None else [_finite(t) for t in relied],
        "predicted": predicted(setting),
        "unseen": _unseen(setting, int(state.step)),
        "covariances": _covariances(setting),
    }


def _unseen(setting: Setting, steps: int) -> dict[str, float] | None:
    """Shares of images like which the run saw no pair, so that its towers cannot tell the law's score.

    Null unless that law is the InfoNCE optimum of the world from which pairs are drawn, and the shares are known.
    """
    law, recipe = setting.law(), setting.recipe
    if law is None or not isinstance(law.learner, InfoNCE) or law.world != setting.world:
        return None
    found = unseen(law.world, law.learner.prompt, recipe.n or steps * recipe.batch_size)
    return None if found is None else found._asdict()


def _covariances(setting: Setting) -> dict[str, float] | None:
    """What the Gaussian PMI has, where towers stay whose loss hardly feels that there are classes.

    Null unless the law is the InfoNCE optimum, asked by a single caption.
    """
    law = setting.law()
    if law is None or not isinstance(law.learner, InfoNCE) or setting.prompt not in LINEAR:
        return None
    return predicted_by(law._replace(learner=GaussianPMI(setting.prompt)))


def predicted(setting: Setting) -> dict[str, float] | None:
    """Group accuracies that the theory expects of unlimited pairs and towers; null where it says nothing."""
    law = setting.law()
    return None if law is None else predicted_by(law)


def predicted_by(law: Law) -> dict[str, float] | None:
    """Group accuracies of a law; null where it has no answer."""
    try:
        return in_groups(population(law.world, law.learner))
    except RequestError:
        return None  # ties, separable laws, no view noise


def _finite(x: float) -> float | None:
    return float(x) if np.isfinite(x) else None
