"""Comparison of results: lines of families of three models or more, each model over that of one,
pairs of models.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from experiments.effective_robustness import AXES, SMALLEST_FAMILY, Line, fit_line, resampled
from experiments.errors import RequestError, checked_seed
from experiments.heads import intervals
from experiments.heads.least_regret import middle, ranked
from experiments.inference import bootstrap_interval, combined, hull
from experiments.photos.metrics import class_counts
from experiments.photos.model import OWN
from experiments.photos.photos import has_groups
from experiments.photos.summaries import LARGEST, PREDICTIONS, SUMMARY, read_predictions
from experiments.published.tables import classwise, published_classes, published_rows
from experiments.results import FEWEST, GROUPS, Interval, Mean, Row
from simulator.accuracy import LEVEL, PLACE
from simulator.naming import suggestion
from simulator.streams import numpy_stream

UNPLACED = "the paper's tables and predictions of other programs hold no embeddings"
REPLICATES = 2000
MOST_PAIRED = 8  # models; more would give too many pairs to read


@dataclass(frozen=True)
class Result:
    """A row with, if known, its counts per class."""

    row: Row
    classes: pd.DataFrame | None = None
    # meaning of class indices; for the user's own classes a digest of their names
    vocabulary: str = "imagenet"
    # p' and r with their intervals, if heads on its embeddings were measured
    place: dict[str, Any] | None = None
    lacks: str = UNPLACED  # why not

    @property
    def at_edge(self) -> bool:
        """Whether an accuracy is 0 or 1, which is at infinity on stretched axes."""
        return not (0 < self.row.common < 1 and 0 < self.row.counter < 1)


def gather(specs: Sequence[str], mean: Mean, labels: str, prompt: str) -> list[Result]:
    """The distinct results that `specs` name; equal model names get their source appended.

    A spec is a folder of evaluate or score, "published" (all rows of the protocol) or
    "published:NAME" (one row).
    """
    distinct: dict[tuple, Result] = {}
    for result in (result for spec in specs for result in _results(spec, mean, labels, prompt)):
        row = result.row
        key = row.source, row.model, row.prompt, row.labels, row.mean, row.common, row.counter
        # the same row again, now with its classes
        if key not in distinct or result.classes is not None:
            distinct[key] = result
    if not distinct:
        raise RequestError("nothing to compare; name a result folder or 'published'")
    results = list(distinct.values())
    other = next((result for result in results if result.vocabulary != results[0].vocabulary), None)
    if other is not None:
        differ = (
            f"{results[0].row.model!r} and {other.row.model!r} have different classes, which differ"
            " in difficulty"
        )
        raise RequestError(f"{differ}; compare results of the same --classes")
    times = Counter(result.row.model for result in results)
    return [
        (
            replace(r, row=replace(r.row, model=f"{r.row.model} [{r.row.source}]"))
            if times[r.row.model] > 1
            else r
        )
        for r in results
    ]


def _results(spec: str, mean: Mean, labels: str, prompt: str) -> list[Result]:
    """One folder's results, or published rows; only a single row gets class counts: all pairs would
    fill the screen.
    """
    kind, _, name = spec.partition(":")
    if kind != "published":
        return [_own_result(folder, mean) for folder in _folders(Path(spec))]
    rows = published_rows(labels, prompt, mean)
    if not rows:
        lacks = f"no rows were published for {labels} labels, {prompt} prompts and the {mean} mean"
        raise RequestError(
            f"{lacks}; the nearest protocol is --labels 1000 --prompts simple --mean macro"
        )
    if not name:
        return [Result(row) for row in rows]
    names = [row.model for row in rows]
    if name not in names:
        raise RequestError(
            f"published model {name!r} is unknown{suggestion(name, names, quoted=True)}"
        )
    row = rows[names.index(name)]
    figures = classwise(name)
    if figures is None or (labels, prompt) != ("1000", "simple"):
        return [Result(row)]
    # Counts of Tables 15 and 16, rounded from the printed percentages (class 23 has an error).
    index, photos = (
        np.array([getattr(c, name) for c in published_classes()]) for name in ("index", "photos")
    )
    counts = intervals.counted(
        index, photos, np.rint(np.array([figures[i] for i in index]) * photos).astype(np.int64)
    )
    return [Result(_with_intervals(row, counts, seed=0), counts)]


def _folders(path: Path) -> list[Path]:
    """A folder may hold one model's result and, from another run, subfolders of several models."""
    folders = [
        file.parent
        for file in (path / SUMMARY, *sorted(path.glob(f"*/{SUMMARY}")))
        if file.is_file()
    ]
    if not folders and path.is_dir():
        raise RequestError(
            f"{str(path)!r} holds no {SUMMARY}; name a folder that evaluate or score wrote"
        )
    if not folders:
        written = sorted(str(file.parent) for file in Path().glob(f"*/{SUMMARY}"))
        words = (
            f"{str(path)!r} is neither 'published', published:MODEL nor a folder that evaluate or"
            " score wrote"
        )
        raise RequestError(words + suggestion(str(path), ["published", *written], quoted=True))
    return folders


def _own_result(folder: Path, mean: Mean) -> Result:
    """A model's result: its name and settings from the summary, every number from its
    predictions.
    """
    predictions = read_predictions(folder / PREDICTIONS, LARGEST)
    counts = class_counts(predictions)
    used = intervals.complete(counts)
    if not (has_groups(predictions) and len(used)):
        lacks = f"{str(folder)!r} has no common and counter photos to compare"
        raise RequestError(f"{lacks}; evaluate with --groups that assigns them")
    accuracies = intervals.group_accuracies(used, mean).tolist()
    photos = used.photos.sum().tolist()
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8-sig"))
        json.dumps([summary, str(folder)], ensure_ascii=False).encode()  # as they will be written
        words = {"prompt": summary.get("prompts"), "labels": summary.get("labels"), "mean": mean}
        words |= zip(("n_common", "n_counter"), photos, strict=True)
        row = Row(str(folder), summary["model"], summary["family"], *accuracies, **words)
        seed = checked_seed(summary["seed"])
        place = _place(summary.get("equivalent"))
        lacks = str(summary.get("equivalent_lacks") or UNPLACED)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RequestError(
            f"{str(folder / SUMMARY)!r} is not a summary of evaluate or score ({error})"
        ) from error
    own = summary.get("labels") == "own" or summary.get("classes")
    vocabulary = str(summary.get("class_names_digest")) if own else Result.vocabulary
    return Result(_with_intervals(row, counts, seed), counts, vocabulary, place, lacks)


def _place(entry: dict[str, Any] | None) -> dict[str, Any] | None:
    """p' (None where it is not resolved) and r of a summary, with their intervals."""
    if entry is None:
        return None
    place: dict[str, Any] = {name: entry[name] for name in PLACE}
    place["interval"] = {name: [float(end) for end in entry["interval"][name]] for name in PLACE}
    place["replicates"] = [float(one) for one in entry.get("replicates", ())]
    if not all(0 <= one <= 1 for one in place["replicates"]):
        raise ValueError("replicates of p' lie outside 0 to 1")
    for name, (low, high) in place["interval"].items():
        if not 0 <= low <= middle(place, name) <= high <= 1:
            raise ValueError(f"{name} {place[name]} with interval {low} to {high}")
    return place


def _with_intervals(row: Row, counts: pd.DataFrame, seed: int) -> Row:
    ends = intervals.over_classes(counts, row.mean, seed)
    return replace(row, **{f"interval_{name}": span for name, span in ends.items()})


def compare(
    results: Sequence[Result], reference: str | None = None, seed: int = 0
) -> dict[str, Any]:
    """Lines of the families, effective robustness over the reference family, pairs of models; plain
    JSON.

    The reference defaults to ImageNet models, otherwise to the first family with a line.
    """
    fitted = lines_of(results)
    if reference is not None and reference not in fitted:
        lacks = (
            f"reference family {reference!r} has no line here (three models with different"
            " accuracies are needed)"
        )
        raise RequestError(f"{lacks}; families with a line: {', '.join(fitted) or 'none'}")
    chosen = reference or ("ImageNet" if "ImageNet" in fitted else next(iter(fitted), None))
    lines = {}
    for name, at in fitted.items():
        each = ((axis, fit_line(*at, axis)) for axis in AXES)
        words = {
            axis: {"slope": float(line.slope), "intercept": float(line.intercept)}
            for axis, line in each
        }
        lines[name] = {"models": len(at[0]), **words}
    # in tables and figures; ties in order
    ranks = rankdata([-result.row.counter for result in results], "ordinal")
    rows = [
        {
            "number": int(number),  # a float from scipy 1.18 on
            **result.row.record(),
            "at_edge": result.at_edge,
            "equivalent": (
                result.place
                and {key: each for key, each in result.place.items() if key != "replicates"}
            ),
            "effective_robustness": _robustness(result, results, chosen, seed),
        }
        for result, number in zip(results, ranks, strict=True)
    ]
    lacks: dict[str, list[str]] = {}
    for result in (result for result in results if result.place is None):
        lacks.setdefault(result.lacks, []).append(result.row.model)
    reasons = [
        why if why == UNPLACED else f"{', '.join(names)}: {why}" for why, names in lacks.items()
    ]
    known = [result for result in results if result.classes is not None]
    pairs = []
    for a, b in combinations(known[:MOST_PAIRED], 2):
        if classes := intervals.paired(a.classes, b.classes, seed, a.row.mean or "macro"):
            pairs.append({"first": a.row.model, "second": b.row.model, **classes})
    return {
        "reference": chosen,
        "rows": rows,
        "lines": lines,
        "over_photos": {
            r.row.model: n for r in known if (n := len(intervals.complete(r.classes))) < FEWEST
        },
        **ranked({result.row.model: result.place for result in results if result.place}),
        "equivalent_lacks": "; ".join(reasons) or None,
        "pairs": pairs,
        "unpaired": [result.row.model for result in known[MOST_PAIRED:]],
    }


def lines_of(results: Sequence[Result]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(common, counter) of the models of each family that has a line, on every axis."""
    finite = [result.row for result in results if not result.at_edge]
    lines = {}
    for family in dict.fromkeys(row.family for row in finite if row.family != OWN):
        members = [row for row in finite if row.family == family]
        common, counter = (np.array([getattr(row, group) for row in members]) for group in GROUPS)
        if len(common) >= SMALLEST_FAMILY and np.ptp(common) > 0:
            lines[family] = (common, counter)
    return lines


def _robustness(
    result: Result, results: Sequence[Result], family: str | None, seed: int
) -> dict[str, Any] | None:
    """Counter accuracy above the line of a family's other models on each axis; None if they have no
    line.
    """
    row = result.row
    common = np.array([result.row.common])
    others = lines_of([other for other in results if other is not result])
    if family not in others or not 0 < row.common < 1:
        return None
    x, y = others[family]
    over = {}
    tail = (1 - LEVEL) / 2
    for axis in AXES:
        line = fit_line(x, y, axis)
        draws = fit_line(
            x, y, axis, resampled(x, REPLICATES, numpy_stream(seed, f"robustness {axis}"))
        )
        value = row.counter - float(line.at(common)[0])
        of_line = tuple(
            np.quantile(row.counter - draws.at(common)[:, 0], [tail, 1 - tail]).tolist()
        )
        of_model = _model_interval(result, line, value, seed)
        over[axis] = {
            "value": value,
            "interval": list(of_line if of_model is None else combined(value, of_line, of_model)),
            "interval_of": "line" if of_model is None else "line and model",
            "interval_line": list(of_line),
            "interval_model": of_model and list(of_model),
            "level": LEVEL,
            "extrapolated": not x.min() <= row.common <= x.max(),
            "left_out": row.family == family and not result.at_edge,
        }
    return over


def _model_interval(result: Result, line: Line, value: float, seed: int) -> Interval | None:
    """The interval of a model's effective robustness over a fixed line; None without counts of
    classes.
    """
    classes = result.classes
    mean = result.row.mean or "macro"
    if classes is None or not (known := len(intervals.complete(classes))):
        return None

    def expected(common: np.ndarray) -> np.ndarray:
        # 0 and 1 are at infinity on the stretched axes
        return line.at(np.clip(common, 1e-9, 1 - 1e-9))

    common, counter, _ = intervals.over_photos(classes, mean)
    above = result.row.counter - expected(np.array(common))
    at_line = result.row.counter - value
    ends = (float(above.min()), float(above.max())), (counter[0] - at_line, counter[1] - at_line)
    floor = combined(value, *ends)
    over_classes = None
    if known >= FEWEST:
        replicates = intervals.drawn_accuracies(classes, mean, seed, REPLICATES)
        over_classes = bootstrap_interval(replicates[:, 1] - expected(replicates[:, 0]), known)
    return hull(over_classes, floor)
