"""Measurements of an ensemble of towers: the document at the end, and a line per row of the
history.

Accuracies are fractions.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.inference import REALS, interval95
from experiments.lab import runfolder
from experiments.lab.answers import NUMBERS, in_groups, placed, predicted
from experiments.lab.mitigations import law_of_towers
from simulator.accuracy import GROUPS, PLACE, Accuracy, finite
from simulator.pixels.views import Pixels
from simulator.prompts import asked
from simulator.towers import evaluation
from simulator.towers.ensemble import Ensemble
from simulator.towers.evaluation import default_prompts
from simulator.towers.layers import Parameters
from simulator.towers.probes import score_reliance, separation
from simulator.towers.training import State
from simulator.world import World
from theory.ideal_curve import equivalent_of_draws
from theory.learners import Learner, named

FINE = {"power": 12, "replicates": 8}  # of test images: accuracies to about .001
LARGEST = 40.0  # deviations between class means; beyond this no pair is on the wrong side


def history_line(row: dict[str, Any], steps: int, rate: float) -> str:
    """A row of the history as a line: means over the models that did not diverge."""
    going = np.array([loss is not None for loss in row["loss"]])
    mean = {
        key: np.mean(np.array(row[key])[going], dtype=float)
        for key in ("loss", "scale")
        if row[key]
    }
    prompt, accuracy = next(iter(row["prompts"].items()))
    groups = ", ".join(
        f"{g} {100 * np.mean(np.array(a)[going]):.1f} %" for g, a in accuracy.items()
    )
    return (
        f"step {row['step']} of {steps}: loss {mean['loss']:.4f}"
        + (f", scale {mean['scale']:.1f}" if "scale" in mean else "")
        + f", {groups}"
        + (f" by {asked(prompt)}" if prompt != "none" else "")
        + f", {rate:.3g} model steps/s"
    )


def result(
    ensemble: Ensemble,
    state: State,
    weights: Parameters,
    prompt: str | None,
    further: Iterable[str],
    mitigate: str,
) -> dict[str, Any]:
    """The document of the final weights under the usual and `further` prompts, with the keys of
    `simulate`.
    """
    recipe, world = ensemble.recipe, ensemble.worlds[0]
    names = dict.fromkeys((*default_prompts(recipe), prompt, *further))
    trial = evaluation.trial(ensemble, names, **FINE)
    diverged = state.diverged.cpu().numpy()
    going = diverged < 0
    prompts = {}
    n = recipe.n or int(state.step) * recipe.batch_size
    for name, replicates in evaluation.accuracies(ensemble, weights, names, trial).items():
        law = law_of_towers(mitigate, world, recipe, name)
        prompts[name] = {
            "unseen": _unseen(law, world, n),
            **_measured(world, replicates, going),
            "reliance": (
                [*map(finite, score_reliance(ensemble, weights, name))]
                if world.views is None
                else None
            ),
            "predicted": predicted(law),
        }
    top = prompts[prompt]
    keys = dict.fromkeys(
        (*GROUPS[:2], *NUMBERS, *PLACE, *top["interval95"], "replicates", "interval95", "predicted")
    )
    return {
        "world": world,
        "learner": f"{recipe.loss}, {' and '.join(dict.fromkeys(recipe.kinds.values()))} towers",
        "prompt": prompt,
        "recipe": recipe.model_dump(),
        "hash": runfolder.specification_hash(ensemble),
        "n": n,
        "method": "fresh pairs" if recipe.n is None else "fixed pairs",
        "seed": ensemble.seed,
        **{name: top[name] for name in keys},
        "prompts": {str(name or "none"): value for name, value in prompts.items()},
        "bridge": bridge(ensemble, weights),
        "diverged": [{"model": int(k), "step": int(diverged[k])} for k in np.flatnonzero(~going)],
    }


def _measured(world: World, replicates: dict[str, np.ndarray], going: np.ndarray) -> dict[str, Any]:
    """Mean accuracies of the models that did not diverge, and each model's own, from (R, E) values
    by group.
    """
    accuracy = {group: values.mean(0) for group, values in replicates.items()}
    mean = {group: float(values[going].mean()) for group, values in accuracy.items()}
    names = GROUPS[: 3 if "unseen" in replicates else 2]
    absent = np.full_like(replicates["common"], np.nan)
    # (R, E, groups)
    draws = np.stack([replicates.get(group, absent)[:, going] for group in names], axis=2)
    shared = draws.mean(axis=1) if len(draws) > 1 else None  # exact accuracies use no test images
    numbers, intervals = placed(equivalent_of_draws, world, draws.mean(axis=0), shared)
    return {
        **in_groups(
            Accuracy(mean["common"], mean.get("counter", np.nan), unseen=mean.get("unseen"))
        ),
        **mean,
        **numbers,
        "replicates": [
            {group: float(values[k]) for group, values in accuracy.items()}
            for k in range(len(going))
        ],
        "interval95": {
            **{group: _interval(values[:, going]) for group, values in replicates.items()},
            **intervals,
        },
    }


def _interval(values: Float[np.ndarray, "R E"]) -> list[float] | None:
    """Interval of the mean over models, from (R, E) values; R sets of test images are shared by all
    models.

    Models' spread does not show the error that shared images cause, so the spread over sets is
    added.
    """
    by_model = interval95(values.mean(axis=0), REALS)
    by_set = interval95(values.mean(axis=1), REALS)
    if by_model is None:
        return None
    mean = values.mean()
    half = np.hypot(*(0.0 if ends is None else np.ptp(ends) / 2 for ends in (by_model, by_set)))
    return [float(max(mean - half, 0.0)), float(min(mean + half, 1.0))]


def _unseen(
    law: tuple[World, Learner] | None, world: World, pairs: int
) -> dict[str, float | None] | None:
    """Shares of images that are unlike all pairs of the run, so that towers cannot learn their
    scores.

    None if the law has another world than the pairs. (With a table "unseen" is the accuracy of that
    group.)
    """
    if law is None or world.views is not None or law[0] != world:
        return None
    shares = law[1].unseen(world, pairs)
    return shares and {name: finite(number) for name, number in shares._asdict().items()}


def bridge(ensemble: Ensemble, parameters: Parameters) -> dict[str, Any] | None:
    """Distances and predicted accuracies per model; None unless there is a head and all classes
    have a colour.

    A head is a linear rule on embeddings. The optimum with linear towers predicts it in the
    Gaussian world whose mu/sigma are the distances of the classes' embeddings (`separation`):
    weakly, where these are many deviations.
    """
    world, recipe = ensemble.worlds[0], ensemble.recipe
    learner = recipe.objective.population_learner.get("linear")
    as_drawn = (
        recipe.objective.sampler == recipe.sampler == "drawn" and recipe.last_layer == "trained"
    )
    K = world.classes
    coloured = (
        isinstance(world.views, Pixels) and world.table is None and len(world.views.tied_of(K)) == K
    )
    if not coloured or not recipe.objective.heads or learner is None or not as_drawn:
        return None
    mu_inv, mu_spu = np.minimum(separation(ensemble, parameters), LARGEST).T
    shared = {"classes": K, "p_inv": world.p_inv, "p_spu": world.p_spu}
    worlds = World(
        **shared, mu_inv=mu_inv, mu_spu=mu_spu, sigma_inv=1.0, sigma_spu=1.0, sigma_xi=0.0
    )
    common, counter = named(learner).accuracy(worlds)
    rand = (common + (K - 1) * counter) / K
    numbers = {
        "mu_inv": mu_inv,
        "mu_spu": mu_spu,
        "common": common,
        "counter": counter,
        "rand": rand,
        "rev": counter,
    }
    return {name: np.asarray(values).tolist() for name, values in numbers.items()}
