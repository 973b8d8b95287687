"""The route "trained": towers that approach a learner's optimum; cells of one shape train as one ensemble."""

from collections import defaultdict
from collections.abc import Iterator
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.errors import RequestError
from experiments.lab.blocks import Region, places
from experiments.lab.routes.measurement import Measurement
from experiments.lab.spec import StudySpec
from simulator.samplers import EmptyGroup
from simulator.towers.recipe import Recipe
from simulator.world import World

MODELS = 64  # of one ensemble; larger ones are hardly faster, and need more memory
MOST_BYTES = 2**30  # that an ensemble needs at least; fixed sets of images are large


class _Cell(NamedTuple):
    """One place at which towers are trained, and the prompt of each of the learner's cells there."""

    offset: tuple[int, ...]
    world: World
    prompts: dict[int, str | None]


def train_cells(study: StudySpec, region: Region, k: int) -> Iterator[Measurement]:
    """Learner k trained at each place of a region; cells of one recipe, seed and shape of world train together.

    Model r has the same streams and initial weights in all cells of a seed, so differences are paired.
    """
    from simulator.towers.ensemble import Ensemble, least_bytes  # start-up time: loads torch
    from simulator.towers.views import views_of

    groups: dict[Any, list[_Cell]] = defaultdict(list)
    for place, offset in places(region):
        try:
            settings = {slot: study.setting(k, place, prompt, towers=True) for slot, prompt in study.slots(k)}
            settings[0].pairs()
        except (RequestError, ValueError) as error:
            yield _refused(study, k, offset, str(error))
            continue
        world, recipe = settings[0].world, settings[0].recipe
        shape = (world.classes, *views_of(world).inputs(world).values())
        prompts = {slot: setting.prompt for slot, setting in settings.items()}
        groups[recipe, study.seed_at(place), shape].append(_Cell(offset, world, prompts))
    for (recipe, seed, _), cells in groups.items():
        one = least_bytes(Ensemble(recipe, (cells[0].world,) * study.replicates, tuple(range(study.replicates)), seed))
        size = max(1, min(MODELS // study.replicates, MOST_BYTES // one))
        for start in range(0, len(cells), size):
            yield from _train(study, recipe, seed, cells[start : start + size], k)


def _refused(study: StudySpec, k: int, offset: tuple[int, ...], why: str) -> Measurement:
    return Measurement(offset, refusals={slot: why for slot, _ in study.slots(k)})


def _train(study: StudySpec, recipe: Recipe, seed: int, cells: list[_Cell], k: int) -> Iterator[Measurement]:
    from simulator.towers.api import train
    from simulator.towers.evaluation import prompts_of  # start-up time: loads torch
    from simulator.towers.multiprocess import EveryModelDiverged

    began = perf_counter()
    worlds = list(dict.fromkeys(cell.world for cell in cells))  # cells that differ in their prompt share models
    lost = f"every model lost its finite loss; a smaller lr than {recipe.lr:g} is the first thing to try"
    try:
        towers = train(worlds, recipe, models=study.replicates, seed=seed, device=study.device)
    except EveryModelDiverged:
        yield from (_refused(study, k, cell.offset, lost) for cell in cells)
        return
    except EmptyGroup as error:
        if len(cells) == 1:
            yield _refused(study, k, cells[0].offset, str(error))
            return
        for cell in cells:  # the training sets of other worlds may have a pair of each group
            yield from _train(study, recipe, seed, [cell], k)
        return
    known = prompts_of(recipe)
    unknown = f"towers of loss {recipe.loss!r} have the prompts {', '.join(map(str, known))}"
    wanted = dict.fromkeys(prompt for cell in cells for prompt in cell.prompts.values())
    values = {prompt: _measured(towers, prompt) for prompt in wanted if prompt in known}
    seconds = (perf_counter() - began) / len(cells) / len(study.slots(k))
    for cell in cells:
        result, w = Measurement(cell.offset, seconds=seconds), worlds.index(cell.world)
        for slot, prompt in cell.prompts.items():
            if prompt not in known:
                result.refusals[slot] = unknown
            elif not np.isfinite(values[prompt]["common"][w]).any():
                result.refusals[slot] = lost
            else:
                result.values[slot] = {name: numbers[w] for name, numbers in values[prompt].items()}
        yield result


def _measured(towers, prompt: str | None) -> dict[str, Float[np.ndarray, "worlds R"]]:
    """Accuracies by group, and the reliance, of each model; nan for a model that diverged."""
    ensemble, values = towers.ensemble, dict(towers.groups(prompt))
    common = values["common"]
    if ensemble.worlds[0].views is None:
        from simulator.towers.probes import score_reliance  # start-up time: loads torch

        values["reliance"] = score_reliance(ensemble, towers.parameters, prompt).reshape(common.shape)
    return {name: np.where(np.isfinite(common), numbers, np.nan) for name, numbers in values.items()}
