"""Documents as rich tables, for people: accuracies in percent."""

from typing import Any

from rich.table import Table
from rich.text import Text

VERDICT_STYLES = {"supported": "green", "contradicted": "red", "undecided": "yellow"}


def accuracy_table(document: dict[str, Any]) -> Table:
    """Result of predict or simulate: measured (with interval) beside predicted where there are both."""
    prompt = f", {document['prompt']} prompt" if document["prompt"] else ""
    table = Table(title=f"{document['learner']}{prompt}", title_justify="left")
    table.add_column("group")
    simulated = "replicates" in document
    if simulated:
        table.title += f", n = {document['n']:.3g}, {len(document['replicates'])} replicates, {document['method']}"
        table.add_column("measured %", justify="right")
        table.add_column("95% interval", justify="right")
    table.add_column("predicted %", justify="right")
    predicted = document.get("predicted") if simulated else document
    interval = document.get("interval95") or {}
    for group in ("common", "counter", "balanced", "drop"):
        cells = [group]
        if simulated:
            ends = interval.get(group)
            cells += [_percent(document[group]), f"{_percent(ends[0])} to {_percent(ends[1])}" if ends else ""]
        cells.append(_percent(predicted[group]) if predicted else "none")
        table.add_row(*cells)
    if document.get("reliance") is not None:
        table.caption = f"reliance (weight on background per weight on object): {document['reliance']:.4f}"
    return table


def claims_table(document: list[dict[str, Any]]) -> Table:
    """The catalogue."""
    table = Table("claim", "source", "statement", show_lines=True)
    for row in document:
        table.add_row(Text(row["claim"]), Text(row["source"]), Text(row["statement"]))
    return table


def verdict_table(document: list[dict[str, Any]]) -> Table:
    """Verdicts with the numbers they rest on; --json has the rest."""
    table = Table()
    table.add_column("claim", overflow="fold", min_width=34)
    for name in ("verdict", "predicted", "measured"):
        table.add_column(name, no_wrap=True, justify="left" if name == "verdict" else "right")
    table.add_column("route")
    for row in document:
        table.add_row(
            Text(row["claim"]),
            Text(row["verdict"], style=VERDICT_STYLES[row["verdict"]]),
            _number(row["predicted"]),
            _number(row["measured"]),
            row["route"],
        )
    return table


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
