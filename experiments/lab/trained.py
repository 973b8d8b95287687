"""The trained route of a study: a learner by the objective that becomes it, cells of one shape as one ensemble."""

from collections import defaultdict
from collections.abc import Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.errors import RequestError
from experiments.lab.blocks import Region, places
from simulator.world import World
from theory.learners import Learner, named

if TYPE_CHECKING:
    from experiments.lab.measuring import Cells
    from experiments.lab.study import Study
    from simulator.towers.recipe import Recipe

MODELS = 64  # of one ensemble; what batching gains is gained by then, and memory stays small


def recipe_of(label: str, given: dict[str, Any]) -> "Recipe":
    """The recipe that trains an objective, or the objective whose towers become the learner, of that name.

    Raises RequestError for a learner that no towers become, ValidationError for fields that do not agree.
    """
    from simulator.towers.objectives import OBJECTIVES
    from simulator.towers.recipe import Recipe

    if label in OBJECTIVES:
        kinds = OBJECTIVES[label].towers
        towers = Recipe.model_fields["towers"].default
        return Recipe(**{"loss": label, "towers": towers if towers in kinds else kinds[0], **given})
    for objective in OBJECTIVES.values():
        for towers, learner in objective.becomes.items():
            if learner == label:
                return Recipe(**{**given, "loss": objective.name, "towers": towers})
    known = [*OBJECTIVES, *(learner for o in OBJECTIVES.values() for learner in o.becomes.values())]
    raise RequestError(
        f"learner {label!r} is what no towers become; those that can be trained are {', '.join(dict.fromkeys(known))}"
    )


def becomes(recipe: "Recipe", world: World, prompt: str | None) -> Learner | None:
    """The learner whose law the towers of a recipe reach with unlimited pairs; None where there is none."""
    objective = recipe.objective
    name = objective.learner(recipe)
    if name is None:
        return None
    narrow = objective.limited_by_width and recipe.embed_dim < world.latents
    return named(name, prompt=prompt, embed_dim=recipe.embed_dim if narrow else None)


def train_cells(study: "Study", region: Region, k: int) -> Iterator["Cells"]:
    """What towers learn at every cell of a block: cells of one recipe, seed and shape of world train together.

    Model r has the same streams and the same initial weights in every cell of a seed, so differences are paired.
    """
    together: dict[Any, list] = defaultdict(list)
    for index, at in places(region):
        world, recipe = study.world_at(index), study.recipe_at(index, k)
        seed = study.cell(index).get("seed", study.seed)
        shape = (world.classes, world.dim_image, world.dim_text)
        together[recipe, seed, shape].append((at, world))
    each = max(1, MODELS // study.replicates)
    for (recipe, seed, _), cells in together.items():
        for start in range(0, len(cells), each):
            yield from _ensemble(study, recipe, seed, cells[start : start + each], k)


def _ensemble(study: "Study", recipe: "Recipe", seed: int, cells: list, k: int) -> Iterator["Cells"]:
    from experiments.lab.measuring import Cells
    from simulator.towers.evaluation import prompts_of, score_reliance
    from simulator.towers.trained import train
    from simulator.towers.training import EveryModelDiverged

    began, R = perf_counter(), study.replicates
    try:
        towers = train([world for _, world in cells], recipe, models=R, seed=seed, device=study.device)
    except EveryModelDiverged:
        towers = None
    found: list[dict[int, np.ndarray]] = [{} for _ in cells]
    asked = [each for each in study.asked(k) if each[1] in prompts_of(recipe)]
    for place, prompt in asked if towers is not None else ():
        accuracy = towers.each(prompt)
        relied = score_reliance(towers.ensemble, towers.parameters, prompt).reshape(len(cells), R)
        numbers = np.stack([accuracy.common, accuracy.counter, relied], axis=-1)  # (cells, R, 3)
        numbers[~np.isfinite(numbers[..., 0])] = np.nan
        for c, values in enumerate(numbers):
            found[c][place] = values
    seconds = (perf_counter() - began) / len(cells) / max(1, len(asked))
    unasked = f"towers of loss {recipe.loss!r} can be asked by {', '.join(map(str, prompts_of(recipe)))}"
    for (at, _), values in zip(cells, found, strict=True):
        going = {place: v for place, v in values.items() if np.isfinite(v[:, 0]).any()}
        why = f"every model lost its finite loss; a smaller lr than {recipe.lr:g} is the first thing to try"
        lost = {place: why for place, _ in asked if place not in going}
        lost |= {place: unasked for place, prompt in study.asked(k) if prompt not in prompts_of(recipe)}
        yield Cells(at, going, lost, seconds)
