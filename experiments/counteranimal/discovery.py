"""A CounterAnimal of the user's own photos: the selection rule of [W] on a tree class/background/photos.

Per class, one model's best background becomes common and its worst one counter. The naive drop is reported with the
honest one, and each class has a test of "the background has no effect", corrected for the number of classes.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.counteranimal.backgrounds import (
    PERMUTATIONS,
    SMALLEST_CELL,
    SPLITS,
    Cells,
    cells_of,
    check_minimum,
    honest_drop,
    naive_drop,
    permutation_p,
)
from experiments.counteranimal.class_names import indexed
from experiments.counteranimal.layouts import Folder
from experiments.counteranimal.metrics import REPLICATES, Predictions
from experiments.counteranimal.model_config import ModelConfig
from experiments.counteranimal.photos import EACH, GROUPS, PhotoSet, read_photos
from experiments.counteranimal.scoring import NO_ANSWER, predict
from experiments.errors import RequestError, RunError, checked_seed
from experiments.files import output_folder, write_json, write_table
from experiments.inference import LEVEL, benjamini_hochberg, bootstrap_interval, holm, resamples
from simulator.streams import numpy_stream

ALPHA = 0.05  # level at which a class's background has an effect, after Holm's correction


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """A request: select backgrounds of these photos by one model, and build a tree below `output`."""

    data: Path
    model: ModelConfig
    min_photos: int = SMALLEST_CELL
    seed: int = 0
    output: Path


def run(request: Discovery, note: Callable[[str], None] = lambda sentence: None) -> dict[str, Any]:
    """The document of `discover`, and on disk tree/, discovered.csv and discovered.json.

    Raises RequestError for a wrong request, before anything is written, and RunError if the run fails.
    """
    checked_seed(request.seed)
    check_minimum(request.min_photos)
    config = request.model
    photo_set = read_photos(request.data, EACH, config.vocabulary)
    if not isinstance(photo_set.source, Folder) or not photo_set.root.is_dir():
        raise RequestError(
            f"--data {str(request.data)!r} is not a folder class/background/photos, to which links can be made"
        )
    target = request.output / "tree"
    _check_new(target)
    output_folder(request.output)
    model = config.load()
    scored = config.run(photo_set, model)
    predictions = predict(photo_set, scored, config.vocabulary.every_label)
    document = discover(predictions, photo_set.classes, request.min_photos, request.seed)
    document["skipped"] = [{"path": path, "reason": reason} for path, reason in scored.encoded.unreadable.items()]
    document["unanswered"] = int((predictions.predicted == NO_ANSWER).sum())  # counted as wrong
    document["model"] = {"spec": model.spec, **config.settings(model)}
    document["links"] = link_tree(photo_set, predictions, document["classes"], target)
    rows = document["classes"]
    write_table(request.output / "discovered.csv", rows[0].keys(), (row.values() for row in rows))
    write_json(request.output / "discovered.json", document)
    for shard in scored.encoded.damaged:
        note(f"a damaged cache shard was ignored and its photos computed again: {shard}")
    return document


def permutations_for(classes: int) -> int:
    """The number of permutations per class with which Holm's correction over `classes` can reject at ALPHA.

    The least p-value of R permutations is 1/(R + 1); times the number of classes it is half of ALPHA here.

    >>> permutations_for(45), permutations_for(501)
    (9999, 20039)
    """
    return max(PERMUTATIONS, round(2 * classes / ALPHA) - 1)


def _check_new(target: Path) -> None:
    if target.exists():
        raise RequestError(f"{str(target)!r} exists already; choose another --output or remove it")


def discover(
    predictions: Predictions, folders: dict[int, str], smallest: int = SMALLEST_CELL, seed: int = 0
) -> dict[str, Any]:
    """Select backgrounds for every class with two that are large enough; plain JSON.

    Overall drops are means over these classes; intervals resample classes (expanded percentiles).
    """
    every = cells_of(predictions, smallest)
    usable = [cells for cells in every if len(cells.backgrounds) >= 2]
    if not usable:
        raise RequestError(
            f"no class has two backgrounds of {smallest} photos or more; lower --min-photos (2 is the least)"
        )
    permutations = permutations_for(len(usable))
    p = np.array([permutation_p(c, numpy_stream(seed, "permutations", c.class_index), permutations) for c in usable])
    adjusted = {"p_holm": holm(p), "p_bh": benjamini_hochberg(p)}
    classes = [
        _class_record(cells, folders[cells.class_index], seed)
        | {"p_value": float(p[i]), **{n: float(v[i]) for n, v in adjusted.items()}}
        for i, cells in enumerate(usable)
    ]
    return {
        "classes": classes,
        "naive": _overall([c["naive_drop"] for c in classes], seed),
        "honest": _overall([c["honest_drop"] for c in classes], seed),
        "left_out": [c.class_index for c in every if len(c.backgrounds) < 2],
        "min_photos": smallest,
        "splits": SPLITS,
        "permutations": permutations,
        "least_p_holm": len(usable) / (permutations + 1),
        "background_effects": int((adjusted["p_holm"] < ALPHA).sum()),
    }


def _class_record(cells: Cells, folder: str, seed: int) -> dict[str, Any]:
    best, worst, naive = naive_drop(cells)
    return {
        "class_index": cells.class_index,
        "folder": folder,
        "common_background": cells.backgrounds[best],
        "counter_background": cells.backgrounds[worst],
        "n_common": int(cells.photos[best]),
        "n_counter": int(cells.photos[worst]),
        "common": float(cells.accuracy[best]),
        "counter": float(cells.accuracy[worst]),
        "naive_drop": naive,
        "honest_drop": honest_drop(cells, numpy_stream(seed, "splits", cells.class_index)),
        "backgrounds": len(cells.backgrounds),
    }


def _overall(drops: list[float], seed: int) -> dict[str, Any]:
    values = np.array(drops)
    drawn = resamples(len(values), REPLICATES, numpy_stream(seed, "class bootstrap")) @ values / len(values)
    interval = bootstrap_interval(drawn, len(values))
    return {"drop": float(values.mean()), "interval": None if interval is None else list(interval), "level": LEVEL}


def link_tree(photo_set: PhotoSet, predictions: Predictions, classes: list[dict[str, Any]], target: Path) -> int:
    """Write the selected groups as links in CounterAnimal's layout, atomically; returns the number of links.

    Raises RequestError if `target` exists, RunError if the file system does not support links.
    """
    _check_new(target)
    selected = {
        (c["class_index"], c[f"{group}_background"]): (c["folder"], f"{group}-{c[f'{group}_background']}")
        for c in classes
        for group in GROUPS
    }
    links = 0
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        build = Path(scratch) / "tree"
        try:
            photos = zip(predictions.path, predictions.class_index.tolist(), predictions.background, strict=True)
            for path, index, background in photos:
                if (index, background) not in selected:
                    continue
                name, place = selected[index, background]
                folder = build / (name if photo_set.own else indexed(name, index)) / place
                folder.mkdir(parents=True, exist_ok=True)
                os.symlink((photo_set.root / path).resolve(), folder / Path(path).name)
                links += 1
            os.replace(build, target)
        except OSError as error:
            raise RunError(f"{str(target)!r} could not be written: {error.strerror or error}") from error
    return links
