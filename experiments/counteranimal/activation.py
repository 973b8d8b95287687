"""Which activation do these weights want? A CLIP asked twice, with GELU and with QuickGELU, photo by photo.

OpenAI's CLIPs and some of their successors were trained with QuickGELU, x sigmoid(1.702 x), the others with GELU, and a
weights file does not say which. With the wrong one a model runs, is worse, and no table shows it. Here the two are
compared on the same photos: by accuracy, and by alignment, how far the cosine of a photo with its own class lies above
its cosines with all labels, in their standard deviations. The printed figures of the checkpoint, where the paper has
it, stand beside both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.counteranimal.asking import CLIPS, Asking
from experiments.counteranimal.encoding import Encoded
from experiments.counteranimal.loaded import Activation, Model
from experiments.counteranimal.metrics import REPLICATES, certainty
from experiments.counteranimal.photos.groups import PREFIX
from experiments.counteranimal.photos.reading import read_tree
from experiments.counteranimal.photos.tree import GROUPS, Tree
from experiments.counteranimal.scoring import Scorer, predict, scored
from experiments.counteranimal.summaries import summarise
from experiments.errors import RequestError, RunError, checked_seed
from experiments.files import output_folder, write_json
from experiments.inference import LEVEL, resamples
from simulator.streams import numpy_stream

FLAGS: dict[str, Activation] = {"GELU": "off", "QuickGELU": "on"}
ROUNDED = 1e-4  # accuracies are printed to a hundredth of a point
QUANTITIES = ("alignment", "accuracy")  # the first decides, unless the second says otherwise


@dataclass(frozen=True, kw_only=True)
class Audit:
    """A request: each of these CLIPs with both activations on these photos."""

    data: Path
    asking: Asking
    groups: str = PREFIX
    seed: int = 0
    output: Path | None = None


def run(request: Audit) -> list[dict[str, Any]]:
    """A document for each model, and all of them in output/activation.json.

    Raises RequestError for a wrong request, models without either activation among them, and RunError where the run
    fails.
    """
    checked_seed(request.seed)
    asking = request.asking
    tree = read_tree(request.data, request.groups, asking.vocabulary)
    if not tree.grouped:
        raise RequestError(f"the audit needs common and counter photos, and {str(request.data)!r} has no groups")
    for spec in asking.specs:
        if not spec.startswith(CLIPS):
            raise RequestError(f"{spec!r} is no CLIP of open_clip: or hf:, whose activation could be another one")
    documents = [_audited(request, tree, spec, k) for k, spec in enumerate(asking.specs)]
    if request.output is not None:
        write_json(output_folder(request.output) / "activation.json", documents)
    return documents


def _audited(request: Audit, tree: Tree, spec: str, k: int) -> dict[str, Any]:
    one = replace(request.asking, models=[spec], weights=request.asking.weights and [request.asking.weights[k]])
    usual = one.model()
    own = "QuickGELU" if "QuickGELU" in usual.settings["activation"] else "GELU"
    (other,) = (name for name in FLAGS if name != own)
    exchanged = replace(one, quick_gelu=FLAGS[other])
    model = exchanged.model()
    if model.settings["activation"] == usual.settings["activation"]:
        raise RequestError(
            f"{spec!r} has no GELU that could be exchanged; its activation is {usual.settings['activation']} either way"
        )
    both = {own: (one, usual), other: (exchanged, model)}
    found = {name: _asked(request, tree, *both[name]) for name in FLAGS}
    values = {name: measured for name, (_, measured) in found.items()}
    compared = {
        quantity: difference(values["QuickGELU"][quantity] - values["GELU"][quantity], request.seed)
        for quantity in QUANTITIES
    }
    return {
        "model": spec,
        "fits": fits(compared),
        "loaded_with": own,
        "activations": {name: document for name, (document, _) in found.items()},
        "published": nearer({name: document for name, (document, _) in found.items()}),
        "difference": compared,
        "level": LEVEL,
    }


def _asked(
    request: Audit, tree: Tree, asking: Asking, model: Model
) -> tuple[dict[str, Any], dict[str, Float[np.ndarray, " C"]]]:
    """(what the screen shows of one activation, class means of both quantities)."""
    asked, space = asking.ask(tree, model), asking.vocabulary.every_label
    predictions = predict(tree, asked.encoded, asked.score, space)
    settings = asking.settings(model) | {"labels": space.name, "data": str(request.data)}
    document, _ = summarise("activation", model.spec, model.family, predictions, settings, request.seed)
    above = alignment(tree, asked.encoded, asked.score)
    if not np.isfinite(above).all():
        lost = int((~np.isfinite(above)).sum())
        raise RunError(f"{model.spec} has no finite score for {lost} photos; another --precision may give numbers")
    each = {"alignment": above, "accuracy": predictions.correct.astype(float)}
    printed = (document["standing"] or {}).get("printed")
    shown = {
        **{group: document["macro"][group] for group in GROUPS},
        "intervals": {group: document["intervals"]["macro"][group] for group in GROUPS},
        "alignment": float(_class_means(predictions.class_index, above).mean()),
        "activation": model.settings["activation"],
        "printed": printed,
        "off_printed": None if printed is None else {g: document["macro"][g] - printed[g] for g in GROUPS},
    }
    return shown, {name: _class_means(predictions.class_index, value) for name, value in each.items()}


def alignment(tree: Tree, encoded: Encoded, score: Scorer) -> Float[np.ndarray, " N"]:
    """(cosine with the own class - mean over labels)/standard deviation over labels, of every readable photo."""
    parts: list[np.ndarray] = []
    for photos, scores in scored(tree, encoded, score):
        s = scores.astype(np.float64)
        own = s[np.arange(len(s)), [photo.class_index for photo in photos]]
        parts.append((own - s.mean(axis=1)) / s.std(axis=1))
    return np.concatenate(parts)


def _class_means(classes: np.ndarray, values: np.ndarray) -> Float[np.ndarray, " C"]:
    _, where = np.unique(classes, return_inverse=True)
    return np.bincount(where, values) / np.bincount(where)


def difference(classes: Float[np.ndarray, " C"], seed: int) -> dict[str, Any]:
    """Mean over classes of QuickGELU minus GELU, its cluster-bootstrap interval (None without spread), a sign test."""
    C = len(classes)
    drawn = resamples(C, REPLICATES, numpy_stream(seed, "activation bootstrap")) @ classes / C
    return {"mean": float(classes.mean()), **certainty(classes, drawn)}


def nearer(activations: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """Which activation explains the printed row of these weights: the one whose accuracies lie nearer to it.

    `distance` is Euclidean over both groups; `nearer` is None where both are within ROUNDED of equally far. None where
    no row is printed. It speaks of the paper's photos: on others both activations may be far from it.
    """
    if any(found["off_printed"] is None for found in activations.values()):
        return None
    distance = {name: float(np.hypot(*found["off_printed"].values())) for name, found in activations.items()}
    near, far = sorted(distance, key=distance.__getitem__)
    told = distance[far] - distance[near] > ROUNDED
    return {
        "model": activations[near]["printed"]["model"],
        "nearer": near if told else None,
        "distance": distance,
    }


def fits(compared: dict[str, dict[str, Any]]) -> str | None:
    """The activation that the photos speak for; None where alignment does not tell, or accuracy tells otherwise."""
    sides = [_side(compared[quantity]["interval"]) for quantity in QUANTITIES]
    if sides[0] == 0 or sides[0] * sides[1] < 0:
        return None
    return "QuickGELU" if sides[0] > 0 else "GELU"


def _side(interval: Sequence[float] | None) -> int:
    """Sign of all values of an interval, 0 where it has both or there is none."""
    return 0 if interval is None else int(interval[0] > 0) - int(interval[1] < 0)
