"""A fine-tuning run: train and validate each point of the grid, choose the best, and test only that
one.

All points of a learner and replicate are trained on the same pairs, and validated on other objects
under the training law. Test images are drawn after the choice. A folder holds

finetuning.json      specification, and the finished grids: each training with its validation, and
                     the test
result.json          the document that `soberclip finetune --json` prints
"""

import json
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from experiments.errors import RequestError, RunError
from experiments.files import check_writable, output_folder, read_json, write_json
from experiments.inference import interval95
from experiments.lab.config import check_same, read_pictures, world_from
from experiments.lab.finetuning import FIXED, LEARNERS
from experiments.lab.finetuning.spec import NAME, FineTuning, preset
from experiments.photos.models import load
from experiments.provenance import provenance, versions
from experiments.published.tables import coloured_objects
from experiments.runtime import keeping
from simulator.pixels import groups
from simulator.progress import counting
from simulator.towers import finetuning as tuning
from simulator.towers.finetuning import PairSet, Pretrained

LOADER = "open_clip"
FORMAT = 2  # of the progress. 2: whole grids
PROGRESS, RESULT = "finetuning.json", "result.json"
GROUPS = ("trained", "rand", "rev", "rest")  # where all classes are tied, counter is rev

Row = dict[str, Any]


def run(
    request: FineTuning,
    folder: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train, choose and test what the folder lacks. Returns the document of the result; accuracies
    are fractions.
    """
    if folder is not None and ":/" in str(folder):  # a Path keeps one of an address's two slashes
        raise RequestError(
            f"output {str(folder)!r} is an address; a fine-tuning needs a folder of this machine"
        )
    if folder is not None and _kept_progress(folder) is None:
        check_writable(folder, "finetune", [RESULT])
        check_writable(folder, "finetune", [PROGRESS], f'"format": {FORMAT},'.encode())
    job = _Job(request, folder)
    trainings, tests = job.progress["trainings"], job.progress["tests"]

    def kept() -> str:
        return f"{len(trainings)} of {request.trainings} trainings are in {folder}"

    if trainings or tests:
        report(f"{kept()} already")
    steps = (request.trainings - len(trainings)) * request.recipes[0].steps
    with (
        nullcontext() if folder is None else keeping(kept),
        counting("steps", steps, "steps/s") as advance,
    ):
        try:
            for learner, replicate in request.runs():
                job.finish(learner, replicate, advance)
        except torch.OutOfMemoryError:
            raise RunError(
                f"{request.device} ran out of memory; a smaller --batch-size takes less"
            ) from None
    objects = job.scene.objects
    document = {
        "verb": "finetune",
        "design": {"name": NAME, "full": request.full, **preset().words},
        "model": request.model,
        "settings": job.settings,
        "names": list(objects.names),
        "objects": {
            part: objects.counts(part).tolist() for part in ("train", "validation", "test")
        },
        "specification": job.progress["specification"],
        "output": None if folder is None else str(folder),
        "trainings": trainings,
        "tests": tests,
        "accuracies": [row for learner in request.learners for row in means(learner, tests)],
        "printed": [row for row in coloured_objects() if row["learner"] in request.learners],
        "provenance": provenance(),
    }
    if folder is not None:
        write_json(folder / RESULT, document)
    return document


def means(learner: str, tests: list[Row]) -> list[Row]:
    """Per group the mean over the trainings that did not diverge, and its t interval on the same
    test objects.
    """
    own = [row["accuracies"] for row in tests if row["learner"] == learner]
    measured = [row for row in own if row is not None]
    rows = []
    for group in GROUPS:
        values = np.array([row[group] for row in measured if group in row])
        if values.size:
            ends = interval95(values) if np.ptp(values) > 0 else None
            count = {"replicates": values.size, "diverged": len(own) - len(measured)}
            rows.append(
                {
                    "learner": learner,
                    "group": group,
                    "mean": float(values.mean()),
                    "interval": ends,
                    **count,
                }
            )
    return rows


def _kept_progress(folder: Path) -> dict[str, Any] | None:
    document = read_json(folder / PROGRESS)
    return document if isinstance(document, dict) and document.get("format") == FORMAT else None


def _pretrained(request: FineTuning) -> tuple[Pretrained, int, dict[str, Any]]:
    if not request.model.startswith(f"{LOADER}:"):
        raise RequestError(
            f"model {request.model!r} cannot be fine-tuned by captions here; finetune takes"
            f" {LOADER}:NAME[/TAG]"
        )
    loaded = load(request.model, request.weights)
    visual = loaded.module.visual
    height, width = np.broadcast_to(visual.image_size, 2).tolist()
    if height != width:
        raise RequestError(
            f"model {request.model!r} reads images of {height} x {width}, expected square images"
        )
    mean = tuple(map(float, visual.preprocess_cfg["mean"]))
    std = tuple(map(float, visual.preprocess_cfg["std"]))
    loaded.module.to(request.device)
    return Pretrained(loaded.module, loaded.tokenizer, mean, std), height, loaded.settings


class _Job:
    """A pretrained model, its pictures and the progress."""

    def __init__(self, request: FineTuning, folder: Path | None):
        self.request, self.folder = request, folder
        self.model, side, self.settings = _pretrained(request)
        views = {**request.world.views.model_dump(exclude_unset=True), "size": side}
        self.world = world_from(
            None, {**request.world.model_dump(exclude_unset=True), "views": views}
        )
        self.scene = read_pictures(self.world)
        self.tokens = tuning.caption_tokens(self.model, self.scene)
        self.untouched = deepcopy(self.model.module.state_dict())
        specification = json.loads(json.dumps(self._specification()))
        self.progress = {
            "format": FORMAT,
            "specification": specification,
            "trainings": [],
            "tests": [],
        }
        if folder is not None:
            self.progress = _kept_progress(output_folder(folder)) or self.progress
            check_same(str(folder), "fine-tuning", self.progress["specification"], specification)

    def _specification(self) -> dict[str, Any]:
        """All that the numbers depend on: the content of the pictures, but not their folder."""
        request = self.request
        fields = self.world.model_dump(mode="json")
        fields["views"] = {
            name: value for name, value in fields["views"].items() if name not in ("root", "photos")
        }
        return {
            "model": self.settings["weights_hash"],
            "activation": self.settings["activation"],
            "world": fields,
            "pictures": self.scene.digest,
            "learners": list(request.learners),
            "grid": request.grid(),
            "recipe": {name: getattr(request.recipes[0], name) for name in ("n", *FIXED)},
            "replicates": request.replicates,
            "seed": request.seed,
            "device": torch.device(request.device).type,
            "torch": versions()["torch"],
        }

    def finish(self, learner: str, replicate: int, advance: Callable[[int], None]) -> None:
        """Train all points of the grid, choose one and test it, unless an earlier run did."""
        whose = {"learner": learner, "replicate": replicate}
        if any(whose.items() <= row.items() for row in self.progress["tests"]):
            return
        trainings, test = self._grid(learner, replicate, advance)
        self.progress["trainings"] += [whose | row for row in trainings]
        self.progress["tests"].append(whose | test)
        if self.folder is not None:
            write_json(self.folder / PROGRESS, self.progress)

    def _grid(
        self, learner: str, replicate: int, advance: Callable[[int], None]
    ) -> tuple[list[Row], Row]:
        """Each training of a grid, and the test of the best: the first with the highest validation
        accuracy.
        """
        loss, mention = LEARNERS[learner]
        if loss is None:
            self.model.module.load_state_dict(self.untouched)
            validation = self._accuracies(None, "validation")["trained"]
            return [], {"validation": validation, "accuracies": self._accuracies(None, "test")}
        request = self.request
        world = self.world.replace(mention_spu=mention)
        pairs = PairSet(
            self.scene, self.tokens, world, request.recipes[0].n, request.seed, f"train/{replicate}"
        )
        rows: list[Row] = []
        best, chosen = -1.0, None
        for recipe, point in zip(request.recipes, request.grid(), strict=True):
            began = perf_counter()
            self.model.module.load_state_dict(self.untouched)
            head = (
                tuning.zero_head(self.model, self.world.classes) if loss == "supervised" else None
            )
            losses = tuning.finetune(
                self.model, head, recipe.model_copy(update={"loss": loss}), pairs, advance
            )
            finite = isfinite(losses[-1])
            ends = {"first_loss": losses[0], "last_loss": losses[-1]} if finite else {}
            # under the training law
            validation = self._accuracies(head, "validation")["trained"] if finite else None
            rows.append(
                {**point, **ends, "validation": validation, "seconds": perf_counter() - began}
            )
            if validation is not None and validation > best:
                best = validation
                chosen = (point, head, deepcopy(self.model.module.state_dict()))
        if chosen is None:
            return rows, {"validation": None, "accuracies": None}
        point, head, weights = chosen
        self.model.module.load_state_dict(weights)
        return rows, {**point, "validation": best, "accuracies": self._accuracies(head, "test")}

    def _accuracies(self, head: torch.nn.Linear | None, part: str) -> dict[str, float]:
        """Accuracies by group on the objects of a part."""
        trial = groups.trial(self.world, part, self.request.seed)
        shares = np.eye(self.world.classes)[
            tuning.predicted(self.model, head, self.tokens, trial).numpy()
        ][None]
        return {
            group: float(value[0])
            for group, value in groups.accuracies(self.world, trial, shares).items()
        }
