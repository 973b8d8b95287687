"""Tables of comparisons, each described once for the terminal and the page."""

from experiments.heads.tables import PLACE_COLUMNS, Record, answer, in_order, spanned
from experiments.results import FEWEST, QUANTITIES, too_few
from experiments.table import NUMBER, Column, Table, gain, points

MARKS = {
    "*": "interval of the line alone: the model's own error is unknown",
    "†": "extrapolated: outside the common accuracies of the line's models",
    "‡": "an accuracy of 0 or 100 %: hollow, at infinity on stretched axes, used for no line",
}


def _of_line(row: Record) -> str:
    over = (row["effective_robustness"] or {}).get("logit")
    return (
        "" if over is None else "*" * (over["interval_of"] == "line") + "†" * over["extrapolated"]
    )


def marks(document: Record) -> dict[str, str]:
    """The marks in the table of a comparison, with their meaning."""
    rows = document["rows"]
    every = "".join(map(_of_line, rows)) + "‡" * (
        bool(document["lines"]) and any(row["at_edge"] for row in rows)
    )
    return {mark: meaning for mark, meaning in MARKS.items() if mark in every}


def comparison_table(document: Record) -> Table:
    """Models in order of counter accuracy, with effective robustness on logit axes; the files have
    the other axes.
    """

    def accuracy(name: str) -> Column:
        return Column(
            f"{name} %", lambda row: spanned(points, row[name], row[f"interval_{name}"]), NUMBER
        )

    def over(row: Record) -> str:
        if row["effective_robustness"] is None:
            return ""
        line = row["effective_robustness"]["logit"]
        first, span = spanned(gain, line["value"], line["interval"]).split("\n")
        return f"{first}{_of_line(row)}\n{span}"

    def named(row: Record) -> str:
        return (
            f"{row['number']} {row['model']}{' ‡' if row['at_edge'] and document['lines'] else ''}"
        )

    columns = [Column("model", named), *map(accuracy, QUANTITIES)]
    if document["ranking"]:
        columns += [
            column._replace(
                value=lambda row, cell=column.value: row["equivalent"] and cell(row["equivalent"])
            )
            for column in PLACE_COLUMNS
        ]
    if document["reference"]:
        columns.append(Column(f"over the {document['reference']} line", over, NUMBER))
    return Table(None, columns, sorted(document["rows"], key=lambda row: row["number"]))


def has_sign_test(document: Record) -> bool:
    """Whether a pair has enough classes for a sign test that could tell anything."""
    return any(pair["classes"] >= FEWEST for pair in document["pairs"])


def pairs_table(document: Record, *names: str) -> Table:
    """Second model minus first in these numbers, and class by class."""

    def columns(name: str) -> list[Column]:
        return [
            Column(
                name,
                lambda pair: spanned(gain, pair[name]["difference"], pair[name]["interval"]),
                NUMBER,
            ),
            Column(
                "up:down",
                lambda pair: f"{pair[name]['classes_up']}:{pair[name]['classes_down']}",
                NUMBER,
            ),
            Column("p", lambda pair: f"{pair[name]['sign_test_p']:.3g}", NUMBER),
        ][: 3 if has_sign_test(document) else 1]

    models = Column(
        "second - first",
        lambda pair: f"{pair['second']} - {pair['first']}\n{pair['classes']} classes",
    )
    return Table(
        None, [models, *(column for name in names for column in columns(name))], document["pairs"]
    )


def over_photos(document: Record) -> str | None:
    """Which models have intervals over photos, and why."""
    few: dict[int, list[str]] = {}
    for name, classes in document["over_photos"].items():
        few.setdefault(classes, []).append(name)
    reasons = "; ".join(
        f"for {', '.join(names)}: {too_few(classes)}" for classes, names in few.items()
    )
    return f"over photos, not over classes, {reasons}" if few else None


def lead(document: Record) -> str:
    """The answer of a comparison in one sentence: the order by p', the only p', or what p'
    lacks.
    """
    if order := in_order(document["ranking"], document):
        return f"In order of p′, the least reliance on the background first: {order}"
    placed = [
        answer(row["model"], row["equivalent"]) for row in document["rows"] if row["equivalent"]
    ]
    return placed[0] if placed else f"p′ is unknown: {document['equivalent_lacks']}"
