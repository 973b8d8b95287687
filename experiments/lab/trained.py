"""The trained route of a study: a learner by the objective that becomes it, cells of one shape as one ensemble."""

from collections import defaultdict
from collections.abc import Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from experiments.errors import RequestError
from experiments.lab.blocks import Region, places

if TYPE_CHECKING:
    from experiments.lab.measuring import Cells
    from experiments.lab.setting import Setting
    from experiments.lab.study import Study
    from simulator.towers.recipe import Recipe
    from simulator.towers.trained import Towers

MODELS = 64  # of one ensemble; what batching gains is gained by then, and memory stays small
MOST_BYTES = 2**30  # that an ensemble needs at least: fixed sets of images are large


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


def train_cells(study: "Study", region: Region, k: int) -> Iterator["Cells"]:
    """What towers learn at every cell of a block: cells of one recipe, seed and shape of world train together.

    Model r has the same streams and the same initial weights in every cell of a seed, so differences are paired.
    """
    from simulator.towers.ensemble import Ensemble, least_bytes
    from simulator.towers.views import views_of

    together: dict[Any, list] = defaultdict(list)
    for index, at in places(region):
        settings, why = _settings(study, index, k)
        if why is not None:
            yield _refused(study, k, at, why)
            continue
        world, recipe = settings[0].world, settings[0].recipe
        seed = study.cell(index).get("seed", study.seed)
        shape = (world.classes, *views_of(world).inputs(world).values())
        together[recipe, seed, shape].append((at, world, [setting.prompt for setting in settings]))
    for (recipe, seed, _), cells in together.items():
        one = least_bytes(Ensemble(recipe, (cells[0][1],) * study.replicates, tuple(range(study.replicates)), seed))
        each = max(1, min(MODELS // study.replicates, MOST_BYTES // one))
        for start in range(0, len(cells), each):
            yield from _ensemble(study, recipe, seed, cells[start : start + each], k)


def _settings(study: "Study", index: tuple[int, ...], k: int) -> tuple[list["Setting"], str | None]:
    """(learner k at one place, once a prompt; why it cannot be trained there)."""
    try:
        settings = [study.setting(k, index, prompt, towers=True) for _, prompt in study.asked(k)]
        settings[0].pairs()
    except (RequestError, ValueError) as error:
        return [], str(error)
    return settings, None


def _refused(study: "Study", k: int, at: tuple[int, ...], why: str) -> "Cells":
    from experiments.lab.measuring import Cells

    return Cells(at, {}, {place: why for place, _ in study.asked(k)})


def _ensemble(study: "Study", recipe: "Recipe", seed: int, cells: list, k: int) -> Iterator["Cells"]:
    """`cells` are (place in the block, world, how its towers are asked, once a prompt of the study)."""
    from experiments.lab.measuring import Cells
    from experiments.lab.result import measured
    from simulator.samplers import EmptyGroup
    from simulator.towers.evaluation import prompts_of
    from simulator.towers.trained import train
    from simulator.towers.training import EveryModelDiverged

    began = perf_counter()
    worlds = list(dict.fromkeys(world for _, world, _ in cells))  # places that differ in their prompt share models
    lost = f"every model lost its finite loss; a smaller lr than {recipe.lr:g} is the first thing to try"
    try:
        towers = train(worlds, recipe, models=study.replicates, seed=seed, device=study.device)
    except EveryModelDiverged:
        yield from (_refused(study, k, at, lost) for at, _, _ in cells)
        return
    except EmptyGroup as error:
        if len(cells) == 1:
            yield _refused(study, k, cells[0][0], str(error))
            return
        for cell in cells:  # sets of other worlds may have a pair of every group
            yield from _ensemble(study, recipe, seed, [cell], k)
        return
    known = prompts_of(recipe)
    unasked = f"towers of loss {recipe.loss!r} can be asked by {', '.join(map(str, known))}"
    asked = {
        prompt: _numbers(towers, prompt, measured(study))
        for prompt in dict.fromkeys(p for *_, prompts in cells for p in prompts)
        if prompt in known
    }
    seconds = (perf_counter() - began) / len(cells) / len(study.asked(k))
    for at, world, prompts in cells:
        own = worlds.index(world)
        places = {place: prompt for (place, _), prompt in zip(study.asked(k), prompts, strict=True)}
        values = {place: asked[prompt][own] for place, prompt in places.items() if prompt in known}
        going = {place: v for place, v in values.items() if np.isfinite(v[:, 0]).any()}
        why = {place: lost if prompt in known else unasked for place, prompt in places.items() if place not in going}
        yield Cells(at, going, why, seconds)


def _numbers(towers: "Towers", prompt: str | None, names: tuple[str, ...]) -> Float[np.ndarray, "worlds R Q"]:
    """Every model's numbers under a prompt, nan where its worlds have none of that name."""
    ensemble, found = towers.ensemble, towers.groups(prompt)
    common = found["common"]
    if ensemble.worlds[0].views is None:
        from simulator.towers.probes import score_reliance

        found["reliance"] = score_reliance(ensemble, towers.parameters, prompt).reshape(common.shape)
    numbers = np.stack([found.get(name, np.full(common.shape, np.nan)) for name in names], axis=-1)
    numbers[~np.isfinite(common)] = np.nan
    return numbers
