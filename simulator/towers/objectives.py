"""The table of objectives: all that the rest of the project asks of a loss, one object each; nothing else tests a name.

An objective of one's own is one object, and `register` makes its name a `Recipe.loss`:

    def to_the_centre(batch):  # (E,), one loss a model
        return (batch.images - batch.texts).square().sum(2).mean(1)

    register(Objective("to-the-centre", to_the_centre))

The sums themselves stand in `simulator.towers.losses`, and without the B x B matrix in `simulator.towers.tiles`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float, Int

from simulator.towers import losses
from simulator.towers.distributed import ALONE, Group, gather, sums, total
from simulator.towers.recipe import Recipe
from simulator.towers.tiles import tiled_infonce, tiled_siglip

CLIP_SCALE = 1 / 0.07  # Radford et al. 2021, section 2.5: temperature 0.07 at the start
SIGLIP_SCALE = 10.0  # Zhai et al. 2023, section 3.2: t' = log 10

Loss = Float[torch.Tensor, " E"]


class Embedded(NamedTuple):
    """One process's rows of a batch as an objective sees them; every field has a leading model axis E.

    Attributes
    ----------
    images, texts
        Embeddings, unit vectors where scores are cosines; one tower: texts are the images.
    labels, backgrounds
        Classes, of the pairs and of their attributes.
    scale
        s of cosine scores, None where scores are inner products.
    parameters
        Every weight by name.
    recipe
        The run's.
    group
        Processes that share the batch; process r holds rows [r b, (r + 1) b).
    """

    images: Float[torch.Tensor, "E b h"]
    texts: Float[torch.Tensor, "E b h"]
    labels: Int[torch.Tensor, "E b"]
    backgrounds: Int[torch.Tensor, "E b J"]
    scale: Float[torch.Tensor, " E"] | None
    parameters: dict[str, torch.Tensor]
    recipe: Recipe
    group: Group = ALONE

    @property
    def first(self) -> int:
        """Number of this process's first row in the batch."""
        return self.group.rank * self.images.shape[1]

    @property
    def product(self) -> torch.dtype:
        """Precision of products of embeddings."""
        return torch.bfloat16 if self.recipe.precision == "bfloat16" else self.images.dtype


@dataclass(frozen=True)
class Objective:
    """What is minimised, and what it needs.

    Parameters
    ----------
    name
        The value of `Recipe.loss`.
    whole
        Losses (E,) of a batch that one process holds, dense in the batch.
    share
        This process's share, for any number of processes: shares add up to the loss, their gradients to its gradient.
        None: the objective runs in one process.
    tiled
        Whether `share` stores no B x B logits, and so serves one process too once a batch is large.
    captions
        Whether there is a text tower. Without one the rows of a head or the classes' mean embeddings are compared.
    head
        Whether a linear head on the embedding makes class scores.
    scale
        Initial s of cosine scores, learned unless the recipe fixes a temperature; None where scores are inner products.
    bias
        Initial bias of the scores, from the recipe; None without one.
    towers
        Kinds of tower for which it is defined.
    least_batch
        Pairs without which it says nothing.
    becomes
        Kind of tower -> name of the learner whose population optimum it reaches with unlimited pairs and towers.
    limited_by_width
        Whether that optimum depends on `embed_dim` below the number of latents.
    """

    name: str
    whole: Callable[[Embedded], Loss]
    share: Callable[[Embedded], Loss] | None = None
    tiled: bool = False
    captions: bool = True
    head: bool = False
    scale: float | None = None
    bias: Callable[[Recipe], float] | None = None
    towers: tuple[str, ...] = ("linear", "mlp")
    least_batch: int = 2
    becomes: Mapping[str, str] = field(default_factory=dict)
    limited_by_width: bool = False

    @property
    def cosine(self) -> bool:
        """Whether scores are cosines times a scale."""
        return self.scale is not None

    @property
    def sides(self) -> tuple[str, ...]:
        """The towers by name."""
        return ("image", "text") if self.captions else ("image",)

    def learner(self, recipe: Recipe) -> str | None:
        """Name of the learner that a recipe's towers become; None where no law is known.

        There is none for a fixed temperature: cosines over it cannot reach scores as large as the optimum's.

        Parameters
        ----------
        recipe
            Its `loss` is this objective.
        """
        return None if recipe.temperature is not None else self.becomes.get(recipe.towers)


OBJECTIVES: dict[str, Objective] = {}


def register(objective: Objective) -> Objective:
    """Enter an objective into the table and return it.

    Raises
    ------
    ValueError
        If another one has its name.
    """
    if OBJECTIVES.setdefault(objective.name, objective) is not objective:
        raise ValueError(f"an objective named {objective.name!r} is in the table already; names are unique")
    return objective


def class_logits(parameters: dict[str, torch.Tensor], I: Float[torch.Tensor, "E B h"]) -> Float[torch.Tensor, "E B K"]:
    """Scores of the supervised head.

    Parameters
    ----------
    parameters
        Those named "head.weight" and, where there is one, "head.bias".
    I
        Embeddings of the images.
    """
    logits = torch.bmm(I, parameters["head.weight"])
    return logits + parameters["head.bias"][:, None] if "head.bias" in parameters else logits


def _matrices(batch: Embedded) -> tuple[torch.Tensor, torch.Tensor]:
    return batch.parameters["image.0.weight"], batch.parameters["text.0.weight"]


def _linear(batch: Embedded) -> Loss:
    return losses.linearised(batch.images, batch.texts, *_matrices(batch), batch.recipe.rho)


def _linear_share(batch: Embedded) -> Loss:
    I, T, group = batch.images, batch.texts, batch.group
    B = I.shape[1] * group.size
    means = (I.sum(1) * total(group, T.sum(1))).sum(1) / B
    penalty = losses.product_norm(*_matrices(batch))
    return batch.recipe.rho / 2 * penalty / group.size - ((I * T).sum((1, 2)) - means) / (B - 1)


def _infonce(batch: Embedded) -> Loss:
    return losses.infonce(batch.images, batch.texts, batch.scale)


def _infonce_share(batch: Embedded) -> Loss:
    everyone = gather(batch.group, batch.texts)
    combine = sums(batch.group)
    return tiled_infonce(batch.images, everyone, batch.scale, product=batch.product, first=batch.first, sums=combine)


def _siglip(batch: Embedded) -> Loss:
    return losses.siglip(batch.images, batch.texts, batch.scale, batch.parameters["bias"])


def _siglip_share(batch: Embedded) -> Loss:
    everyone, bias = gather(batch.group, batch.texts), batch.parameters["bias"]
    return tiled_siglip(batch.images, everyone, batch.scale, bias, product=batch.product, first=batch.first)


def _supervised(batch: Embedded) -> Loss:
    return losses.supervised(class_logits(batch.parameters, batch.images), batch.labels)


def _supervised_share(batch: Embedded) -> Loss:
    return _supervised(batch) / batch.group.size


def _supcon(batch: Embedded) -> Loss:
    return losses.supcon(batch.images, batch.labels, batch.scale)


def _supcon_share(batch: Embedded) -> Loss:
    labels, everyone = gather(batch.group, batch.labels), gather(batch.group, batch.images)
    return losses.supcon(batch.images, labels, batch.scale, everyone=everyone, first=batch.first)


register(
    Objective("linear", _linear, _linear_share, towers=("linear",), becomes={"linear": "linear"}, limited_by_width=True)
)
register(Objective("infonce", _infonce, _infonce_share, tiled=True, scale=CLIP_SCALE, becomes={"mlp": "infonce"}))
register(
    Objective(
        "siglip",
        _siglip,
        _siglip_share,
        tiled=True,
        scale=SIGLIP_SCALE,
        # At zero scores B - 1 negatives then weigh as much as the one positive.
        bias=lambda recipe: -math.log(recipe.batch_size - 1),
        becomes={"mlp": "infonce"},  # PMI - log(B - 1): the same decision
    )
)
register(
    Objective(
        "supervised",
        _supervised,
        _supervised_share,
        captions=False,
        head=True,
        least_batch=1,
        becomes={"mlp": "bayes", "linear": "logistic"},
    )
)
register(Objective("supcon", _supcon, _supcon_share, captions=False, scale=CLIP_SCALE))
