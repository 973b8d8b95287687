"""A fine-tuning run: train and validate each point of the grid, choose the best, and test that one alone.

All points of a learner and replicate are trained on the same pairs, and validated on objects of their own under the
training law. Test images are drawn after the choice.
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
from experiments.lab.config import read_pictures, world_of
from experiments.lab.finetuning.progress import Progress, refuse
from experiments.lab.finetuning.spec import FIXED, GRID, LEARNERS, NAME, FineTuning, Point
from experiments.lab.interruption import keeping
from experiments.progress import counting
from experiments.provenance import versions
from simulator.pixels import groups
from simulator.pixels.coco import instances
from simulator.pixels.groups import Trial
from simulator.pixels.scenery import MOST_HELD
from simulator.towers import finetuning as tuning
from simulator.towers.finetuning import Head, PairSet, Pretrained
from simulator.world import World

LOADER = "open_clip"


def pretrained(request: FineTuning) -> tuple[Pretrained, int, dict[str, Any]]:
    """(the model on its device, side of its images in pixels, its settings in results).

    Raises RequestError for a model that open_clip does not load, or whose images are not square.
    """
    check_spec(request.model, LoadOptions(request.weights))
    if not request.model.startswith(f"{LOADER}:"):
        raise RequestError(
            f"model {request.model!r} cannot be fine-tuned by captions here; {NAME} takes {LOADER}:NAME[/TAG]"
        )
    loaded = load_model(request.model, request.weights)
    visual = loaded.module.visual
    size = visual.image_size
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise RequestError(f"model {request.model!r} reads images of {height} x {width}, expected square images")
    mean, std = (tuple(map(float, visual.preprocess_cfg[name])) for name in ("mean", "std"))
    loaded.module.to(request.device)
    return Pretrained(loaded.module, loaded.tokenizer, mean, std), height, loaded.settings


def choose(validations: Sequence[float | None]) -> int | None:
    """Index of the highest validation accuracy, the first of equals; None if no training has one."""
    finite = [i for i, value in enumerate(validations) if value is not None]
    return max(finite, key=lambda i: validations[i], default=None)


def run(
    request: FineTuning, folder: Path | None = None, report: Callable[[str], None] = lambda line: None
) -> tuple[Progress, dict[str, Any]]:
    """Train, choose and test what is not in the folder yet; (the progress, facts about model and pictures).

    Raises RequestError for a request that cannot be met, RunError or Interrupted if the run ends early.
    """
    if folder is not None:
        refuse(folder)
    count = _look_for_photos(request.world)
    model, side, settings = pretrained(request)
    _refuse_too_many(count, side)
    views = {**request.world.views.model_dump(exclude_unset=True), "size": side}
    world = world_of({**request.world.model_dump(exclude_unset=True), "views": views}, {})
    scene = read_pictures(world)
    counts = {part: scene.objects.counts(part).tolist() for part in ("train", "validation", "test")}
    facts = {"settings": settings, "names": list(scene.objects.names), "objects": counts}
    progress = Progress(folder, _specification(request, world, settings, scene.digest))

    def kept() -> str:
        return f"{len(progress.trainings)} of {request.trainings} trainings are in {folder}"

    if progress.resumed:
        report(f"{kept()} already")
    job = _Job(request, world, model, progress)
    steps = (request.trainings - len(progress.trainings)) * request.recipe.steps
    with nullcontext() if folder is None else keeping(kept), counting("steps", steps, "steps/s") as advance:
        try:
            for learner, replicate in request.runs():
                job.finish(learner, replicate, advance)
        except torch.OutOfMemoryError:
            raise RunError(f"{request.device} ran out of memory; a smaller --batch-size takes less") from None
    return progress, facts


def _look_for_photos(world: World) -> int:
    """Number of objects in a folder of COCO, counted before the model is downloaded; 0 for other sources.

    Raises RequestError for an incomplete folder.
    """
    if world.views.objects != "coco":
        return 0
    try:
        return len(instances(world.views.root, world.classes, world.views.categories)[1])
    except ValueError as error:
        raise RequestError(str(error)) from None


def _refuse_too_many(count: int, side: int) -> None:
    """Raise RequestError if the pictures, at the model's size, do not fit into memory at once."""
    most = MOST_HELD // (4 * side**2)
    if count > most:
        raise RequestError(
            f"--root has {count:,} objects, and at the model's {side} pixels at most {most:,} fit into memory; use an "
            "instances.json that names fewer images, such as val2017's"
        )


def _specification(request: FineTuning, world: World, settings: dict[str, Any], pictures: str) -> dict[str, Any]:
    """All that the numbers depend on: the content of the pictures, but not their folder."""
    fields = world.model_dump(mode="json")
    fields["views"] = {name: value for name, value in fields["views"].items() if name not in ("root", "photos")}
    recipe = {name: getattr(request.recipe, name) for name in ("n", *FIXED)}
    return {
        "model": settings["weights_hash"],
        "activation": settings["activation"],
        "world": fields,
        "pictures": pictures,
        "learners": list(request.learners),
        "grid": request.grid(),
        "recipe": recipe,
        "replicates": request.replicates,
        "seed": request.seed,
        "device": torch.device(request.device).type,
        "torch": versions()["torch"],
    }


class _Job:
    """A pretrained model, its fine-tuning and the progress."""

    def __init__(self, request: FineTuning, world: World, model: Pretrained, progress: Progress):
        self.request, self.world, self.model, self.progress = request, world, model, progress
        self.scene = read_pictures(world)
        self.tokens = tuning.caption_tokens(model, self.scene)
        self.untouched = tuning.state(model, None)

    def finish(self, learner: str, replicate: int, advance: Callable[[int], None]) -> None:
        """Train all points of the grid, choose one and test it, as far as that is not done yet."""
        whose = {"learner": learner, "replicate": replicate}
        if any(_matches(row, whose) for row in self.progress.tests):
            return
        if LEARNERS[learner].loss is None:
            tuning.restore(self.model, None, self.untouched)
            self.progress.add_test({**whose, "validation": self._validation(None), **self._test(None)})
            return
        world, stream = self.world.replace(mention_spu=LEARNERS[learner].mention_spu), f"train/{replicate}"
        pairs = tuning.pair_set(self.model, self.scene, world, self.request.recipe.n, self.request.seed, stream)
        rows = self._grid(whose, pairs, advance)
        best = choose([row["validation"] for row in rows])
        if best is None:
            self.progress.add_test({**whose, "validation": None, "accuracies": None})
            return
        point = {name: rows[best][name] for name in GRID}
        head = self._head(learner)
        weights = self.progress.weights_of({**whose, **point})
        if weights is None:  # the file is lost or damaged: train again, from the same streams
            self._train(head, whose, point, pairs, lambda steps: None)
        else:
            tuning.restore(self.model, head, weights)
        self.progress.add_test({**whose, **point, "validation": rows[best]["validation"], **self._test(head)})

    def _grid(self, whose: dict[str, Any], pairs: PairSet, advance: Callable[[int], None]) -> list[dict[str, Any]]:
        """A row per point of the grid, in its order; the weights of the best are saved."""
        rows: list[dict[str, Any]] = []
        for point in self.request.grid():
            training = {**whose, **point}
            row = next((row for row in self.progress.trainings if _matches(row, training)), None)
            if row is None:
                began, head = perf_counter(), self._head(whose["learner"])
                losses = self._train(head, whose, point, pairs, advance)
                finite = isfinite(losses[-1])
                ends = {"first_loss": losses[0], "last_loss": losses[-1]} if finite else {}
                row = {**training, **ends, "validation": self._validation(head) if finite else None}
                if choose([*(r["validation"] for r in rows), row["validation"]]) == len(rows):
                    self.progress.save_weights(training, tuning.state(self.model, head))
                self.progress.add_training({**row, "seconds": perf_counter() - began})
            rows.append(row)
        return rows

    def _train(self, head: Head | None, whose, point: Point, pairs: PairSet, advance) -> list[float]:
        tuning.restore(self.model, None, self.untouched)  # each training has a new head
        recipe = self.request.recipe_of(whose["learner"], point)
        return tuning.finetune(self.model, head, recipe, pairs, advance)

    def _head(self, learner: str) -> Head | None:
        if not LEARNERS[learner].head:
            return None
        pixels = torch.zeros(1, 3, *self.scene.objects.pixels.shape[2:], dtype=torch.uint8)
        with torch.no_grad():
            features = self.model.images(pixels).shape[1]
        return Head(features, self.world.classes).to(self.model.device)

    def _accuracies(self, head: Head | None, trial: Trial) -> dict[str, float]:
        predicted = tuning.predicted(self.model, head, self.tokens, trial).numpy()[None]
        return {group: float(value[0]) for group, value in groups.accuracies(self.world, trial, predicted).items()}

    def _validation(self, head: Head | None) -> float:
        """Accuracy under the training law, on objects of the validation part."""
        return self._accuracies(head, groups.trial(self.world, "validation", self.request.seed))["trained"]

    def _test(self, head: Head | None) -> dict[str, Any]:
        return {"accuracies": self._accuracies(head, groups.trial(self.world, "test", self.request.seed))}


def _matches(row: dict[str, Any], point: dict[str, Any]) -> bool:
    return all(row.get(name) == value for name, value in point.items())
