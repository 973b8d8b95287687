"""What came out of a fine-tuning, as one document: every training, the chosen ones, means over seeds beside Table 7."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.files import write_json, write_table
from experiments.inference import LEVEL, t_bounds
from experiments.lab.finetuning.asked import GRID, NAME, Asked, finetuning
from experiments.lab.finetuning.kept import RESULT, TABLE, Kept
from experiments.provenance import provenance
from experiments.published.tables import coloured_objects

GROUPS = ("trained", "rand", "rev", "rest")  # common and counter say no more: counter is Rev where all classes are tied
COLUMNS = ("learner", "replicate", *GRID, "first_loss", "last_loss", "validation", "chosen", "seconds")


def document(asked: Asked, full: bool, kept: Kept, facts: dict[str, Any]) -> dict[str, Any]:
    """All of it, for JSON and for the screen; accuracies are fractions."""
    words = finetuning().words
    order = [(learner, replicate) for learner, replicate in asked.runs()]
    tests = sorted(kept.tests, key=lambda row: order.index((row["learner"], row["replicate"])))
    return {
        "verb": "sweep",
        "design": {"name": NAME, "full": full, **words},
        "model": asked.model,
        **facts,
        "specification": kept.specification,
        "output": None if kept.folder is None else str(kept.folder),
        "trainings": kept.trainings,
        "tests": tests,
        "accuracies": [row for learner in asked.learners for row in _means(learner, tests)],
        "printed": [row for row in coloured_objects() if row["learner"] in asked.learners],
        "provenance": provenance(),
    }


def _means(learner: str, tests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a group: mean over trainings and its t interval; trainings that lost their finite loss are left out.

    The interval is of the mean over trainings on the same test objects. Trainings that all agree have shown no spread,
    and have none.
    """
    own = [row["accuracies"] for row in tests if row["learner"] == learner]
    measured = [row for row in own if row is not None]
    found = []
    for group in GROUPS:
        values = np.array([row[group] for row in measured if group in row])
        if values.size:
            bounds = t_bounds(values, (1 - LEVEL) / 2) if np.ptp(values) > 0 else None
            ends = None if bounds is None else [float(np.clip(end, 0, 1)) for end in bounds]
            count = {"replicates": values.size, "diverged": len(own) - len(measured)}
            found.append({"learner": learner, "group": group, "mean": float(values.mean()), "interval": ends, **count})
    return found


def write(said: dict[str, Any], folder: Path) -> None:
    """The document and the table of all trainings."""
    chosen = [{name: row.get(name) for name in ("learner", "replicate", *GRID)} for row in said["tests"]]
    rows = []
    for row in said["trainings"]:
        point = {name: row[name] for name in ("learner", "replicate", *GRID)}
        rows.append([{**row, "chosen": int(point in chosen)}.get(name) for name in COLUMNS])
    write_table(folder / TABLE, COLUMNS, rows)
    write_json(folder / RESULT, said)
