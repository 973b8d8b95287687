"""`python -m experiments.benchmarks.race [WORLD ...]`: the time and remaining gap of each recipe.

Goal: the mean of 8 models lies within .005 of the InfoNCE optimum, by a 99 % interval. It holds for both groups and
prompts. A row shows the seconds with compilation, the worst gap with its half width, and every gap. The peer is the
earlier default (AdamW 2e-3, cosine, gelu, width 128, 512 pairs) with about the same running time.
"""

import sys
from time import perf_counter

import numpy as np
import torch

from experiments.inference import t_bounds
from experiments.runtime import keep_memory, sleep_soon
from simulator.towers.api import train
from simulator.towers.evaluation import ensemble_accuracy, standard_points
from simulator.towers.recipe import Recipe
from simulator.world import World
from theory.claims.trained import EVEN, FALLING, NARROW
from theory.learners import Bayes, InfoNCE

MODELS, LEVEL = 8, 0.99
POINTS = {"power": 14, "replicates": 8}  # test points; their error, below .0002, is common to all models
PEER = {
    "optimizer": "adamw",
    "lr": 2e-3,
    "schedule": "cosine",
    "averaging": 0.0,
    "activation": "gelu",
    "width": 128,
    "skip": "none",
    "batch_size": 512,
    "steps": 800,
}
SHORTEST = {**EVEN, **NARROW, "lr": 5e-3, "steps": 8000}
RECIPES = {
    "default": {},
    "a falling rate": FALLING,
    "Sobol points, narrow": SHORTEST,
    "the same with gelu": {**SHORTEST, "activation": "gelu"},
    "SigLIP": {**SHORTEST, "loss": "siglip"},
    "supervised": {**SHORTEST, "loss": "supervised", "lr": 2e-3, "steps": 4000},
    "peer": PEER,
}


def world(p_spu: float, mu_spu: float, nu: float, d: int, classes: int = 2) -> World:
    """A world whose views have d coordinates with noise variance nu."""
    noise = (d * nu) ** 0.5
    return World(p_spu=p_spu, mu_spu=mu_spu, sigma_xi=noise, dim_image=d, dim_text=d, classes=classes)


WORLDS = {
    "p = .9, mu = 2": world(0.9, 2.0, 0.49, 2),
    "p = .75, mu = 2": world(0.75, 2.0, 0.49, 2),
    "p = .9, mu = 1": world(0.9, 1.0, 0.49, 2),
    "d = 8": world(0.85, 1.6, 0.5, 8),
    "d = 64": world(0.9, 2.0, 0.25, 64),
    "K = 3": world(0.85, 1.6, 0.5, 8, 3),
    "K = 10": world(0.85, 1.6, 0.5, 24, 10),
}


def gaps(name: str, recipe: Recipe) -> tuple[float, list[tuple[float, float]]]:
    """Seconds of a run, and the gap with its half width per prompt and group."""
    torch._dynamo.reset()  # the recompilation limit counts all earlier runs
    began = perf_counter()
    processes = min(torch.get_num_threads(), MODELS)
    towers = train(WORLDS[name], recipe, models=MODELS, compile=True, processes=processes)
    seconds, result = perf_counter() - began, []
    points = standard_points(towers.ensemble, **POINTS)
    for prompt in ("name", "mean") if recipe.prompted else (None,):
        optimum = (Bayes() if prompt is None else InfoNCE(prompt)).accuracy(WORLDS[name])
        accuracy = ensemble_accuracy(towers.ensemble, towers.parameters, prompt, points)
        gap = accuracy.mean(0).T - np.array([[optimum.common], [optimum.counter]])
        result += [(one.mean(), one.mean() - t_bounds(one, (1 - LEVEL) / 2).low) for one in gap]
    return seconds, result


def main(names: list[str]) -> None:
    """Print the table for these worlds, or for all."""
    print("| world | recipe | seconds | worst gap and half width | gaps: common, counter by name; by mean |")
    print("|---|---|---|---|---|")
    for name in names or WORLDS:
        for words, fields in RECIPES.items():
            seconds, pairs = gaps(name, Recipe(**fields))
            worst = max(abs(gap) + half for gap, half in pairs)
            cells = ", ".join(f"{gap:+.4f} ± {half:.4f}" for gap, half in pairs)
            print(f"| {name} | {words} | {seconds:.0f} | {worst:.4f} | {cells} |", flush=True)


if __name__ == "__main__":
    sleep_soon()
    keep_memory()
    main(sys.argv[1:])
