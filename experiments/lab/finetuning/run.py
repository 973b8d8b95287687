"""A fine-tuning run: the grid trained and validated, the best of it chosen, and that alone tested.

For every learner and replicate all points of the grid are trained on the same pairs, and each is asked about validation
objects under the training law. Test images are made for the chosen one, after the choice.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from experiments.counteranimal.model import LoadOptions
from experiments.counteranimal.models import check_spec, load_model
from experiments.errors import RequestError, RunError
from experiments.lab.finetuning.asked import FIXED, GRID, LEARNERS, NAME, Asked, Setting
from experiments.lab.finetuning.kept import Kept, refuse
from experiments.lab.interruption import keeping
from experiments.lab.worlds import read_pictures, world_of
from experiments.progress import counting
from experiments.provenance import versions
from simulator.pixels import groups
from simulator.pixels.coco import instances
from simulator.pixels.files import MOST_HELD
from simulator.pixels.groups import Trial
from simulator.towers import finetuning as tuning
from simulator.towers.finetuning import Head, PairSet, Pretrained
from simulator.world import World

LOADER = "open_clip"


def pretrained(asked: Asked) -> tuple[Pretrained, int, dict[str, Any]]:
    """(the model on its device, side of its images, its settings as results give them).

    Raises RequestError for a model that open_clip does not load, or that reads images of another shape than worlds
    have.
    """
    kind, _ = check_spec(asked.model, LoadOptions(asked.weights))
    if kind != LOADER:
        raise RequestError(
            f"model {asked.model!r} cannot be fine-tuned by captions here; {NAME} takes {LOADER}:NAME[/TAG]"
        )
    loaded = load_model(asked.model, asked.weights)
    visual = loaded.module.visual
    size = visual.image_size
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise RequestError(f"model {asked.model!r} reads images of {height} x {width}, and worlds have square ones")
    mean, std = (tuple(map(float, visual.preprocess_cfg[name])) for name in ("mean", "std"))
    loaded.module.to(asked.device)
    return Pretrained(loaded.module, loaded.tokenizer, mean, std), height, loaded.settings


def choose(validations: Sequence[float | None]) -> int | None:
    """The place of the highest validation accuracy, the first of equals; None where no training has one."""
    there = [place for place, value in enumerate(validations) if value is not None]
    return max(there, key=lambda place: validations[place], default=None)


def run(
    asked: Asked, folder: Path | None = None, report: Callable[[str], None] = lambda line: None
) -> tuple[Kept, dict[str, Any]]:
    """Train, choose and test what is not in the folder yet; (what is kept, facts about model and pictures).

    Raises RequestError for a request that cannot be met, RunError and Interrupted with what was kept.
    """
    if folder is not None:
        refuse(folder)
    count = _look_for_photos(asked.world)
    model, side, settings = pretrained(asked)
    _refuse_too_many(count, side)
    views = {**asked.world.views.model_dump(exclude_unset=True), "size": side}
    world = world_of({**asked.world.model_dump(exclude_unset=True), "views": views}, {})
    scene = read_pictures(world)
    counts = {part: scene.objects.counts(part).tolist() for part in ("train", "validation", "test")}
    facts = {"settings": settings, "names": list(scene.objects.names), "objects": counts}
    kept = Kept(folder, _specification(asked, world, settings, scene.digest))
    if kept.stood:
        report(f"{len(kept.trainings)} of {asked.trainings} trainings are in {folder} already")
    job = _Job(asked, world, model, kept)
    said = lambda: f"{len(kept.trainings)} of {asked.trainings} trainings are in {folder}"  # noqa: E731
    steps = (asked.trainings - len(kept.trainings)) * asked.recipe.steps
    with nullcontext() if folder is None else keeping(said), counting("steps", steps, "steps/s") as advance:
        try:
            for learner, replicate in asked.runs():
                job.finish(learner, replicate, advance)
        except torch.OutOfMemoryError:
            raise RunError(f"{asked.device} ran out of memory; a smaller --batch-size takes less") from None
    return kept, facts


def _look_for_photos(world: World) -> int:
    """How many objects a folder of COCO's has, before a model is fetched, whose size the pictures wait for.

    Raises RequestError for a folder that is not whole. Other sources say what they lack when they are read.
    """
    if world.views.objects != "coco":
        return 0
    try:
        return len(instances(world.views.root, world.classes, world.views.categories)[1])
    except ValueError as error:
        raise RequestError(str(error)) from None


def _refuse_too_many(count: int, side: int) -> None:
    """Pictures are held at once, and theirs is the model's size: fewer of them is all that can be done."""
    most = MOST_HELD // (4 * side**2)
    if count > most:
        raise RequestError(
            f"--root has {count:,} objects, and at the model's {side} pixels {most:,} are held at once; an "
            "instances.json that names fewer images, as val2017's does, is enough"
        )


def _specification(asked: Asked, world: World, settings: dict[str, Any], pictures: str) -> dict[str, Any]:
    """All that numbers depend on. Where the pictures lie is no part of it: what they show is."""
    fields = world.model_dump(mode="json")
    fields["views"] = {name: value for name, value in fields["views"].items() if name not in ("root", "photos")}
    recipe = {name: getattr(asked.recipe, name) for name in ("n", *FIXED)}
    return {
        "model": settings["weights_hash"],
        "activation": settings["activation"],
        "world": fields,
        "pictures": pictures,
        "learners": list(asked.learners),
        "grid": asked.settings(),
        "recipe": recipe,
        "replicates": asked.replicates,
        "seed": asked.seed,
        "device": torch.device(asked.device).type,
        "torch": versions()["torch"],
    }


class _Job:
    """A pretrained model, what it is trained on, and what of it is finished."""

    def __init__(self, asked: Asked, world: World, model: Pretrained, kept: Kept):
        self.asked, self.world, self.model, self.kept = asked, world, model, kept
        self.scene = read_pictures(world)
        self.tokens = tuning.caption_tokens(model, self.scene)
        self.untouched = tuning.state(model, None)

    def finish(self, learner: str, replicate: int, advance: Callable[[int], None]) -> None:
        """Train all points of the grid, choose one and test it, as far as that is not done."""
        whose = {"learner": learner, "replicate": replicate}
        if any(_are_of(row, whose) for row in self.kept.tests):
            return
        if LEARNERS[learner].loss is None:
            tuning.restore(self.model, None, self.untouched)
            self.kept.tested({**whose, "validation": self._validation(None), **self._test(None)})
            return
        world, stream = self.world.replace(mention_spu=LEARNERS[learner].mention_spu), f"train/{replicate}"
        pairs = tuning.pair_set(self.model, self.scene, world, self.asked.recipe.n, self.asked.seed, stream)
        rows = self._grid(whose, pairs, advance)
        best = choose([row["validation"] for row in rows])
        if best is None:
            self.kept.tested({**whose, "validation": None, "accuracies": None})
            return
        setting = {name: rows[best][name] for name in GRID}
        head = self._head(learner)
        weights = self.kept.weights_of({**whose, **setting})
        if weights is None:  # they were lost with the folder's other file: made again, from the same streams
            self._train(head, whose, setting, pairs, lambda steps: None)
        else:
            tuning.restore(self.model, head, weights)
        self.kept.tested({**whose, **setting, "validation": rows[best]["validation"], **self._test(head)})

    def _grid(self, whose: dict[str, Any], pairs: PairSet, advance: Callable[[int], None]) -> list[dict[str, Any]]:
        """A row for every point of the grid, in its order; weights of the best are kept."""
        rows: list[dict[str, Any]] = []
        for setting in self.asked.settings():
            point = {**whose, **setting}
            row = next((row for row in self.kept.trainings if _are_of(row, point)), None)
            if row is None:
                began, head = perf_counter(), self._head(whose["learner"])
                said = self._train(head, whose, setting, pairs, advance)
                finite = isfinite(said[-1])
                ends = {"first_loss": said[0], "last_loss": said[-1]} if finite else {}
                row = {**point, **ends, "validation": self._validation(head) if finite else None}
                if choose([*(r["validation"] for r in rows), row["validation"]]) == len(rows):
                    self.kept.keep_weights(point, tuning.state(self.model, head))
                self.kept.trained({**row, "seconds": perf_counter() - began})
            rows.append(row)
        return rows

    def _train(self, head: Head | None, whose, setting: Setting, pairs: PairSet, advance) -> list[float]:
        tuning.restore(self.model, None, self.untouched)  # a head is new for every training
        recipe = self.asked.recipe_of(whose["learner"], setting)
        return tuning.finetune(self.model, head, recipe, pairs, advance)

    def _head(self, learner: str) -> Head | None:
        if not LEARNERS[learner].head:
            return None
        pixels = torch.zeros(1, 3, *self.scene.objects.pixels.shape[2:], dtype=torch.uint8)
        with torch.no_grad():
            features = self.model.images(pixels).shape[1]
        return Head(features, self.world.classes).to(self.model.device)

    def _accuracies(self, head: Head | None, tried: Trial) -> dict[str, float]:
        said = tuning.predicted(self.model, head, self.tokens, tried).numpy()[None]
        return {group: float(value[0]) for group, value in groups.accuracies(self.world, tried, said).items()}

    def _validation(self, head: Head | None) -> float:
        """Accuracy under the training law, on objects of neither training nor test."""
        return self._accuracies(head, groups.trial(self.world, "validation", self.asked.seed))["trained"]

    def _test(self, head: Head | None) -> dict[str, Any]:
        return {"accuracies": self._accuracies(head, groups.trial(self.world, "test", self.asked.seed))}


def _are_of(row: dict[str, Any], point: dict[str, Any]) -> bool:
    return all(row.get(name) == value for name, value in point.items())
