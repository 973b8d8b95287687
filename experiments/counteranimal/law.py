"""Does the theory's law hold for these models' embeddings, on these photos, and does its t rank them?

The claim joins the docket's language: it is about whatever photos the user gives. A CLIP's features are unit vectors
and are taken as they are, since its rule sees no others: the Gaussian is that of its cosines with the labels' prompts;
a classifier's is that of its logits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from experiments.counteranimal.asking import Asking
from experiments.counteranimal.encoding import Encoded
from experiments.counteranimal.fidelity import ALPHA, REDRAWN, assess
from experiments.counteranimal.gaussian import Scores
from experiments.counteranimal.labels import LabelSpace, own_classes
from experiments.counteranimal.photos.reading import read_tree
from experiments.counteranimal.photos.tree import Photo, Tree
from experiments.counteranimal.scoring import Scorer, scored
from experiments.errors import RequestError, RunError, checked_seed
from experiments.files import output_folder, write_json, write_table
from experiments.provenance import provenance

STATEMENT = "scores are those of class plus background plus one Gaussian: the theory's law holds for these embeddings"
MANY, FEWER = 200, 20  # labels beyond which a fit takes seconds, and how often it is repeated then
COLUMNS = ("model", "class_index", "class", "group", "photos", "predicted", "measured", "standard_error")


@dataclass(frozen=True, kw_only=True)
class LawRequest:
    """Judge the law for each of these models on these photos, among the labels in the data or among all."""

    data: Path
    asking: Asking
    groups: str = "prefix"
    labels: Literal["data", "all"] = "data"
    tolerance: float = 0.03
    seed: int = 0
    output: Path


def run(request: LawRequest, note: Callable[[str], None] = lambda sentence: None) -> dict[str, Any]:
    """The verdict of each model and the ranking, also in output/law.json, law.csv and law.svg, .pdf and .png.

    Raises RequestError for a wrong request or photos that cannot judge the law, RunError where the run fails.
    """
    checked_seed(request.seed)
    if not 0 < request.tolerance < 1:
        nearest = "0.001" if request.tolerance <= 0 else "0.5"
        raise RequestError(
            f"tolerance {request.tolerance:g} lies outside 0 < tolerance < 1, of accuracies; a valid one is {nearest}"
        )
    if find_spec("sklearn") is None:
        raise RequestError(
            "the law's covariance needs scikit-learn, which is not installed; in the checkout run: python -m pip "
            "install -e '.[pixels]'"
        )
    asking = request.asking
    tree = read_tree(request.data, request.groups, asking.vocabulary)
    if not tree.grouped:
        raise RequestError(f"the law needs common and counter photos, and {str(request.data)!r} has no groups")
    space = own_classes(list(tree.classes)) if request.labels == "data" else asking.vocabulary.every_label
    output_folder(request.output)
    models = []
    for k, spec in enumerate(asking.specs):
        asked = asking.ask(tree, asking.model(k))
        found = judge(tree, asked.encoded, asked.score, space, request.tolerance, request.seed)
        seen = "cosines of unit vectors with prompts" if asked.model.family == "CLIP" else "logits"
        known = {"model": spec, "family": asked.model.family, "scores": seen}
        models.append(known | found | {"settings": asking.settings(asked.model)})
        if found["unanswered"]:
            note(f"{spec} has no finite score for {found['unanswered']} photos; they are left out")
    document = {
        "statement": STATEMENT,
        "data": str(request.data),
        "labels": request.labels,
        "tolerance": request.tolerance,
        "alpha": ALPHA,
        "seed": request.seed,
        "models": models,
        "ranking": ranking(models),
        "provenance": provenance(),
    }
    write(request.output, document)
    return document


def judge(
    tree: Tree, encoded: Encoded, score: Scorer, space: LabelSpace, tolerance: float, seed: int
) -> dict[str, Any]:
    """`fidelity.assess` of one model, with its classes by index and name.

    Raises RequestError for fewer than two labels, labels that depend on the answer, or photos that cannot judge.
    """
    photos, labels, unanswered = _scores(tree, encoded, score, space)
    try:
        document = assess(photos, tolerance, seed, REDRAWN if len(labels) <= MANY else FEWER)
    except ValueError as error:
        raise RequestError(f"the photos in {str(tree.root)!r} cannot judge the law: {error}") from error
    for entry in document["classes"]:
        index = labels[entry.pop("label")]
        entry |= {"class_index": index, "class": tree.classes[index]}
    means = {name: group["measured"] for name, group in document["law"]["groups"].items()}
    return {**document, "labels": len(labels), "unanswered": unanswered, "drop": means["common"] - means["counter"]}


def _scores(tree: Tree, encoded: Encoded, score: Scorer, space: LabelSpace) -> tuple[Scores, list[int], int]:
    """(photos with finite scores, the labels of their columns, how many have none)."""
    photos: list[Photo] = []
    parts: list[np.ndarray] = []
    columns: np.ndarray | None = None
    for some, scores in scored(tree, encoded, score):
        mask = space.mask(np.array([photo.class_index for photo in some]), scores.shape[1])
        competing = np.arange(scores.shape[1]) if mask is None else np.flatnonzero(mask.all(axis=0))
        if mask is not None and not (mask == mask[:1]).all():
            raise RequestError("labels that depend on the true class are no rule to judge a law of; use --labels data")
        columns = competing if columns is None else columns
        photos += some
        parts.append(scores[:, columns].astype(np.float64))
    if columns is None:
        raise RunError(f"none of the {len(tree.photos)} photos in {str(tree.root)!r} could be read")
    if len(columns) < 2:
        raise RequestError(f"the law needs two labels at least; {str(tree.root)!r} has {len(columns)} class")
    values = np.concatenate(parts)
    finite = np.isfinite(values).all(axis=1)
    place = {label: k for k, label in enumerate(columns.tolist())}
    kept = [photo for photo, good in zip(photos, finite, strict=True) if good]
    known = Scores(
        values[finite],
        np.array([place[photo.class_index] for photo in kept], dtype=np.int64),
        _codes([photo.background or f"\0{photo.class_index} {photo.group}" for photo in kept]),
        np.array([photo.group == "common" for photo in kept]),
        _codes([f"{photo.class_index} {photo.object}" if photo.object else f"\0{photo.path}" for photo in kept]),
    )
    return known, columns.tolist(), int((~finite).sum())


def _codes(words: Sequence[str]) -> np.ndarray:
    """Numbers for names. A background without one is its class's and group's own, a photo without an object its own."""
    return np.unique(np.array(words, dtype=object), return_inverse=True)[1].astype(np.int64)


def ranking(models: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Whether t, from the fitted half, ranks the models as their drop on the other half: Kendall's tau, exact p.

    With five models or fewer no order can be told from chance at ALPHA, so it is undecided.
    """
    from scipy.stats import kendalltau

    known = [(m["reliance"]["t"], m["drop"]) for m in models if m["reliance"]["t"] is not None]
    found: dict[str, Any] = {"models": len(known), "tau": None, "p": None, "verdict": "undecided", "alpha": ALPHA}
    if len(known) < 2:
        return found
    tau, p = kendalltau(*zip(*known, strict=True))
    if np.isfinite(tau):
        told = p < ALPHA
        verdict = "undecided" if not told else "supported" if tau > 0 else "contradicted"
        found |= {"tau": float(tau), "p": float(p), "verdict": verdict}
    return found


def write(folder: Path, document: dict[str, Any]) -> None:
    """law.svg, .pdf, .png, law.csv with a row a model, class and group, and law.json, which comes last."""
    from experiments.counteranimal.compared import write_figure
    from experiments.counteranimal.law_plot import law_figure

    write_figure(folder / "law", law_figure(document))
    rows = [{"model": model["model"], **entry} for model in document["models"] for entry in model["classes"]]
    write_table(folder / "law.csv", COLUMNS, ([row[c] for c in COLUMNS] for row in rows))
    write_json(folder / "law.json", document)
