"""The files of a comparison: a figure in three formats, a page with a sortable table, a CSV, and the document."""

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.counteranimal.figures import comparison_figure, write_figure
from experiments.counteranimal.robustness import Result
from experiments.effective_robustness import AXES
from experiments.files import output_folder, write_json, write_table, write_text

COLUMNS = ("number", "source", "model", "family", "mean", "labels", "common", "counter", "drop")


def write_comparison(folder: Path, results: Sequence[Result], document: dict[str, Any], seed: int = 0) -> Path:
    """Write comparison.svg, .pdf, .png, .html, .csv (a row per model) and .json; returns the path of the SVG."""
    output_folder(folder)
    write_figure(folder / "comparison", comparison_figure(results, seed))
    path = folder / "comparison.svg"
    write_text(folder / "comparison.html", page(document, path.read_bytes()))
    names = ("effective_robustness", "low", "high", "extrapolated")
    header = [*COLUMNS, "comparable", "at_edge", *(f"{name}_{axis}" for axis in AXES for name in names)]
    write_table(folder / "comparison.csv", header, (_cells(row) for row in document["rows"]))
    write_json(folder / "comparison.json", document)
    return path


def _cells(row: dict[str, Any]) -> list[Any]:
    cells = [row[c] for c in COLUMNS] + [int(row["comparable"]), int(row["at_edge"])]
    for axis in AXES:
        over = (row["effective_robustness"] or {}).get(axis)
        cells += ["", "", "", ""] if over is None else [over["value"], *over["interval"], int(over["extrapolated"])]
    return cells


def page(document: dict[str, Any], drawing: bytes) -> str:
    """The text of comparison.html. It needs no network and no other file; all inserted text is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # start-up time

    environment = Environment(
        loader=PackageLoader("experiments.counteranimal", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("comparison.html.jinja").render(
        **document, axes=AXES, drawing=b64encode(drawing).decode("ascii")
    )
