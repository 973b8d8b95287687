"""`python -m experiments.benchmarks.race [WORLD ...]`: how near the default recipe comes to the optimum, in what time.

The rule of the race: the mean of 8 models within .005 of the optimum, by a 99 % interval, on both groups and under both
prompts. A row is a world: seconds with the compilation of the step, the worst of the four gaps with its interval's half
width, and each gap. A rate that falls leaves out what noise at a constant rate adds; Sobol points scatter less, and
narrow towers take half the time; gelu is for three classes and more. Models are shared out over as many processes as
torch has threads. The peer is what the default was before (AdamW 2e-3, cosine, gelu, width 128, 512 pairs), for as many
steps as it takes in about the same time.
"""

import sys
from time import perf_counter

import torch

from experiments.inference import t_interval
from experiments.memory import keep_memory
from experiments.threads import sleep_soon
from simulator.towers.evaluation import ensemble_accuracy, standard_points
from simulator.towers.recipe import Recipe
from simulator.towers.trained import train
from simulator.world import World
from theory.claims.trained import EVEN, FALLING, NARROW
from theory.learners import Bayes, InfoNCE

MODELS, LEVEL = 8, 0.99
POINTS = {"power": 14, "replicates": 8}  # models share their error, which no interval would show: below .0002
PEER = {
    "optimizer": "adamw", "lr": 2e-3, "schedule": "cosine", "averaging": 0.0, "activation": "gelu", "width": 128,
    "skip": "none",
    "batch_size": 512, "steps": 800,
}  # fmt: skip


def world(p_spu: float, mu_spu: float, nu: float, d: int, classes: int = 2) -> World:
    """A world with noise variance nu a coordinate of views of d coordinates."""
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
SHORTEST = {**EVEN, **NARROW, "lr": 5e-3, "steps": 8000}
RECIPES = {
    "default": {}, "a falling rate": FALLING, "Sobol points, narrow": SHORTEST,
    "the same with gelu": {**SHORTEST, "activation": "gelu"}, "SigLIP": {**SHORTEST, "loss": "siglip"},
    "supervised": {**SHORTEST, "loss": "supervised", "lr": 2e-3, "steps": 4000}, "as before": PEER,
}  # fmt: skip


def row(name: str, recipe: Recipe) -> tuple[float, list[tuple[float, float]]]:
    """(seconds, gap and half width of its 99 % interval of every group and prompt)."""
    torch._dynamo.reset()  # else the compiler counts the shapes of all races
    began = perf_counter()
    processes = min(torch.get_num_threads(), MODELS)
    towers = train(WORLDS[name], recipe, models=MODELS, compile=True, processes=processes)
    seconds, found = perf_counter() - began, []
    points = standard_points(towers.ensemble, **POINTS)
    for prompt in ("name", "mean") if recipe.prompted else (None,):
        law = (Bayes() if prompt is None else InfoNCE(prompt)).accuracy(WORLDS[name])
        each = ensemble_accuracy(towers.ensemble, towers.parameters, prompt, points).mean(0)
        for got, wanted in zip(each.T, (law.common, law.counter), strict=True):
            ends = t_interval(got - wanted, LEVEL)
            found.append(((ends.low + ends.high) / 2, (ends.high - ends.low) / 2))
    return seconds, found


def main(names: list[str]) -> None:
    """Print the table; `names` are worlds, all if none is given."""
    print("| world | recipe | seconds | worst, interval included | common, counter by name | by mean |")
    print("|---|---|---|---|---|---|")
    for name in names or WORLDS:
        for words, fields in RECIPES.items():
            seconds, gaps = row(name, Recipe(**fields))
            cells = [f"{gap:+.4f} ± {half:.4f}" for gap, half in gaps]
            worst = max(abs(gap) + half for gap, half in gaps)
            asked = [", ".join(cells[k : k + 2]) for k in range(0, len(cells), 2)]
            print(f"| {name} | {words} | {seconds:.0f} | {worst:.4f} | {' | '.join([*asked, ''][:2])} |", flush=True)


if __name__ == "__main__":
    sleep_soon()
    keep_memory()
    main(sys.argv[1:])
