"""Tests whether the theory's law holds for models' scores on photos, and whether its t ranks the models.

The law is fitted to a CLIP's cosines (unit embeddings with prompts) or to a classifier's logits.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from experiments.counteranimal.figures import law_figure, write_figure
from experiments.counteranimal.gaussian_law import Scores
from experiments.counteranimal.labels import LabelSpace, own_classes
from experiments.counteranimal.law_test import ALPHA, REDRAWN, assess
from experiments.counteranimal.model_config import ModelConfig
from experiments.counteranimal.photos import PREFIX, PhotoSet, read_photos
from experiments.counteranimal.scoring import Scored
from experiments.errors import RequestError, checked_seed
from experiments.files import output_folder, write_json, write_table
from experiments.provenance import provenance

STATEMENT = "scores are class plus background plus one Gaussian: the theory's law holds for these embeddings"
MANY, FEWER = 200, 20  # above MANY labels a fit takes seconds; then there are FEWER bootstrap fits
COLUMNS = ("model", "class_index", "class", "group", "photos", "predicted", "measured", "standard_error")


def run(
    *,
    data: Path,
    models: ModelConfig,
    groups: str = PREFIX,
    labels: Literal["data", "all"] = "data",
    tolerance: float = 0.03,
    seed: int = 0,
    output: Path,
    note: Callable[[str], None] = lambda sentence: None,
) -> dict[str, Any]:
    """The verdict for each model and their ranking by t, also written below `output`."""
    checked_seed(seed)
    if not 0 < tolerance < 1:
        raise RequestError(f"tolerance {tolerance:g} of an accuracy lies outside 0 < tolerance < 1")
    if find_spec("sklearn") is None:
        raise RequestError(
            "the law's covariance needs scikit-learn, which is not installed; in the checkout run: python -m pip "
            "install -e '.[pixels]'"
        )
    photo_set = read_photos(data, groups, models.vocabulary)
    if not photo_set.grouped:
        raise RequestError(f"the law needs common and counter photos, and {str(data)!r} has no groups")
    space = own_classes(list(photo_set.classes)) if labels == "data" else models.vocabulary.every_label
    output_folder(output)
    tested = []
    for k, spec in enumerate(models.specs):
        model = models.load(k)
        verdict = judge(photo_set, models.run(photo_set, model, space), space, tolerance, seed)
        kind = "cosines of unit vectors with prompts" if model.family == "CLIP" else "logits"
        known = {"model": spec, "family": model.family, "scores": kind}
        tested.append(known | verdict | {"settings": models.settings(model)})
        if verdict["unanswered"]:
            note(f"{spec} has no finite score for {verdict['unanswered']} photos; they are left out")
    document = {
        "statement": STATEMENT,
        "data": str(data),
        "labels": labels,
        "tolerance": tolerance,
        "alpha": ALPHA,
        "seed": seed,
        "models": tested,
        "ranking": ranking(tested),
        "provenance": provenance(),
    }
    write_figure(output / "law", law_figure(document))
    rows = ({"model": model["model"], **entry} for model in tested for entry in model["classes"])
    write_table(output / "law.csv", COLUMNS, ([row[c] for c in COLUMNS] for row in rows))
    write_json(output / "law.json", document)
    return document


def judge(photo_set: PhotoSet, scored: Scored, space: LabelSpace, tolerance: float, seed: int) -> dict[str, Any]:
    """The result of `law_test.assess` for one model, with class indices and names."""
    photos, labels, unanswered = _scores(photo_set, scored, space)
    try:
        document = assess(photos, tolerance, seed, REDRAWN if len(labels) <= MANY else FEWER)
    except ValueError as error:
        raise RequestError(f"the law cannot be tested on {str(photo_set.root)!r}: {error}") from error
    for entry in document["classes"]:
        index = labels[entry.pop("label")]
        entry |= {"class_index": index, "class": photo_set.classes[index]}
    common, counter = (group["measured"] for group in document["law"]["groups"].values())
    return {**document, "labels": len(labels), "unanswered": unanswered, "drop": common - counter}


def _scores(photo_set: PhotoSet, scored: Scored, space: LabelSpace) -> tuple[Scores, list[int], int]:
    """(finite scores of photos, the label of each column, number of photos without finite scores)."""
    mask = space.mask(scored.truth, scored.scores.shape[1])
    if mask is not None and not (mask == mask[:1]).all():
        raise RequestError("the law needs labels that do not depend on the true class; use --labels data")
    columns = np.arange(scored.scores.shape[1]) if mask is None else np.flatnonzero(mask[0])
    if len(columns) < 2:
        raise RequestError(f"the law needs at least two labels; {str(photo_set.root)!r} has {len(columns)} class")
    values = scored.scores[:, columns].astype(np.float64)
    finite = np.isfinite(values).all(axis=1)
    kept = [photo for photo, good in zip(scored.photos, finite, strict=True) if good]
    # An unnamed background occurs in one class and group only; a photo without an object is its own object.
    table = Scores(
        values[finite],
        np.searchsorted(columns, [photo.class_index for photo in kept]),
        _codes([photo.background or f"\0{photo.class_index} {photo.group}" for photo in kept]),
        np.array([photo.group == "common" for photo in kept]),
        _codes([f"{photo.class_index} {photo.object}" if photo.object else f"\0{photo.path}" for photo in kept]),
    )
    return table, columns.tolist(), int((~finite).sum())


def _codes(words: Sequence[str]) -> np.ndarray:
    """An integer code for each distinct word."""
    return np.unique(np.array(words, dtype=object), return_inverse=True)[1]


def ranking(models: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Kendall's tau, with exact p, between models' t on the fitted half and their drop on the other half.

    With five models or fewer no order is significant at ALPHA, so the verdict is undecided.
    """
    from scipy.stats import kendalltau  # start-up time

    known = [(m["reliance"]["t"], m["drop"]) for m in models if m["reliance"]["t"] is not None]
    tau, p = kendalltau(*zip(*known, strict=True)) if len(known) > 1 else (np.nan, np.nan)
    if not np.isfinite(tau):
        return {"models": len(known), "tau": None, "p": None, "verdict": "undecided", "alpha": ALPHA}
    verdict = "undecided" if p >= ALPHA else "supported" if tau > 0 else "contradicted"
    return {"models": len(known), "tau": float(tau), "p": float(p), "verdict": verdict, "alpha": ALPHA}
