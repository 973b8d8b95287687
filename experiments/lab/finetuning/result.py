"""The result of a fine-tuning as one document: each training, the chosen ones, and means over seeds beside Table 7."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.files import write_json, write_table
from experiments.inference import LEVEL, t_bounds
from experiments.lab.finetuning.progress import RESULT, TABLE, Progress
from experiments.lab.finetuning.spec import GRID, NAME, FineTuning, preset
from experiments.provenance import provenance
from experiments.published.tables import coloured_objects

# Without common and counter: where all classes are tied, counter is rev.
GROUPS = ("trained", "rand", "rev", "rest")
COLUMNS = ("learner", "replicate", *GRID, "first_loss", "last_loss", "validation", "chosen", "seconds")


def document(request: FineTuning, full: bool, progress: Progress, facts: dict[str, Any]) -> dict[str, Any]:
    """The whole result; accuracies are fractions."""
    order = list(request.runs())
    tests = sorted(progress.tests, key=lambda row: order.index((row["learner"], row["replicate"])))
    return {
        "verb": "sweep",
        "design": {"name": NAME, "full": full, **preset().words},
        "model": request.model,
        **facts,
        "specification": progress.specification,
        "output": None if progress.folder is None else str(progress.folder),
        "trainings": progress.trainings,
        "tests": tests,
        "accuracies": [row for learner in request.learners for row in means(learner, tests)],
        "printed": [row for row in coloured_objects() if row["learner"] in request.learners],
        "provenance": provenance(),
    }


def means(learner: str, tests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per group the mean over trainings and its t interval; diverged trainings are left out.

    The interval is for the mean over trainings on the same test objects. It is None if all trainings are equal.
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


def write(document: dict[str, Any], folder: Path) -> None:
    """Write the document and the table of all trainings."""
    keys = ("learner", "replicate", *GRID)
    chosen = [[row.get(name) for name in keys] for row in document["tests"]]
    rows = [{**row, "chosen": int([row[name] for name in keys] in chosen)} for row in document["trainings"]]
    write_table(folder / TABLE, COLUMNS, [[row.get(name) for name in COLUMNS] for row in rows])
    write_json(folder / RESULT, document)
