"""Output of `sweep` for a fine-tuned model."""

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from experiments.command.output import folded
from experiments.inference import LEVEL
from experiments.lab.words import counted

HEADS = {"trained": "in distribution %", "rand": "Rand %", "rev": "Rev %", "rest": "Rest %"}


def finetuned(document: dict[str, Any]) -> Group:
    """Mean accuracies by learner, Table 7, the chosen hyperparameters, and the path of the result."""
    test = sum(document["objects"]["test"])
    title = (
        f"{document['model']} on {counted(test, 'test object')} of {len(document['names'])} classes: "
        f"mean over trainings ({LEVEL:.0%} interval)"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("learner")
    groups = [group for group in HEADS if any(row["group"] == group for row in document["accuracies"])]
    for group in groups:
        table.add_column(HEADS[group], justify="right")
    for learner in document["specification"]["learners"]:
        cells = {row["group"]: _mean(row) for row in document["accuracies"] if row["learner"] == learner}
        table.add_row(learner, *(cells.get(group, "none") for group in groups))
    lines = [_printed(document["printed"]), _chosen(document["tests"])]
    lost = sum(row["validation"] is None for row in document["trainings"])
    if lost:
        lines.append(Text(f"{counted(lost, 'training')} lost a finite loss and were not chosen", style="yellow"))
    kept = f"all of it: {document['output']}" if document["output"] else "nothing was kept: -o FOLDER keeps it"
    words = (Text(document["design"]["look"]), Text(f"What is known: {document['design']['answer']}"))
    return folded(table, *lines, *words, Text(kept, style="dim"))


def _mean(row: dict[str, Any]) -> str:
    ends = "" if row["interval"] is None else f" ({' to '.join(f'{100 * end:.1f}' for end in row['interval'])})"
    return f"{100 * row['mean']:.1f}{ends}"


def _printed(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Table 7 of [W], OpenAI's weights: in and out of distribution %", title_justify="left")
    table.add_column("learner")
    backbones = list(dict.fromkeys(row["backbone"] for row in rows))
    for backbone in backbones:
        table.add_column(backbone, justify="right")
    cells: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        cells.setdefault(row["learner"], {}).setdefault(row["backbone"], []).append(f"{100 * row['printed']:.2f}")
    for learner, own in cells.items():
        table.add_row(learner, *(", ".join(own[backbone]) for backbone in backbones))
    return table


def _chosen(tests: list[dict[str, Any]]) -> Table:
    table = Table(title="chosen by validation in distribution, one row per training", title_justify="left")
    table.add_column("learner")
    for name in ("learning rate", "decay", "warm-up", "validation %"):
        table.add_column(name, justify="right")
    for row in tests:
        chosen = [f"{row[name]:g}" if name in row else "" for name in ("lr", "weight_decay", "warmup")]
        table.add_row(
            row["learner"], *chosen, "none" if row["validation"] is None else f"{100 * row['validation']:.1f}"
        )
    return table
