"""The selection rule of [W] on the user's own photos, in any layout with backgrounds.

For each class [W] selects two backgrounds: common has one model's highest accuracy, counter its
lowest. On the same photos this drop is positive even if backgrounds have no effect, because it
compares extremes of noisy accuracies. The honest drop selects on one half of the photos and
measures on the other. If the photos of a background are exchangeable, it is unbiased for
backgrounds that are selected on half of the photos. Each class has a test of "the background has no
effect", corrected for the number of classes.

Letters: B backgrounds of one class, n photos and k correct answers on each, S splits, R
permutations.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int
from scipy.stats import false_discovery_control

from experiments.errors import RequestError, check_within, checked_seed
from experiments.files import output_folder, write_json, write_table
from experiments.heads.intervals import REPLICATES
from experiments.inference import bootstrap_interval, holm, resamples
from experiments.photos.metrics import cells
from experiments.photos.models import load, resolve, score, settings_of
from experiments.photos.options import Options
from experiments.photos.photos import EACH, read_photos
from experiments.photos.scoring import NO_ANSWER, predict
from experiments.results import GROUPS
from simulator.accuracy import LEVEL
from simulator.streams import numpy_stream

ALPHA = 0.05  # level at which a class's background has an effect, after Holm's correction
SPLITS = 200
PERMUTATIONS = 9999
SMALLEST_CELL = 20  # photos per background; half of them must still give an accuracy
Numbers = Int[np.ndarray, " B"]


def run(
    *,
    data: Path,
    model: str,
    weights: Path | None = None,
    options: Options,
    min_photos: int = SMALLEST_CELL,
    seed: int = 0,
    output: Path,
) -> dict[str, Any]:
    """The document of `discover`; writes discovered.csv, discovered.json and discovered-groups.csv,
    for --groups.
    """
    checked_seed(seed)
    check_within("--min-photos", min_photos, 2, np.inf)  # one photo cannot be halved
    ((spec, file),) = resolve([model], weights and [weights], options)
    photo_set = read_photos(data, EACH, options.vocabulary)
    output_folder(output)
    loaded = load(spec, file, options)
    scored = score(photo_set, loaded, options)
    predictions = predict(scored, options.vocabulary.every_label)
    document = discover(predictions, photo_set.classes, min_photos, seed)
    document["skipped"] = scored.skipped
    # counted as wrong
    document["unanswered"] = int((predictions.predicted_index == NO_ANSWER).sum())
    document["model"] = {"spec": loaded.spec, **settings_of(loaded, options)}
    rows = document["classes"]
    groups = [(c["folder"], c[f"{group}_background"], group) for c in rows for group in GROUPS]
    write_table(output / "discovered-groups.csv", ("class", "background", "group"), groups)
    write_table(output / "discovered.csv", rows[0].keys(), (row.values() for row in rows))
    write_json(output / "discovered.json", document)
    return document


def discover(
    predictions: pd.DataFrame, folders: dict[int, str], smallest: int = SMALLEST_CELL, seed: int = 0
) -> dict[str, Any]:
    """Select backgrounds in every class with two or more of `smallest` photos; drops are means over
    these classes.
    """
    table = cells(predictions, "class_index", "background")
    large = table[table.photos >= smallest]
    usable = [(int(index), part) for index, part in large.groupby("class_index") if len(part) >= 2]
    if not usable:
        lacks = f"no class has two backgrounds of {smallest} photos or more"
        raise RequestError(f"{lacks}; lower --min-photos (at least 2)")
    # So many that Holm's correction over these classes can reject at ALPHA.
    permutations = max(PERMUTATIONS, round(2 * len(usable) / ALPHA) - 1)
    classes = [
        _class_record(index, part, folders[index], seed, permutations) for index, part in usable
    ]
    p = np.array([c["p_value"] for c in classes])
    for record, p_holm, p_bh in zip(
        classes, holm(p).tolist(), false_discovery_control(p).tolist(), strict=True
    ):
        record |= {"p_holm": p_holm, "p_bh": p_bh}
    return {
        "classes": classes,
        "naive": _overall([c["naive_drop"] for c in classes], seed),
        "honest": _overall([c["honest_drop"] for c in classes], seed),
        "left_out": sorted({*table.class_index.tolist()} - {index for index, _ in usable}),
        "min_photos": smallest,
        "splits": SPLITS,
        "permutations": permutations,
        "least_p_holm": len(usable) / (permutations + 1),
        "background_effects": sum(c["p_holm"] < ALPHA for c in classes),
    }


def _class_record(
    index: int, table: pd.DataFrame, folder: str, seed: int, permutations: int
) -> dict[str, Any]:
    """The extremes of one class: the first of the most accurate backgrounds, and the last of the
    least accurate.
    """
    n = table.photos.to_numpy()
    k = table.correct.to_numpy()
    common = table.loc[table.accuracy.idxmax()]
    # the last, so that both differ even if all accuracies are equal
    counter = table.loc[table.accuracy[::-1].idxmin()]
    extremes = dict(zip(GROUPS, (common, counter), strict=True))
    return {
        "class_index": index,
        "folder": folder,
        **{f"{group}_background": row.background for group, row in extremes.items()},
        **{f"n_{group}": int(row.photos) for group, row in extremes.items()},
        **{group: float(row.accuracy) for group, row in extremes.items()},
        "naive_drop": float(common.accuracy - counter.accuracy),
        "honest_drop": honest_drop(n, k, numpy_stream(seed, "splits", index)),
        "backgrounds": len(table),
        "p_value": permutation_p(n, k, numpy_stream(seed, "permutations", index), permutations),
    }


def honest_drop(n: Numbers, k: Numbers, rng: np.random.Generator, splits: int = SPLITS) -> float:
    """Mean drop over random halvings: selected on one half and measured on the other, in both
    directions.
    """
    half = n // 2  # of a background's photos; only counts are drawn
    first = rng.hypergeometric(k, n - k, half, size=(splits, len(n)))  # (S, B)
    accuracy = np.stack([first / half, (k - first) / (n - half)])  # (2, S, B)
    jitter = 1e-9 * rng.random(accuracy.shape)  # unequal accuracies differ by far more
    best = (accuracy + jitter).argmax(axis=2)[..., None]
    worst = (accuracy - jitter[..., ::-1]).argmin(axis=2)[..., None]
    other = accuracy[::-1]
    return float((np.take_along_axis(other, best, 2) - np.take_along_axis(other, worst, 2)).mean())


def permutation_p(
    n: Numbers, k: Numbers, rng: np.random.Generator, permutations: int = PERMUTATIONS
) -> float:
    """P-value of "the background has no effect" in one class: Pearson's chi-squared under permuted
    backgrounds.
    """
    total = int(k.sum())
    expected = n * k.sum() / n.sum()

    # chi-squared, but for the variance of an answer, which is that of all permutations
    def statistic(k):
        return ((k - expected) ** 2 / n).sum(axis=-1)

    # Under permuted backgrounds the correct answers per background are multivariate hypergeometric.
    permuted = rng.multivariate_hypergeometric(n, total, size=permutations, method="marginals")
    # Equal statistics must tie; they differ by rounding of order 1e-13 at most.
    extreme = (statistic(permuted) >= statistic(k) - 1e-9).sum()
    return float((1 + extreme) / (1 + permutations))


def _overall(drops: list[float], seed: int) -> dict[str, Any]:
    values = np.array(drops)
    replicates = (
        resamples(len(values), REPLICATES, numpy_stream(seed, "class bootstrap"))
        @ values
        / len(values)
    )
    interval = bootstrap_interval(replicates, len(values))
    return {"drop": float(values.mean()), "interval": interval and list(interval), "level": LEVEL}
