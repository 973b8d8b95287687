"""How the trainer looks at a world: what towers read, where pairs come from, what asks, what is measured.

One object a kind of views, and `seen` alone asks which kind a world has. All else of training is the same for all.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float

from simulator.gaussian.pairs import Pairs
from simulator.prompts import Prompt
from simulator.towers.affine import Parameters, View
from simulator.world import World

if TYPE_CHECKING:
    from simulator.towers.evaluation import Recovery
    from simulator.towers.training import Ensemble

Accuracies = Mapping[str, Float[np.ndarray, "R E"]]


@dataclass(frozen=True)
class Seen:
    """What training asks of worlds of one kind of views."""

    views: Callable[[World], dict[str, View]]
    block_size: Callable[[World], int]
    block: Callable[..., Pairs]
    texts: Callable[["Ensemble", Prompt], torch.Tensor]
    trial: Callable[["Ensemble", Iterable[Prompt | None], int, int], Any]
    accuracies: Callable[["Ensemble", Parameters, Prompt | None, Any], Accuracies]
    contradicted: Callable[["Ensemble", Pairs, str, int], Pairs] | None = None
    relied: Callable[["Ensemble", Parameters, Prompt | None], Float[np.ndarray, " E"]] | None = None
    recovery: Callable[["Ensemble", Parameters], "Recovery"] | None = None
    separation: Callable[["Ensemble", Parameters], Float[np.ndarray, "E 2"]] | None = None
    refuse_net: Callable[[World, int], None] | None = None
    identity: Callable[[World], dict[str, Any]] = lambda world: {}


def seen(world: World) -> Seen:
    """How a world is looked at."""
    if world.views is None:
        from simulator.towers.gaussian_views import GAUSSIAN

        return GAUSSIAN
    from simulator.towers.pixel_views import PIXELS

    return PIXELS
