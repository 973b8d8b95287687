"""The screen of counteranimal law."""

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from experiments.command.output import VERDICT_STYLES, folded, interval, percent


def law_view(document: dict[str, Any]) -> Group:
    """Verdicts with predictions and measurements, then each model's reliance and drop."""
    return folded(
        Text(f"claim: {document['statement']}"),
        _predictions(document["models"]),
        *_notes(document),
        _reliances(document["models"]),
        Text("t: effect of backgrounds over that of classes, on a class's score (95%), from the fitted half"),
        Text("drop: common - counter, on the other half"),
        Text(_ranked(document["ranking"])),
    )


def _predictions(models: list[dict[str, Any]]) -> Table:
    table = Table("model", title="Predicted : measured, %", title_justify="left")
    table.add_column("verdict", no_wrap=True)
    for name in ("common", "counter", "off a class"):
        table.add_column(name, justify="right")
    for m in models:
        law = m["law"]
        groups = (f"{percent(g['predicted'])} : {percent(g['measured'])}" for g in law["groups"].values())
        rms = law["rms"]
        table.add_row(
            Text(m["model"]),
            Text(m["verdict"], style=VERDICT_STYLES[m["verdict"]]),
            *groups,
            f"{percent(rms['value'])} ({interval(rms['bounds'])})",
        )
    return table


def _notes(document: dict[str, Any]) -> list[Text]:
    parts = [Text(f"{m['model']}: {m['reason']}") for m in document["models"]]
    alpha, tolerance = document["alpha"], 100 * document["tolerance"]
    parts.append(Text("off a class: root mean square over classes and groups, beyond sampling error"))
    held = f"if the law holds, it is contradicted with probability {alpha:g} at most"
    parts.append(Text(f"tolerance {tolerance:g} points; {held}"))
    for m in document["models"]:
        if m["photos_without_cell"]:
            said = (
                f"{m['model']}: {m['photos_without_cell']} photos are not measured: their class lacks a group, or their"
            )
            parts.append(Text(f"{said} background has one photo", style="yellow"))
    return parts


def _reliances(models: list[dict[str, Any]]) -> Table:
    table = Table("model", title="Reliance on the background", title_justify="left")
    for name in ("t (95%)", "drop %"):
        table.add_column(name, justify="right")
    for m in models:
        table.add_row(
            Text(m["model"]),
            _estimate(m["reliance"]["t"], m["reliance"]["interval"]),
            percent(m["drop"]),
        )
    return table


def _estimate(value: float | None, ends: list[float] | None) -> str:
    if value is None:
        return "none"
    return f"{value:.2f}" + ("" if ends is None else f" ({ends[0]:.2f} to {ends[1]:.2f})")


def _ranked(found: dict[str, Any]) -> str:
    n = found["models"]
    if found["tau"] is None:
        return f"t ranks models as the drop does: undecided, {n} model{'s' * (n != 1)} have no order to compare"
    said = f"Kendall's tau {found['tau']:+.2f}, n = {n}, exact p = {found['p']:.2g}, error rate {found['alpha']:g}"
    return f"t ranks models as the drop does: {found['verdict']} ({said})"
