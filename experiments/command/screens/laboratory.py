"""Output of `designs`, `sweep` and `plot`."""

from collections import Counter
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from experiments.command.output import folded, indented, percent
from experiments.lab.words import counted, duration


def sweep_table(document: dict[str, Any]) -> Group:
    """Ranges of the accuracies of a study, one row per learner, prompt and route; then the path of the numbers."""
    sizes = " x ".join(f"{name} {size}" for name, size in document["dimensions"].items())
    table = Table(title=f"{counted(document['cells'], 'cell')}: {sizes}", title_justify="left")
    several = "route" in document["dimensions"]
    for name in ("learner", "prompt", *(("route",) if several else ())):
        table.add_column(name)
    for name in ("common %", "counter %", "undefined"):
        table.add_column(name, justify="right")
    why: Counter[tuple[str, str]] = Counter()
    for one in document["ranges"]:
        cells = [one["learner"], one["prompt"], *((one["route"],) if several else ())]
        for name in ("common", "counter"):
            cells.append(f"{percent(one[name][0])} to {percent(one[name][1])}" if one[name] else "none")
        table.add_row(*cells, str(sum(one["undefined"].values()) or ""))
        why.update({(one.get("route", ""), sentence): count for sentence, count in one["undefined"].items()})
        if one.get("route") == document["ranges"][0].get("route"):  # the theory is the same for all routes
            unpredicted = one.get("predicted_undefined", {})
            why.update({("theory", sentence): count for sentence, count in unpredicted.items()})
    lines = [
        Text(f"{count} undefined{f' ({route})' if route else ''}: {sentence}", style="yellow")
        for (route, sentence), count in why.items()
    ]
    kept = (
        f"numbers: {document['output']}" if document["output"] else "nothing was kept: -o PATH.zarr keeps the numbers"
    )
    if document["gains"]:
        lines.append(gains_table(document["gains"]))
    if document.get("printed"):
        lines.append(printed_table(document["printed"]))
    if document["design"] is not None:
        lines += [Text(document["design"]["look"]), Text(f"The quick size says: {document['design']['answer']}")]
    return folded(table, *lines, Text(kept, style="dim"))


def printed_table(rows: list[dict[str, Any]]) -> Table:
    """Measured beside printed numbers, one row per setting and learner: means and deviations in percent."""
    table = Table(title="measured % (printed %)", title_justify="left")
    keys = ("classes", "p_inv", "p_spu", "learner")
    groups = list(dict.fromkeys(row["group"] for row in rows))
    for name in (*keys, *groups):
        table.add_column(name, justify="left" if name == "learner" else "right")
    settings: dict[tuple[Any, ...], dict[str, str]] = {}
    for row in rows:
        numbers = f"{_with(row, 'measured', 'deviation')} ({_with(row, 'printed', 'printed_deviation')})"
        settings.setdefault(tuple(row[key] for key in keys), {})[row["group"]] = numbers
    for setting, cells in settings.items():
        table.add_row(*map(str, setting), *(cells.get(group, "") for group in groups))
    return table


def _with(row: dict[str, Any], mean: str, deviation: str) -> str:
    return f"{100 * row[mean]:.1f}" + ("" if row[deviation] is None else f" ± {100 * row[deviation]:.1f}")


def gains_table(rows: list[dict[str, Any]]) -> Table:
    """What mitigations gain and cost compared with none, and their inflation of the sample size."""
    title = "compared with no mitigation, in points (theory in brackets); pairs: inflation of the sample size"
    table = Table(title=title, title_justify="left")
    numbers = ("counter_gained", "common_lost", "pairs", "predicted_counter_gained", "predicted_common_lost")
    heads = [name for name in rows[0] if name not in numbers and len({row[name] for row in rows} - {None}) > 1]
    for name in heads:
        table.add_column(name)
    for name in ("counter gained", "common lost", "pairs"):
        table.add_column(name, justify="right")
    for row in rows:
        cells = [str(row[name] if row[name] is not None else "") for name in heads]
        for name in ("counter_gained", "common_lost"):
            theory = row.get(f"predicted_{name}")
            cells.append(_points(row[name]) + ("" if theory is None else f" ({_points(theory)})"))
        table.add_row(*cells, "" if row["pairs"] is None else f"{row['pairs']:.2f} x")
    return table


def _points(fraction: float | None) -> str:
    return "none" if fraction is None else f"{100 * fraction:+.1f}".replace("-0.0", "+0.0")


def designs_table(document: list[dict[str, Any]]) -> Group:
    """Sizes and question of each design."""
    lines: list[RenderableType] = []
    for row in document:
        sizes = [f"{name} {_size(row[name])}" for name in ("quick", "full")]
        if "needs" in row:
            sizes.append(f"needs {row['needs']}")
        lines += [Text.assemble((row["design"], "bold"), "  ", ("; ".join(sizes), "dim")), indented(row["question"])]
    note = "Times were measured on one core."
    return Group(*lines, Text(note, style="dim"))


def _size(size: dict[str, Any]) -> str:
    if "trainings" in size:
        return counted(size["trainings"], "training")
    return f"{size['cells']:,} cells, {duration(size['seconds'])}"


def plotted(document: dict[str, Any]) -> Text:
    """The file, and what it shows."""
    panels = len(document["panels"])
    over = " and ".join(axis["name"] for axis in document["axes"])
    shown = f"{document['what']}{f' over {over}' if over else ''}, {panels} panel{'s' if panels > 1 else ''}"
    missing = document["cells"] - document["computed"]
    return Text(
        f"{document['output']}: {shown}" + (f"; {missing} of {document['cells']} cells missing" if missing else "")
    )
