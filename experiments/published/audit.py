"""Are the printed figures of [W] consistent? Every figure that follows from other figures is recomputed.

Each check is a function of the raw cells. It knows how figures are rounded and nothing about the paper's known errors.

It cannot see a change of Table 8 within its domain (means of repeated trainings, about which nothing else is printed),
nor cells that are changed together and still agree.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise, product

import numpy as np

from experiments.published.tables import (
    CHECKPOINTS,
    CLASS_TABLES,
    CLASSES,
    COCO,
    GROUP_TABLES,
    HIGH_QUALITY,
    MNIST,
    STATED,
    TABLE_OF,
    Raw,
    family_of,
    model_name,
    read_published,
)

# Points. common, counter and drop are each rounded to .01, so an honest drop is off by at most 3 x .005.
# A mean of rounded cells is off by at most .005 + .005; the same limit serves it.
ROUNDING = 0.015
HALF_UNIT = 0.005  # a printed accuracy and the fraction k/n behind it
# Two protocols shift the logits of all models similarly; a model with a larger robust z-score is an outlier.
OUTLIER = 6.0
SLACK = 1e-9  # float64 rounding of two-decimal numbers


@dataclass(frozen=True)
class Finding:
    """One inconsistency: the cell, its printed and its recomputed value, and the reason (percent, points)."""

    check: str
    table: int
    row: int
    cell: str
    printed: str
    recomputed: str
    reason: str


def findings(raw: Raw | None = None) -> list[Finding]:
    """All findings, in the order of the checks.

    Cells that should be numbers and are not are reported alone: nothing can be recomputed from them.
    """
    raw = raw or read_published()
    domain = list(_domain(raw))
    if any(finding.recomputed == "a number" for finding in domain):
        return domain
    checks = (_drops, _counts, _totals, _class_means, _agreement, _copies, _outliers, _chance)
    return domain + [finding for check in checks for finding in check(raw)]


def feasible(printed: float, n: int) -> bool:
    """Is an accuracy printed with two decimals, in percent, k/n of n photos for some k?

    A GRIM test (Brown and Heathers, Social Psychological and Personality Science 8, 2017).
    """
    k = round(printed * n / 100)
    return 0 <= k <= n and abs(100 * k / n - printed) <= HALF_UNIT + SLACK


def _domain(raw: Raw) -> Iterator[Finding]:
    """Numbers are in range, flags follow from names, classes are listed once, Table 8's grid is complete."""
    yield from _ranges(raw)
    yield from _flags(raw)
    yield from _same_models(raw)
    yield from _classes(raw)
    yield from _grid(raw)


def _ranges(raw: Raw) -> Iterator[Finding]:
    columns = {t.file: ("common", "counter", "drop") for t in GROUP_TABLES + CLASS_TABLES}
    columns |= {COCO: ("in_distribution", "out_of_distribution", "drop")}
    columns |= {CLASSES: ("class_id", "imagenet_index", "n_common", "n_counter"), STATED: ("value",)}
    columns |= {MNIST: tuple(raw[MNIST][0].keys() - {"train_method"})}
    numbers = {t.file: t.number for t in GROUP_TABLES + CLASS_TABLES} | {COCO: 7, MNIST: 8, CLASSES: 2, STATED: 0}
    for file, names in columns.items():
        for (i, cells), column in product(enumerate(raw[file], start=1), names):
            text = cells[column]
            if text == "" and column.startswith("rest"):
                continue  # two classes have no rest
            try:
                value = float(text)
            except ValueError:
                yield Finding("domain", numbers[file], i, column, text, "a number", "not a number")
                continue
            percent = file not in (CLASSES, STATED) and column not in ("n_samples", "n_classes")
            low = -100 if column == "drop" else 0
            if percent and not low <= value <= 100:
                yield Finding("domain", numbers[file], i, column, text, f"{low} to 100", "no percentage")


def _flags(raw: Raw) -> Iterator[Finding]:
    name = "high_quality_data"
    for table in GROUP_TABLES:
        for i, cells in enumerate(raw[table.file], start=1):
            if name not in cells:
                continue
            flag = str(int(cells["pretrain_dataset"].startswith(HIGH_QUALITY)))
            if cells[name] != flag:
                reason = f"{cells['pretrain_dataset']} is marked otherwise elsewhere"
                yield Finding("domain", table.number, i, name, cells[name], flag, reason)


def _classes(raw: Raw) -> Iterator[Finding]:
    ids = [cells["class_id"] for cells in raw[CLASSES]]
    indices = [cells["imagenet_index"] for cells in raw[CLASSES]]
    for i, (expected, printed) in enumerate(zip(range(1, 46), ids, strict=False), start=1):
        if printed != str(expected):
            yield Finding("domain", 2, i, "class_id", printed, str(expected), "classes are numbered from 1")
    for i, (before, after) in enumerate(pairwise(indices), start=2):
        if after.isdigit() and before.isdigit() and int(after) <= int(before):
            yield Finding("domain", 2, i, "imagenet_index", after, f"above {before}", "classes are listed by index")
    for table in CLASS_TABLES:
        seen = Counter((cells["model"], cells["class_id"]) for cells in raw[table.file])
        models = {model for model, _ in seen}
        for model, class_id in product(sorted(models), map(str, range(1, 46))):
            if seen[model, class_id] != 1:
                reason = f"class {class_id} of {model} is listed {seen[model, class_id]} times"
                yield Finding("domain", table.number, 0, "class_id", class_id, "once", reason)


def _same_models(raw: Raw) -> Iterator[Finding]:
    """Tables of one family list the same models, except Tables 5 and 9, which are selections."""
    for family in ("CLIP", "ImageNet"):
        tables = [t for t in GROUP_TABLES if t.family == family and t.number != 9]
        listed = {t.number: Counter(model_name(t, cells) for cells in raw[t.file]) for t in tables}
        for table in tables:
            for i, cells in enumerate(raw[table.file], start=1):
                name = model_name(table, cells)
                others = sum(name in names for number, names in listed.items() if number != table.number)
                if listed[table.number][name] > 1 or not others:
                    reason = "listed twice" if others else f"in no other table of the {family} models"
                    yield Finding("domain", table.number, i, "model", name, "one of the models", reason)


def _grid(raw: Raw) -> Iterator[Finding]:
    rows = raw[MNIST]
    samples: dict[str, Counter] = {}
    for cells in rows:
        samples.setdefault(cells["n_classes"], Counter())[cells["n_samples"]] += 1
    axes = ("n_classes", "p_inv", "p_spu", "train_method")
    common = {axis: Counter(cells[axis] for cells in rows) for axis in axes}
    seen = Counter(tuple(cells[axis] for axis in axes) for cells in rows)
    for i, cells in enumerate(rows, start=1):
        usual = samples[cells["n_classes"]].most_common(1)[0][0]
        if cells["n_samples"] != usual:
            reason = f"{cells['n_classes']} classes have {usual} samples elsewhere"
            yield Finding("domain", 8, i, "n_samples", cells["n_samples"], usual, reason)
        if seen[tuple(cells[axis] for axis in axes)] > 1:
            yield Finding("domain", 8, i, "setting", "twice", "once", "this setting is printed twice")
        for axis in axes:  # a value of a full grid occurs in at least its share of the rows
            if common[axis][cells[axis]] * 2 * len(common[axis]) < len(rows):
                reason = f"this value of {axis} stands outside the grid"
                yield Finding("domain", 8, i, axis, cells[axis], "a value of the grid", reason)


def _drops(raw: Raw) -> Iterator[Finding]:
    """drop = common - counter."""
    groups = {t.file: (t.number, "common", "counter") for t in GROUP_TABLES + CLASS_TABLES}
    groups[COCO] = (7, "in_distribution", "out_of_distribution")
    for file, (number, common, counter) in groups.items():
        for i, cells in enumerate(raw[file], start=1):
            drop = float(cells[common]) - float(cells[counter])
            if abs(drop - float(cells["drop"])) > ROUNDING + SLACK:
                reason = f"{cells[common]} - {cells[counter]} = {drop:.2f}" + _who(cells)
                yield Finding("drop", number, i, "drop", cells["drop"], f"{drop:.2f}", reason)


def _who(cells: dict[str, str]) -> str:
    parts = [cells[key] for key in ("pretrain_dataset", "backbone", "model", "approach") if key in cells]
    return f" ({', '.join([*parts, *(['class ' + cells['class_id']] if 'class_id' in cells else [])])})"


def _counts(raw: Raw) -> Iterator[Finding]:
    """A class accuracy is k/n for the printed number of photos n: a GRIM test."""
    photos = {
        (c["class_id"], g): int(c[f"n_{g}"])
        for c in raw[CLASSES]
        for g in ("common", "counter")
        if c[f"n_{g}"].isdigit() and int(c[f"n_{g}"]) > 0
    }
    printed: dict[tuple[str, str], set[float]] = {}
    for table in CLASS_TABLES:
        for cells in raw[table.file]:
            for group in ("common", "counter"):
                printed.setdefault((cells["class_id"], group), set()).add(float(cells[group]))
    fits: dict[tuple[str, str], list[int]] = {}
    for table in CLASS_TABLES:
        for i, cells in enumerate(raw[table.file], start=1):
            for group in ("common", "counter"):
                key = cells["class_id"], group
                n = photos.get(key)
                if n is None:
                    yield Finding("GRIM", 2, int(key[0]), f"n_{group}", "", "a count", "no photos printed")
                elif not feasible(float(cells[group]), n):
                    if key not in fits:
                        fits[key] = [m for m in range(1, 1001) if all(feasible(p, m) for p in printed[key])]
                    nearest = round(float(cells[group]) * n / 100)
                    reason = f"no k/{n} ({nearest}/{n} is {100 * nearest / n:.2f}){_who(cells)}"
                    if len(printed[key]) > 1 and fits[key]:
                        reason += f"; the smallest n that fits all its printed values is {fits[key][0]}"
                    yield Finding("GRIM", table.number, i, group, cells[group], f"{100 * nearest / n:.2f}", reason)


def _totals(raw: Raw) -> Iterator[Finding]:
    """Photos of the classes sum to the totals in the text."""
    stated = {cells["quantity"]: cells["value"] for cells in raw[STATED]}
    for group in ("n_common", "n_counter"):
        total = sum(int(cells[group]) for cells in raw[CLASSES])
        if total != int(float(stated[group])):
            reason = f"the classes sum to {total}, the text says {stated[group]}"
            yield Finding("total", 2, 0, group, stated[group], str(total), reason)


def _class_means(raw: Raw) -> Iterator[Finding]:
    """Group accuracies are means of class accuracies, plain (Table 3) or weighted by photos (Table 11)."""
    for table in CLASS_TABLES:
        for model in dict.fromkeys(cells["model"] for cells in raw[table.file]):
            classes = [cells for cells in raw[table.file] if cells["model"] == model]
            for target, group in product((TABLE_OF[3], TABLE_OF[11]), ("common", "counter")):
                match = [
                    (i, cells)
                    for i, cells in enumerate(raw[target.file], start=1)
                    if model_name(target, cells) == model
                ]
                if not match:
                    continue
                photos = {c["class_id"]: int(c[f"n_{group}"]) for c in raw[CLASSES]}
                micro = target.mean == "micro"
                weight = np.array([photos[c["class_id"]] if micro else 1 for c in classes], dtype=float)
                mean = float(weight @ [float(c[group]) for c in classes] / weight.sum())
                i, cells = match[0]
                if abs(mean - float(cells[group])) > ROUNDING + SLACK:
                    how = "weighted by photos" if micro else "plain"
                    reason = f"{how} mean of Table {table.number}'s classes of {model} is {mean:.2f}"
                    yield Finding("class mean", target.number, i, group, cells[group], f"{mean:.2f}", reason)


def _protocol_rows(raw: Raw):
    """(table, row number, model, cells); of Table 9 only the checkpoints that Table 3 uses (see Table 6)."""
    used = {(c["backbone"], c["pretrain_dataset"], c["checkpoint"]) for c in raw[CHECKPOINTS]}
    for table in GROUP_TABLES:
        for i, cells in enumerate(raw[table.file], start=1):
            key = cells.get("backbone"), cells.get("pretrain_dataset"), cells.get("checkpoint")
            if "checkpoint" not in cells or key in used:
                yield table, i, model_name(table, cells), cells


def _pairs(raw: Raw, same_protocol: bool):
    by_model: dict[str, list] = {}
    for entry in _protocol_rows(raw):
        by_model.setdefault(entry[2], []).append(entry)
    for entries in by_model.values():
        for a, b in combinations(entries, 2):
            protocols = [(t.labels, t.prompt, t.mean) for t in (a[0], b[0])]
            if a[0] is not b[0] and (protocols[0] == protocols[1]) == same_protocol:
                yield a, b


def _agreement(raw: Raw) -> Iterator[Finding]:
    """Figures that are printed in two tables agree."""
    for (table, _, model, cells), (other, i, _, copy) in _pairs(raw, same_protocol=True):
        for group in ("common", "counter"):
            if float(cells[group]) != float(copy[group]):
                reason = f"{model} under the same protocol in Table {table.number} has {cells[group]}"
                yield Finding("agreement", other.number, i, group, copy[group], cells[group], reason)
    first, second = ({(c["model"], c["class_id"]): c for c in raw[table.file]} for table in CLASS_TABLES)
    rows = {(c["model"], c["class_id"]): i for i, c in enumerate(raw[CLASS_TABLES[1].file], start=1)}
    for key in first.keys() & second.keys():
        for group in ("common", "counter"):
            a, b = first[key][group], second[key][group]
            if float(a) != float(b):
                reason = f"class {key[1]} of {key[0]} in Table 15 has {a}"
                yield Finding("agreement", 16, rows[key], group, b, a, reason)
    listed = {(c["backbone"], c["pretrain_dataset"]) for c in raw["clip_1v1000.csv"]}
    for i, cells in enumerate(raw["clip_other_checkpoints_1v1000.csv"], start=1):
        if (cells["backbone"], cells["pretrain_dataset"]) not in listed:
            name = f"{cells['pretrain_dataset']} {cells['backbone']}"
            yield Finding("agreement", 9, i, "model", name, "a model of Table 3", f"Table 3 has no {name}")


def _copies(raw: Raw) -> Iterator[Finding]:
    """No model has both accuracies equal under two protocols, to a hundredth of a point."""
    for (table, _, model, cells), (other, i, _, copy) in _pairs(raw, same_protocol=False):
        if all(cells[group] == copy[group] for group in ("common", "counter")):
            reason = f"{model}: both accuracies repeat Table {table.number}, another protocol"
            pair = f"{copy['common']} / {copy['counter']}"
            yield Finding("copied", other.number, i, "common, counter", pair, "other digits", reason)


def _outliers(raw: Raw) -> Iterator[Finding]:
    """Between two protocols each model's logit moves like the other models' logits (median and MAD)."""
    baseline = {"CLIP": TABLE_OF[3], "ImageNet": TABLE_OF[4]}
    for table in GROUP_TABLES:
        base = baseline.get(table.family)
        if base is None or table is base or table.number == 9:
            continue
        reference = {model_name(base, cells): cells for cells in raw[base.file]}
        rows = [(i, c) for i, c in enumerate(raw[table.file], start=1) if model_name(table, c) in reference]
        for group in ("common", "counter"):
            before = np.array([float(reference[model_name(table, c)][group]) for _, c in rows])
            after = np.array([float(c[group]) for _, c in rows])
            gain = _logit(after) - _logit(before)
            centre = np.median(gain)
            spread = 1.4826 * np.median(np.abs(gain - centre))  # the standard deviation, for normal gains
            for (i, cells), z, points in zip(rows, (gain - centre) / spread, after - before, strict=True):
                if abs(z) > OUTLIER:
                    reason = (
                        f"{model_name(table, cells)} gains {points:.2f} points over Table {base.number}, "
                        f"{abs(z):.1f} robust deviations from the other models' shift (median "
                        f"{np.median(after - before):.2f} points)"
                    )
                    expected = 100 / (
                        1 + math.exp(-(_logit(float(reference[model_name(table, cells)][group])) + centre))
                    )
                    yield Finding("outlier", table.number, i, group, cells[group], f"about {expected:.1f}", reason)


def _logit(percent):
    p = np.clip(percent, 0.01, 99.99) / 100  # half a printed unit from 0 and 100, so that the logit is finite
    return np.log(p / (1 - p))


def _chance(raw: Raw) -> Iterator[Finding]:
    """No model is worse than guessing."""
    for table in GROUP_TABLES:
        chance = 100 / int(table.labels)
        for i, cells in enumerate(raw[table.file], start=1):
            for group in ("common", "counter"):
                if family_of(model_name(table, cells)) != "LVLM" and float(cells[group]) < chance:
                    reason = f"below chance, {chance:g}, perhaps a fraction that was meant as percent{_who(cells)}"
                    yield Finding("chance", table.number, i, group, cells[group], f"above {chance:g}", reason)
