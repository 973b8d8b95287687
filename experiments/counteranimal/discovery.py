"""A CounterAnimal of one's own: the curation rule of [W] on any tree class/background/photos.

Per class one model's best background becomes common and its worst one counter (`backgrounds`); the naive drop stands
beside the honest one, and each class has a test of "the background has no effect", corrected for their number.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.counteranimal.asking import Asking
from experiments.counteranimal.backgrounds import (
    PERMUTATIONS,
    SMALLEST_CELL,
    SPLITS,
    Cells,
    cells_of,
    checked_minimum,
    honest_drop,
    naive_drop,
    permutation_p,
)
from experiments.counteranimal.metrics import REPLICATES
from experiments.counteranimal.photos.groups import EACH
from experiments.counteranimal.photos.names import indexed
from experiments.counteranimal.photos.reading import read_tree
from experiments.counteranimal.photos.tree import GROUPS, Folder, Photo, Tree
from experiments.counteranimal.scoring import NO_ANSWER, predict
from experiments.errors import RequestError, RunError, checked_seed
from experiments.files import output_folder, write_json, write_table
from experiments.inference import LEVEL, benjamini_hochberg, bootstrap_interval, holm, resamples
from simulator.streams import numpy_stream

ALPHA = 0.05  # at which a class's background has an effect, after Holm's correction


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """A request: choose backgrounds in this tree by the one model that is asked, and build a tree below `output`."""

    data: Path
    asking: Asking
    min_photos: int = SMALLEST_CELL
    seed: int = 0
    output: Path


def run(request: Discovery, note: Callable[[str], None] = lambda sentence: None) -> dict[str, Any]:
    """The document of `discover`, and on disk tree/, discovered.csv and discovered.json.

    Raises RequestError for a wrong request, before anything is written, and RunError where the run fails.
    """
    checked_seed(request.seed)
    checked_minimum(request.min_photos)
    asking = request.asking
    tree = read_tree(request.data, EACH, asking.vocabulary)
    if not isinstance(tree.files, Folder) or not tree.root.is_dir():
        raise RequestError(
            f"--data {str(request.data)!r} is no folder class/background/photos, of which links are made"
        )
    target = request.output / "tree"
    _refuse_existing(target)
    output_folder(request.output)
    asked = asking.ask(tree, asking.model())
    model, encoded = asked.model, asked.encoded
    predictions = predict(tree, encoded, asked.score, asking.vocabulary.every_label)
    photos = [photo for photo in tree.photos if photo.path in encoded.keys]
    document = discover(tree, photos, predictions.correct, request.min_photos, request.seed)
    document["skipped"] = [{"path": path, "reason": reason} for path, reason in encoded.unreadable.items()]
    document["unanswered"] = int((predictions.predicted == NO_ANSWER).sum())  # counted as wrong
    document["model"] = {"spec": model.spec, **asking.settings(model)}
    document["links"] = link_tree(tree, photos, document, target)
    rows = document["classes"]
    write_table(request.output / "discovered.csv", rows[0].keys(), (row.values() for row in rows))
    write_json(request.output / "discovered.json", document)
    for shard in encoded.cache.damaged:
        note(f"a damaged cache shard was ignored and its photos computed again: {shard}")
    return document


def permutations_for(classes: int) -> int:
    """How many permutations a class needs so that Holm's correction over `classes` can reject at ALPHA.

    The least p-value of R permutations is 1/(R + 1); multiplied by the number of classes it is half of ALPHA here.

    >>> permutations_for(45), permutations_for(501)
    (9999, 20039)
    """
    return max(PERMUTATIONS, round(2 * classes / ALPHA) - 1)


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise RequestError(f"{str(target)!r} exists already; choose another --output or remove it")


def discover(
    tree: Tree, photos: list[Photo], correct: np.ndarray, smallest: int = SMALLEST_CELL, seed: int = 0
) -> dict[str, Any]:
    """Choose backgrounds for every class with two that are large enough; plain JSON.

    Overall drops are means over the chosen classes; intervals resample classes (expanded percentiles).
    """
    every = cells_of(photos, correct, smallest)
    usable = [cells for cells in every if len(cells.backgrounds) >= 2]
    if not usable:
        raise RequestError(
            f"no class has two backgrounds of {smallest} photos or more; lower --min-photos (2 is the least)"
        )
    permutations = permutations_for(len(usable))
    p = np.array([permutation_p(c, numpy_stream(seed, "permutations", c.class_index), permutations) for c in usable])
    adjusted = {"p_holm": holm(p), "p_bh": benjamini_hochberg(p)}
    classes = [
        _class_record(tree, cells, seed) | {"p_value": float(p[i]), **{n: float(v[i]) for n, v in adjusted.items()}}
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


def _class_record(tree: Tree, cells: Cells, seed: int) -> dict[str, Any]:
    best, worst, naive = naive_drop(cells)
    return {
        "class_index": cells.class_index,
        "folder": tree.classes[cells.class_index],
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


def link_tree(tree: Tree, photos: list[Photo], found: dict[str, Any], target: Path) -> int:
    """Write the chosen groups as links in CounterAnimal's layout; returns how many. Appears whole or not at all.

    Raises RequestError if `target` exists, RunError where the file system makes no links.
    """
    _refuse_existing(target)
    chosen = {
        (c["class_index"], c[f"{group}_background"]): (c["folder"], f"{group}-{c[f'{group}_background']}")
        for c in found["classes"]
        for group in GROUPS
    }
    links = 0
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        build = Path(scratch) / "tree"
        try:
            for photo in photos:
                place = chosen.get((photo.class_index, photo.background))
                if place is None:
                    continue
                folder = build / (place[0] if tree.own else indexed(place[0], photo.class_index)) / place[1]
                folder.mkdir(parents=True, exist_ok=True)
                os.symlink((tree.root / photo.path).resolve(), folder / Path(photo.path).name)
                links += 1
            os.replace(build, target)
        except OSError as error:
            raise RunError(f"{str(target)!r} could not be written: {error.strerror or error}") from error
    return links
