"""The figure of a fine-tuning: accuracies in and out of distribution by learner, with printed numbers beside."""

from typing import Any

from matplotlib.figure import Figure

from experiments.inference import LEVEL
from experiments.style import styled

WORDS = {"trained": "in distribution", "rand": "any background", "rev": "another class's background"}
MARKS = {"RN50": "s", "ViT16": "D"}  # of the two models of Table 7
OFFSET = 0.22  # between the groups of a learner


@styled
def picture(document: dict[str, Any]) -> Figure:
    """Accuracy in percent with intervals over trainings; hollow marks are Table 7."""
    learners = list(dict.fromkeys(row["learner"] for row in document["accuracies"]))
    figure = Figure(figsize=(7.0, 1.6 + 0.6 * len(learners)))
    panel = figure.subplots()
    for k, (group, words) in enumerate(WORDS.items()):
        height = {learner: i + (k - 1) * OFFSET for i, learner in enumerate(learners)}
        for row in document["accuracies"]:
            if row["group"] != group:
                continue
            y = height[row["learner"]]
            if row["interval"] is not None:
                panel.plot([100 * end for end in row["interval"]], [y, y], color=f"C{k}", linewidth=2)
            panel.plot(100 * row["mean"], y, "o", color=f"C{k}")
        panel.plot([], [], "o", color=f"C{k}", label=words)
        for row in document["printed"]:
            if row["group"] == group and row["backbone"] in MARKS and row["learner"] in height:
                mark, y = MARKS[row["backbone"]], height[row["learner"]]
                panel.plot(100 * row["printed"], y, mark, color=f"C{k}", fillstyle="none")
    for backbone, mark in MARKS.items():
        panel.plot([], [], mark, color="#555555", fillstyle="none", label=f"{backbone} of Table 7 [W]")
    panel.set_yticks(range(len(learners)), learners)
    panel.set_ylim(len(learners) - 0.5, -0.5)
    panel.set_xlim(-2, 102)
    panel.set_xlabel("accuracy [%]")
    panel.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    seeds = max((row["replicates"] for row in document["accuracies"]), default=0)
    bars = f", {LEVEL:.0%} t intervals over {seeds} trainings" if seeds > 1 else ""
    figure.suptitle(f"{document['model']}: mean accuracy{bars}", fontsize=8, x=0.01, ha="left")
    return figure
