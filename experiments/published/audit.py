"""The audit of [W]'s printed figures: every figure that follows from other figures is recomputed.

Each check is a function of the raw cells. It knows how figures are rounded, but not the paper's
known errors.

The audit says nothing about Table 8: nothing else is printed about these means of repeated
trainings. Nor can it detect cells that are changed together and still agree.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from scipy.special import expit, logit
from scipy.stats import median_abs_deviation

from experiments.published.tables import (
    CHECKPOINTS,
    CLASS_TABLES,
    CLASSES,
    COCO,
    GROUP_TABLES,
    STATED,
    TABLE_OF,
    PrintedTable,
    Raw,
    family_of,
    model_name,
    read_published,
)
from experiments.results import GROUPS

# In points. common, counter and drop are each rounded to .01, so a correct drop is off by at most 3
# x .005. A mean of rounded cells is off by at most .005 + .005; the same limit applies.
ROUNDING = 0.015
HALF_UNIT = 0.005  # largest distance of a printed accuracy from its fraction k/n
# Two protocols shift the logits of all models similarly; a model with a larger robust z-score is an
# outlier.
OUTLIER = 6.0
SLACK = 1e-9  # float64 rounding of two-decimal numbers
# (file, number of the table, columns of the two accuracies whose difference is the drop)
DROPS = (
    *((table.file, table.number, GROUPS) for table in GROUP_TABLES + CLASS_TABLES),
    (COCO, 7, ("in_distribution", "out_of_distribution")),
)


@dataclass(frozen=True)
class Finding:
    """One inconsistency: the cell, its printed and its recomputed value, and the reason (percent,
    points).
    """

    check: str
    table: int
    row: int
    cell: str
    printed: str
    recomputed: str
    reason: str


def findings(raw: Raw | None = None) -> list[Finding]:
    """All findings, in the order of the checks."""
    raw = raw or read_published()
    checks = (_drops, _counts, _totals, _class_means, _agreement, _copies, _outliers, _chance)
    return [finding for check in checks for finding in check(raw)]


def feasible(printed: float, n: int) -> bool:
    """Is an accuracy printed with two decimals, in percent, k/n for some k? (GRIM: Brown and
    Heathers 2017.)
    """
    k = round(printed * n / 100)
    return 0 <= k <= n and abs(100 * k / n - printed) <= HALF_UNIT + SLACK


def _rows(
    raw: Raw, tables: tuple[PrintedTable, ...] = GROUP_TABLES
) -> Iterator[tuple[PrintedTable, int, str, dict[str, str]]]:
    """(table, row from 1, model, cells) of these tables."""
    for table in tables:
        for i, cells in enumerate(raw[table.file], start=1):
            yield table, i, model_name(table, cells), cells


def _who(cells: dict[str, str]) -> str:
    parts = [
        cells[key] for key in ("pretrain_dataset", "backbone", "model", "approach") if key in cells
    ]
    if "class_id" in cells:
        parts.append(f"class {cells['class_id']}")
    return f" ({', '.join(parts)})"


def _drops(raw: Raw) -> Iterator[Finding]:
    """drop = common - counter."""
    for file, number, (common, counter) in DROPS:
        for i, cells in enumerate(raw[file], start=1):
            drop = float(cells[common]) - float(cells[counter])
            if abs(drop - float(cells["drop"])) > ROUNDING + SLACK:
                reason = f"{cells[common]} - {cells[counter]} = {drop:.2f}" + _who(cells)
                yield Finding("drop", number, i, "drop", cells["drop"], f"{drop:.2f}", reason)


def _counts(raw: Raw) -> Iterator[Finding]:
    """A class accuracy is k/n for the printed number of photos n: a GRIM test."""
    photos = {(c["class_id"], g): int(c[f"n_{g}"]) for c in raw[CLASSES] for g in GROUPS}
    printed = defaultdict(set)
    for (*_, cells), group in product(_rows(raw, CLASS_TABLES), GROUPS):
        printed[cells["class_id"], group].add(float(cells[group]))
    fits = {}
    for (table, i, _, cells), group in product(_rows(raw, CLASS_TABLES), GROUPS):
        key = (cells["class_id"], group)
        value = float(cells[group])
        n = photos[key]
        if not feasible(value, n):
            if key not in fits:
                fits[key] = [m for m in range(1, 1001) if all(feasible(p, m) for p in printed[key])]
            nearest = round(value * n / 100)
            reason = f"no k/{n} ({nearest}/{n} is {100 * nearest / n:.2f}){_who(cells)}"
            if len(printed[key]) > 1 and fits[key]:
                reason += f"; the smallest n that fits all its printed values is {fits[key][0]}"
            yield Finding(
                "GRIM", table.number, i, group, cells[group], f"{100 * nearest / n:.2f}", reason
            )


def _totals(raw: Raw) -> Iterator[Finding]:
    """Photos of the classes sum to the totals in the text."""
    stated = {cells["quantity"]: cells["value"] for cells in raw[STATED]}
    for group in ("n_common", "n_counter"):
        total = sum(int(cells[group]) for cells in raw[CLASSES])
        if total != int(float(stated[group])):
            reason = f"the classes sum to {total}, the text says {stated[group]}"
            yield Finding("total", 2, 0, group, stated[group], str(total), reason)


def _class_means(raw: Raw) -> Iterator[Finding]:
    """Group accuracies are means of class accuracies, plain (Table 3) or weighted by photos (Table
    11).
    """
    photos = {(c["class_id"], g): float(c[f"n_{g}"]) for c in raw[CLASSES] for g in GROUPS}
    rows = {(target.number, name): (i, cells) for target, i, name, cells in _rows(raw)}
    for table in CLASS_TABLES:
        models = dict.fromkeys(cells["model"] for cells in raw[table.file])
        for model, target, group in product(models, (TABLE_OF[3], TABLE_OF[11]), GROUPS):
            if (target.number, model) not in rows:
                continue
            i, cells = rows[target.number, model]
            classes = [c for c in raw[table.file] if c["model"] == model]
            micro = target.mean == "micro"
            weights = [photos[c["class_id"], group] if micro else 1.0 for c in classes]
            mean = np.average([float(c[group]) for c in classes], weights=weights)
            if abs(mean - float(cells[group])) > ROUNDING + SLACK:
                how = "weighted by photos" if micro else "plain"
                reason = f"{how} mean of Table {table.number}'s classes of {model} is {mean:.2f}"
                yield Finding(
                    "class mean", target.number, i, group, cells[group], f"{mean:.2f}", reason
                )


def _pairs(raw: Raw, same_protocol: bool):
    """Two rows of one model in different tables; from Table 9 only the checkpoints that Table 3
    uses (see Table 6).
    """
    used = {(c["backbone"], c["pretrain_dataset"], c["checkpoint"]) for c in raw[CHECKPOINTS]}
    by_model = defaultdict(list)
    for entry in _rows(raw):
        table, _, name, cells = entry
        if (
            table.number != 9
            or tuple(cells[k] for k in ("backbone", "pretrain_dataset", "checkpoint")) in used
        ):
            by_model[name].append(entry)
    for entries in by_model.values():
        for a, b in combinations(entries, 2):
            protocols = [(t.labels, t.prompt, t.mean) for t in (a[0], b[0])]
            if a[0] is not b[0] and (protocols[0] == protocols[1]) == same_protocol:
                yield a, b


def _agreement(raw: Raw) -> Iterator[Finding]:
    """Figures that are printed in two tables agree."""
    for ((table, _, model, cells), (other, i, _, copy)), group in product(
        _pairs(raw, same_protocol=True), GROUPS
    ):
        if float(cells[group]) != float(copy[group]):
            reason = f"{model} under the same protocol in Table {table.number} has {cells[group]}"
            yield Finding("agreement", other.number, i, group, copy[group], cells[group], reason)
    first = {(c["model"], c["class_id"]): c for c in raw[CLASS_TABLES[0].file]}
    for (table, i, model, cells), group in product(_rows(raw, CLASS_TABLES[1:]), GROUPS):
        own = first.get((model, cells["class_id"]), cells)[group]
        if float(own) != float(cells[group]):
            reason = f"class {cells['class_id']} of {model} in Table 15 has {own}"
            yield Finding("agreement", table.number, i, group, cells[group], own, reason)
    listed = {name for *_, name, _ in _rows(raw, (TABLE_OF[3],))}
    for table, i, model, cells in _rows(raw, (TABLE_OF[9],)):
        if model not in listed:
            name = f"{cells['pretrain_dataset']} {cells['backbone']}"
            yield Finding(
                "agreement",
                table.number,
                i,
                "model",
                name,
                "a model of Table 3",
                f"Table 3 has no {name}",
            )


def _copies(raw: Raw) -> Iterator[Finding]:
    """No model has both accuracies equal under two protocols, to a hundredth of a point."""
    for (table, _, model, cells), (other, i, _, copy) in _pairs(raw, same_protocol=False):
        if all(cells[group] == copy[group] for group in GROUPS):
            reason = f"{model}: both accuracies repeat Table {table.number}, another protocol"
            pair = f"{copy['common']} / {copy['counter']}"
            yield Finding(
                "copied", other.number, i, "common, counter", pair, "other digits", reason
            )


def _outliers(raw: Raw) -> Iterator[Finding]:
    """Between two protocols each model's logit moves like the other models' logits (median and
    MAD).
    """
    for base in (TABLE_OF[3], TABLE_OF[4]):
        reference = {name: cells for *_, name, cells in _rows(raw, (base,))}
        others = [
            t for t in GROUP_TABLES if t.family == base.family and t.number not in (base.number, 9)
        ]
        for table, group in product(others, GROUPS):
            rows = [row for row in _rows(raw, (table,)) if row[2] in reference]
            before = np.array([float(reference[name][group]) for *_, name, _ in rows])
            after = np.array([float(cells[group]) for *_, cells in rows])
            gain = _logit(after) - _logit(before)
            points = after - before
            z = (gain - np.median(gain)) / median_abs_deviation(gain, scale="normal")
            for k in np.flatnonzero(np.abs(z) > OUTLIER):
                _, i, name, cells = rows[k]
                reason = (
                    f"{name} gains {points[k]:.2f} points over Table {base.number}, {abs(z[k]):.1f}"
                    " robust deviations from the other models' shift (median"
                    f" {np.median(points):.2f} points)"
                )
                expected = 100 * expit(_logit(before[k]) + np.median(gain))
                yield Finding(
                    "outlier", table.number, i, group, cells[group], f"about {expected:.1f}", reason
                )


def _logit(percent):
    # clipped to one printed unit from 0 and 100, so it is finite
    return logit(np.clip(percent, 0.01, 99.99) / 100)


def _chance(raw: Raw) -> Iterator[Finding]:
    """No model is worse than guessing."""
    for (table, i, name, cells), group in product(_rows(raw), GROUPS):
        chance = 100 / int(table.labels)
        if family_of(name) != "LVLM" and float(cells[group]) < chance:
            reason = (
                f"below chance, {chance:g}, perhaps a fraction that was meant as"
                f" percent{_who(cells)}"
            )
            yield Finding(
                "chance", table.number, i, group, cells[group], f"above {chance:g}", reason
            )
