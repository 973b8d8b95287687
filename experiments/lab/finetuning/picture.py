"""Fine-tuned models in and out of distribution, a row a learner, printed figures beside: a function of the document."""

from typing import Any

from matplotlib.figure import Figure

from experiments.inference import LEVEL
from experiments.style import styled

WORDS = {"trained": "in distribution", "rand": "any background", "rev": "another class's background"}
MARKS = {"RN50": "s", "ViT16": "D"}  # of the two models of Table 7
SPREAD = 0.22  # of a learner's row, between groups


@styled
def picture(said: dict[str, Any]) -> Figure:
    """Accuracy in percent with intervals over trainings; hollow: Table 7."""
    learners = list(dict.fromkeys(row["learner"] for row in said["accuracies"]))
    figure = Figure(figsize=(7.0, 1.6 + 0.6 * len(learners)))
    panel = figure.subplots()
    for k, (group, words) in enumerate(WORDS.items()):
        rows = [row for row in said["accuracies"] if row["group"] == group]
        offset = (k - 1) * SPREAD
        for row in rows:
            y = learners.index(row["learner"]) + offset
            if row["interval"] is not None:
                panel.plot([100 * end for end in row["interval"]], [y, y], color=f"C{k}", linewidth=2)
            panel.plot(100 * row["mean"], y, "o", color=f"C{k}")
        panel.plot([], [], "o", color=f"C{k}", label=words)
        for backbone, mark in MARKS.items():
            own = [r for r in said["printed"] if (r["backbone"], r["group"]) == (backbone, group)]
            for row in own:
                y = learners.index(row["learner"]) + offset if row["learner"] in learners else None
                if y is not None:
                    panel.plot(100 * row["printed"], y, mark, color=f"C{k}", fillstyle="none")
    for backbone, mark in MARKS.items():
        panel.plot([], [], mark, color="#555555", fillstyle="none", label=f"{backbone} of Table 7 [W]")
    panel.set_yticks(range(len(learners)), learners)
    panel.set_ylim(len(learners) - 0.5, -0.5)
    panel.set_xlim(-2, 102)
    panel.set_xlabel("accuracy [%]")
    panel.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    seeds = max((row["replicates"] for row in said["accuracies"]), default=0)
    bars = f", {LEVEL:.0%} t intervals over {seeds} trainings" if seeds > 1 else ""
    figure.suptitle(f"{said['model']}: mean accuracy{bars}", fontsize=8, x=0.01, ha="left")
    return figure
