"""GroupDRO (Sagawa et al. 2020, arXiv 1911.08731, Algorithm 1) on any objective whose pairs may have weights.

Towers descend sum_g q_g L_g, L_g the mean loss of a batch's pairs of group g, and the weights q of the groups ascend
it: q_g <- q_g exp(STEP L_g), normalised. The gradient of the sum with respect to q_g is L_g, so nothing is needed but
the gradient that is there anyway.

Supervised objectives: q uniform, with the optimum at p = 1/K, is a saddle point. At p = 1/K the optimum ignores the
background, so all groups lose the same and any q is a maximiser; and q uniform weighs pairs as that law does, so that
optimum is the minimiser. Group weights off it are driven back: where the common groups weigh more, the rule relies on
the background and the counter groups lose more.

Contrastive objectives have no such point. Among negatives as they come a common pair has more that are like it, so it
loses more than a counter pair already where groups weigh the same, and q moves towards the common groups: the loss of a
group is no stand-in for its zero-shot error. No law is known of where that ends.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from simulator.samplers import group_numbers

if TYPE_CHECKING:
    from simulator.towers.objectives import Embedded, Objective

Parameters = dict[str, torch.Tensor]

STEP = 0.01  # eta_q of the paper's experiments
WEIGHTS = "group_weights"


def group_dro(objective: "Objective", name: str, sampler: str | None) -> "Objective":
    """GroupDRO on an objective's loss; it runs in one process."""
    if not objective.weighted:
        raise ValueError(f"loss = {objective.name!r} takes no weights of pairs, so there is no GroupDRO on it")

    def after(new: Parameters, before: Parameters, gradients: Parameters) -> Parameters:
        return {**objective.after(new, before, gradients), WEIGHTS: ascended(before[WEIGHTS], gradients[WEIGHTS])}

    return replace(
        objective,
        name=name,
        whole=_against(objective.whole),
        share=None,
        tiled=False,
        raised={WEIGHTS: _uniform},
        after=after,
        sampler=sampler,
    )


def ascended(weights: torch.Tensor, losses: torch.Tensor) -> torch.Tensor:
    """q exp(STEP L), normalised; both (E, G)."""
    return torch.softmax(weights.log() + STEP * losses, dim=1)


def _uniform(classes: int) -> np.ndarray:
    return np.full(classes**2, 1 / classes**2)


def _against(whole: Callable[["Embedded"], torch.Tensor]) -> Callable[["Embedded"], torch.Tensor]:
    """The loss whose pairs count q_g B/B_g, B_g of the batch's B pairs being in their group."""

    def weighed(batch: "Embedded") -> torch.Tensor:
        q = batch.parameters[WEIGHTS]
        groups = group_numbers(batch.labels, batch.backgrounds, round(q.shape[1] ** 0.5))
        count = torch.zeros_like(q).scatter_add(1, groups, torch.ones_like(groups, dtype=q.dtype))
        each = q / count.clamp(min=1)  # a group without a pair in the batch loses nothing, and is not infinite
        return whole(batch._replace(weights=each.gather(1, groups) * groups.shape[1]))

    return weighed
