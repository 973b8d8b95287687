"""Results side by side: lines of families, effective robustness, paired classes.

A result is our own evaluation, a published row or a synthetic learner; all are rows of one schema. A family of three
models or more has a line, and every model is measured against the line of one reference family.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.counteranimal.metrics import (
    ClassCounts,
    Mean,
    drawn_accuracies,
    group_accuracies,
    intervals,
    photo_bounds,
)
from experiments.counteranimal.object_effects import Objects, objects_of
from experiments.counteranimal.pairwise import paired_models
from experiments.counteranimal.predictions import read_classes, read_predictions
from experiments.counteranimal.result import Result
from experiments.counteranimal.summaries import CLASSES, PREDICTIONS, SUMMARY, summary_row
from experiments.effective_robustness import AXES, SMALLEST_FAMILY, Axis, Line, fit_line, resampled, usable
from experiments.errors import RequestError, unknown
from experiments.inference import LEVEL, bootstrap_interval, combined, hull
from experiments.published.later_work import later_work_rows
from experiments.published.tables import classwise, published_classes, published_rows
from experiments.results import Row, row_of
from simulator.naming import suggestion
from simulator.streams import numpy_stream

REPLICATES = 2000
LATER_WORK = "published-since"


def gather(specs: Sequence[str], mean: Mean, labels: str, prompt: str) -> list[Result]:
    """The results that `specs` name, in their order, each once.

    A spec is a folder written by evaluate or score, a JSON file of it or of simulate/train/predict, "published" (all
    rows of the protocol), "published:NAME" (one of them) or "published-since" (later work under other protocols, which
    is not comparable).
    """
    results: list[Result] = []
    for spec in specs:
        for result in _results(spec, mean, labels, prompt):
            same = [i for i, old in enumerate(results) if _identity(old.row) == _identity(result.row)]
            if not same:
                results.append(result)
            elif result.classes is not None:  # the same row again, now with its classes
                results[same[0]] = result
    if not results:
        raise RequestError("nothing to compare; name a result folder or 'published'")
    return _distinct(_of_one_vocabulary(results))


def _results(spec: str, mean: Mean, labels: str, prompt: str) -> list[Result]:
    if spec == LATER_WORK:
        return [Result(row, comparable=False, protocol=protocol) for row, protocol in later_work_rows()]
    if spec.split(":")[0] == "published":
        return _published(spec, mean, labels, prompt)
    return _from_disk(spec, mean)


def _of_one_vocabulary(results: list[Result]) -> list[Result]:
    """Results on the user's own classes are not comparable with results on ImageNet's: the classes differ in
    difficulty."""
    if len({r.vocabulary for r in results}) == 1:
        return results
    return [
        r if r.vocabulary == Result.vocabulary else replace(r, comparable=False, protocol="classes of its own")
        for r in results
    ]


def _identity(row: Row) -> tuple:
    return row.source, row.model, row.prompt, row.labels, row.mean, row.common, row.counter


def _distinct(results: list[Result]) -> list[Result]:
    """The names of models that occur several times get their source appended."""
    names = [result.row.model for result in results]
    return [
        replace(r, row=replace(r.row, model=f"{r.row.model} [{r.row.source}]")) if names.count(r.row.model) > 1 else r
        for r in results
    ]


def _published(spec: str, mean: Mean, labels: str, prompt: str) -> list[Result]:
    rows = published_rows(labels, prompt, mean)
    if not rows:
        raise RequestError(
            f"no rows were published for {labels} labels, {prompt} prompts and the {mean} mean; "
            "the nearest protocol is --labels 1000 --prompts simple --mean macro"
        )
    names = [row.model for row in rows]
    _, _, name = spec.partition(":")
    if not name:
        return [Result(row) for row in rows]  # without classes: all pairs of them would fill the screen
    if name not in names:
        raise RequestError(f"published model {name!r} is unknown{suggestion(name, names, quoted=True)}")
    by_class = (labels, prompt) == ("1000", "simple")
    return [_with_classes(row) if by_class else Result(row) for row in rows if row.model == name]


def _with_classes(row: Row) -> Result:
    """A published row with its class figures and their intervals, if they were printed."""
    counts = _published_counts(row.model)
    if counts is None:
        return Result(row)
    ends = {f"interval_{name}": interval for name, interval in intervals(counts, row.mean or "macro").items()}
    return Result(replace(row, **ends), counts)


def _published_counts(model: str) -> ClassCounts | None:
    """Counts behind Tables 15 and 16, as near as the printed percentages give them (class 23 has an error)."""
    figures = classwise(model)
    if figures is None:
        return None
    classes = published_classes()
    photos = np.array([c.photos for c in classes])
    accuracy = np.array([figures[c.index] for c in classes])
    return ClassCounts(np.array([c.index for c in classes]), photos, np.rint(accuracy * photos).astype(np.int64))


def _from_disk(spec: str, mean: Mean) -> list[Result]:
    path = Path(spec)
    if path.is_dir():
        # A folder may hold one model's result and, from another run, a folder for each of several models.
        files = [file for file in (path / SUMMARY, *sorted(path.glob(f"*/{SUMMARY}"))) if file.is_file()]
        if not files and (path / "result.json").is_file():
            files = [path / "result.json"]
        if not files:
            raise RequestError(f"{spec!r} holds no {SUMMARY} or result.json; name a folder that evaluate wrote")
    elif path.is_file():
        files = [path]
    else:
        written = sorted(str(p.parent) for p in Path().glob(f"*/{SUMMARY}"))
        raise unknown("result", spec, ["published", LATER_WORK, *written])
    return [result for file in files for result in _from_file(file, mean)]


def _from_file(file: Path, mean: Mean) -> list[Result]:
    try:
        document = json.loads(file.read_text(encoding="utf-8-sig"))
        documents = document if isinstance(document, list) else [document]
        return [_from_document(entry, file, mean) for entry in documents]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(
            f"{str(file)!r} is not a result of evaluate, score, simulate, train or predict ({error})"
        ) from error


def _from_document(entry: dict[str, Any], file: Path, mean: Mean) -> Result:
    if mean in entry:
        return _own_result(entry, file, mean)
    if "learner" in entry or "loss" in entry:
        learner = entry.get("learner") or entry["loss"]
        name = f"{learner} ({entry.get('prompt') or 'no prompt'})"
        known = {**entry, "model": name, "family": "synthetic", "learner": learner, "source": str(file)}
        ends = entry.get("interval95") or {}
        known |= {f"interval_{group}": ends.get(group) for group in ("common", "counter", "drop")}
        return Result(row_of(known))
    return Result(row_of(entry))


def _own_result(entry: dict[str, Any], file: Path, mean: Mean) -> Result:
    """A result of evaluate or score, with the classes and objects in the files beside it."""
    if "common" not in entry[mean]:
        raise RequestError(
            f"{str(file)!r} has no common and counter photos to compare; evaluate with --groups that names them"
        )
    row = replace(summary_row(entry, mean), source=str(file.parent))
    classes = _classes_beside(file, row, mean)
    composites = classes is not None and entry.get("paired") is not None
    own = entry.get("class_names_digest") if entry.get("labels") == "own" or entry.get("classes") else None
    return Result(row, classes, _objects_beside(file) if composites else None, vocabulary=own or Result.vocabulary)


def _classes_beside(file: Path, row: Row, mean: Mean) -> ClassCounts | None:
    """The class figures beside a summary if they give its accuracies.

    Those beside a JSON list of several models, or a copy under another name, may belong to another model. Raises
    RequestError if a summary.json and its neighbour disagree: they come from different runs.
    """
    path = file.parent / CLASSES
    if not path.is_file():
        return None
    counts = read_classes(path)
    if len(counts.complete.index) and np.allclose(
        group_accuracies(counts, mean), (row.common, row.counter), rtol=0, atol=1e-9
    ):
        return counts
    if file.name == SUMMARY:
        raise RequestError(f"{str(path)!r} does not give the accuracies of the {SUMMARY} beside it; run that again")
    return None


def _objects_beside(file: Path) -> Objects | None:
    path = file.parent / PREDICTIONS
    return objects_of(read_predictions(path)).complete if path.is_file() else None


def compare(results: Sequence[Result], reference: str | None = None, seed: int = 0) -> dict[str, Any]:
    """Lines of the families, effective robustness over the reference family, paired classes; plain JSON.

    The reference defaults to ImageNet models, otherwise to the first family with a line. A model with an accuracy of
    0 or 1 is at infinity on the stretched axes (`at_edge`) and belongs to no line. A model that is not `comparable`
    belongs to no line either, and has no effective robustness.
    """
    rows = [result.row for result in results if result.comparable]
    families = {name: family_arrays(rows, name) for name in dict.fromkeys(row.family for row in rows)}
    fitted = {name: xy for name, xy in families.items() if len(xy[0]) >= SMALLEST_FAMILY and np.ptp(xy[0]) > 0}
    if reference is not None and reference not in fitted:
        raise RequestError(
            f"reference family {reference!r} has no line here (three models with different accuracies are needed); "
            f"families with one: {', '.join(fitted) or 'none'}"
        )
    chosen = reference or ("ImageNet" if "ImageNet" in fitted else next(iter(fitted), None))
    lines = {
        name: {axis: _line_record(*xy, axis) for axis in AXES} | {"models": len(xy[0])} for name, xy in fitted.items()
    }
    records = []
    for result, number in zip(results, numbers(results), strict=True):
        row, robustness = result.row, None
        if result.comparable and chosen is not None and 0 < row.common < 1:
            robustness = {axis: _robustness(result, *fitted[chosen], axis, seed) for axis in AXES}
        known = {"comparable": result.comparable, "protocol": result.protocol or None, "at_edge": at_edge(row)}
        records.append({"number": number, **row.record(), **known, "effective_robustness": robustness})
    return {"reference": chosen, "rows": records, "lines": lines, **paired_models(results, seed)}


def numbers(results: Sequence[Result]) -> list[int]:
    """The number of each result in tables and figures, from 1 for the highest counter accuracy; ties in order."""
    order = sorted(range(len(results)), key=lambda i: -results[i].row.counter)
    number = dict(zip(order, range(1, len(order) + 1), strict=True))
    return [number[i] for i in range(len(results))]


def at_edge(row: Row) -> bool:
    """Whether an accuracy is 0 or 1, which is at infinity on stretched axes."""
    return not (0 < row.common < 1 and 0 < row.counter < 1)


def family_arrays(rows: Sequence[Row], family: str) -> tuple[np.ndarray, np.ndarray]:
    """(common, counter) of a family's models that lie on every axis."""
    x, y = (np.array([getattr(r, g) for r in rows if r.family == family]) for g in ("common", "counter"))
    inside = usable(x, y)
    return x[inside], y[inside]


def _line_record(x: np.ndarray, y: np.ndarray, axis: Axis) -> dict[str, float]:
    line = fit_line(x, y, axis)
    return {"slope": float(line.slope), "intercept": float(line.intercept)}


def _robustness(result: Result, x: np.ndarray, y: np.ndarray, axis: Axis, seed: int) -> dict[str, Any]:
    """Counter accuracy above the reference line, with the intervals of the line, of the model, and of both.

    The line's interval is a bootstrap over its models; the model's holds the line fixed. `interval` is of both if the
    model's is known. Outside the common accuracies of the line's models the line is an extrapolation.
    """
    row, common = result.row, np.array([result.row.common])
    line = fit_line(x, y, axis)
    value = row.counter - float(line.at(common)[0])
    draws = fit_line(x, y, axis, resampled(x, REPLICATES, numpy_stream(seed, f"robustness {axis}")))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(row.counter - draws.at(common)[:, 0], [tail, 1 - tail])
    of_line = float(low), float(high)
    of_model = _own_interval(result, line, value, seed)
    both = of_line if of_model is None else combined(value, of_line, of_model)
    return {
        "value": value,
        "interval": list(both),
        "interval_of": "line" if of_model is None else "line and model",
        "interval_line": list(of_line),
        "interval_model": None if of_model is None else list(of_model),
        "level": LEVEL,
        "extrapolated": not float(x.min()) <= row.common <= float(x.max()),
    }


def _own_interval(result: Result, line: Line, value: float, seed: int) -> tuple[float, float] | None:
    """A model's interval above a fixed line; None if nothing is known about its own accuracies.

    Class figures are resampled, common and counter together. Without them the intervals of the two accuracies are
    combined as if independent, which is wider: classes that are hard are hard in both groups.
    """
    row, classes = result.row, result.classes
    if classes is not None and len(classes.complete.index) > 1:
        mean: Mean = "micro" if row.mean == "micro" else "macro"
        drawn = drawn_accuracies(classes, mean, numpy_stream(seed, "cluster bootstrap"), REPLICATES)
        above = bootstrap_interval(drawn[:, 1] - line.at(_inside(drawn[:, 0])), len(classes.complete.index))
        return hull(above, _independent(row, line, value, *photo_bounds(classes, mean)))
    if row.interval_common is None or row.interval_counter is None:
        return None
    return _independent(row, line, value, row.interval_common, row.interval_counter)


def _independent(
    row: Row, line: Line, value: float, common: tuple[float, float], counter: tuple[float, float]
) -> tuple[float, float]:
    above = row.counter - line.at(_inside(np.array(common)))
    expected = row.counter - value
    return combined(value, (float(above.min()), float(above.max())), (counter[0] - expected, counter[1] - expected))


def _inside(accuracies: np.ndarray) -> np.ndarray:
    """Clipped away from 0 and 1, which are at infinity on the stretched axes."""
    return np.clip(accuracies, 1e-9, 1 - 1e-9)
