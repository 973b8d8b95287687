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
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from simulator.naming import entered
from simulator.samplers import SAMPLERS
from simulator.towers import losses
from simulator.towers.distributed import ALONE, Group, gather, sums, total
from simulator.towers.group_dro import group_dro
from simulator.towers.tiles import tiled_infonce, tiled_siglip
from simulator.world import World, Worlds

if TYPE_CHECKING:
    from simulator.towers.recipe import Recipe

CLIP_SCALE = 1 / 0.07  # Radford et al. 2021, section 2.5: temperature 0.07 at the start
SIGLIP_SCALE = 10.0  # Zhai et al. 2023, section 3.2: t' = log 10

LARGEST_SCALE = 100.0  # Radford et al. 2021: logits are never scaled by more than 100
KINDS = ("linear", "mlp", "conv", "tokens")  # of towers

Loss = Float[torch.Tensor, " E"]
Parameters = dict[str, torch.Tensor]


class Embedded(NamedTuple):
    """One process's rows of a batch as an objective sees them; every field has a leading model axis E."""

    images: Float[torch.Tensor, "E b h"]
    texts: Float[torch.Tensor, "E b h"]
    labels: Int[torch.Tensor, "E b"]
    backgrounds: Int[torch.Tensor, "E b J"]
    scale: Float[torch.Tensor, " E"] | None
    parameters: dict[str, torch.Tensor]
    recipe: "Recipe"
    group: Group = ALONE
    weights: Float[torch.Tensor, "E b"] | None = None

    @property
    def first(self) -> int:
        """Number of this process's first row in the batch."""
        return self.group.rank * self.images.shape[1]

    @property
    def product(self) -> torch.dtype:
        """Precision of products of embeddings."""
        return torch.bfloat16 if self.recipe.precision == "bfloat16" else self.images.dtype


def _no_heads(classes: int) -> dict[str, int]:
    return {}


def clamp_scale(new: Parameters, before: Parameters, gradients: Parameters) -> Parameters:
    """The new parameters with a learned scale in [1, LARGEST_SCALE], as CLIP keeps it after every step."""
    if "log_scale" not in new:
        return new
    return {**new, "log_scale": new["log_scale"].clamp(0.0, math.log(LARGEST_SCALE))}


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
    heads
        Number of classes -> numbers that each linear head on the embedding makes, by name; "head" makes class scores.
    scale
        Initial s of cosine scores, learned unless the recipe fixes a temperature; None where scores are inner products.
    bias
        Initial bias of the scores, from the recipe; None without one.
    towers
        Kinds of tower for which it is defined, all unless given.
    least_batch
        Pairs without which it says nothing.
    becomes
        Kind of tower -> name of the learner whose population optimum it reaches with unlimited pairs and towers.
    limited_by_width
        Whether that optimum depends on `embed_dim` below the number of latents.
    weighted
        Whether pairs may have weights.
    raised
        Parameters that no optimiser moves, by name: number of classes -> their first values, the same for all models.
    after
        (parameters after a step, those before it, gradients) -> the parameters that training goes on with, `raised`
        ones among them.
    sampler
        Name of the sampler that leads to the same population; None where no law is known.
    """

    name: str
    whole: Callable[[Embedded], Loss]
    share: Callable[[Embedded], Loss] | None = None
    tiled: bool = False
    captions: bool = True
    heads: Callable[[int], Mapping[str, int]] = _no_heads
    scale: float | None = None
    bias: Callable[["Recipe"], float] | None = None
    towers: tuple[str, ...] = KINDS
    least_batch: int = 2
    becomes: Mapping[str, str] = field(default_factory=dict)
    limited_by_width: bool = False
    weighted: bool = False
    raised: Mapping[str, Callable[[int], np.ndarray]] = field(default_factory=dict)
    after: Callable[[Parameters, Parameters, Parameters], Parameters] = clamp_scale
    sampler: str | None = "drawn"

    @property
    def cosine(self) -> bool:
        """Whether scores are cosines times a scale."""
        return self.scale is not None

    @property
    def sides(self) -> tuple[str, ...]:
        """The towers by name."""
        return ("image", "text") if self.captions else ("image",)

    def kinds(self, recipe: "Recipe") -> tuple[str, ...]:
        """Kinds of its towers.

        Parameters
        ----------
        recipe
            Its `loss` is this objective.
        """
        return tuple(recipe.kinds[side] for side in self.sides)

    def learner(self, recipe: "Recipe") -> str | None:
        """Name of the learner that a recipe's towers become, in the world of `law`; None where no law is known.

        There is none for a fixed temperature: cosines over it cannot reach scores as large as the optimum's. Nor for a
        frozen tower: what it does not show cannot be learned. Nor for towers of two kinds.

        Parameters
        ----------
        recipe
            Its `loss` is this objective.
        """
        if recipe.frozen != "none":
            return None
        if recipe.last_layer == "refitted":
            return "least-squares" if recipe.towers == "linear" else None
        unknown = self.sampler is None or recipe.temperature is not None or len(set(self.kinds(recipe))) > 1
        return None if unknown else self.becomes.get(recipe.towers)

    def law(self, recipe: "Recipe", worlds: World | Worlds) -> World | Worlds:
        """The worlds whose population optimum a recipe's towers reach on pairs as they are drawn.

        Parameters
        ----------
        recipe
            Its `loss` is this objective.
        worlds
            In which pairs are drawn.

        Raises
        ------
        simulator.samplers.EmptyGroup
            Where groups that are to be balanced have no share.
        """
        if recipe.last_layer == "refitted":
            return SAMPLERS["balanced"].law(worlds)
        return SAMPLERS[self.sampler or "drawn"].law(worlds)


OBJECTIVES: dict[str, Objective] = {}


def register(objective: Objective) -> Objective:
    """Enter an objective into the table and return it.

    Raises
    ------
    ValueError
        If another one has its name.
    """
    return entered(OBJECTIVES, objective, "an objective")


def class_logits(
    parameters: dict[str, torch.Tensor], I: Float[torch.Tensor, "E B h"], head: str = "head"
) -> Float[torch.Tensor, "E B K"]:
    """Scores of a head."""
    logits = torch.bmm(I, parameters[f"{head}.weight"])
    return logits + parameters[f"{head}.bias"][:, None] if f"{head}.bias" in parameters else logits


def _matrices(batch: Embedded) -> tuple[torch.Tensor, torch.Tensor]:
    return batch.parameters["image.0.weight"], batch.parameters["text.0.weight"]


def _linear(batch: Embedded) -> Loss:
    return losses.linearised(batch.images, batch.texts, *_matrices(batch), batch.recipe.rho, batch.weights)


def _linear_share(batch: Embedded) -> Loss:
    I, T, group = batch.images, batch.texts, batch.group
    B = I.shape[1] * group.size
    penalty = batch.recipe.rho / 2 * losses.product_norm(*_matrices(batch)) / group.size
    if batch.weights is None:
        means = (I.sum(1) * total(group, T.sum(1))).sum(1) / B
        return penalty - ((I * T).sum((1, 2)) - means) / (B - 1)
    i, t = batch.weights[..., None] * I, batch.weights[..., None] * T
    apart = (i.sum(1) * total(group, t.sum(1))).sum(1) - (i * t).sum((1, 2))
    return penalty - (i * T).sum((1, 2)) / B + apart / (B * (B - 1))


def _everyones(batch: Embedded) -> torch.Tensor | None:
    return None if batch.weights is None else gather(batch.group, batch.weights)


def _infonce(batch: Embedded) -> Loss:
    return losses.infonce(batch.images, batch.texts, batch.scale, batch.weights)


def _infonce_share(batch: Embedded) -> Loss:
    everyone, weights = gather(batch.group, batch.texts), _everyones(batch)
    how = {"product": batch.product, "first": batch.first, "sums": sums(batch.group)}
    return tiled_infonce(batch.images, everyone, batch.scale, weights=weights, **how)


def _bias(batch: Embedded) -> torch.Tensor:
    return batch.parameters["bias"] if "bias" in batch.parameters else torch.zeros_like(batch.scale)


def _siglip(batch: Embedded) -> Loss:
    return losses.siglip(batch.images, batch.texts, batch.scale, _bias(batch), batch.weights)


def _siglip_share(batch: Embedded) -> Loss:
    everyone, bias, weights = gather(batch.group, batch.texts), _bias(batch), _everyones(batch)
    how = {"product": batch.product, "first": batch.first}
    return tiled_siglip(batch.images, everyone, batch.scale, bias, weights=weights, **how)


def _supervised(batch: Embedded) -> Loss:
    return losses.supervised(class_logits(batch.parameters, batch.images), batch.labels, batch.weights)


def _supervised_share(batch: Embedded) -> Loss:
    return _supervised(batch) / batch.group.size


def _perfect_captions(batch: Embedded) -> Loss:
    """[W] Eq. 10: the caption names the class and the attribute, and each has a head on the one encoder."""
    attribute = class_logits(batch.parameters, batch.images, "attribute")
    return _supervised(batch) + losses.supervised(attribute, batch.backgrounds[..., 0], batch.weights)


def _perfect_captions_share(batch: Embedded) -> Loss:
    return _perfect_captions(batch) / batch.group.size


def _supcon(batch: Embedded) -> Loss:
    return losses.supcon(batch.images, batch.labels, batch.scale)


def _supcon_share(batch: Embedded) -> Loss:
    labels, everyone = gather(batch.group, batch.labels), gather(batch.group, batch.images)
    return losses.supcon(batch.images, labels, batch.scale, everyone=everyone, first=batch.first)


register(
    Objective(
        "linear",
        _linear,
        _linear_share,
        towers=("linear",),
        becomes={"linear": "linear"},
        limited_by_width=True,
        weighted=True,
    )
)
register(
    Objective(
        "infonce",
        _infonce,
        _infonce_share,
        tiled=True,
        scale=CLIP_SCALE,
        becomes={"mlp": "infonce"},
        weighted=True,
    )
)
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
        weighted=True,
    )
)
register(Objective("siglip-unbiased", _siglip, _siglip_share, tiled=True, scale=SIGLIP_SCALE, weighted=True))
register(
    Objective(
        "supervised",
        _supervised,
        _supervised_share,
        captions=False,
        heads=lambda classes: {"head": classes},
        least_batch=1,
        becomes={"mlp": "bayes", "linear": "logistic"},
        weighted=True,
    )
)
# The two heads share the encoder alone, and one that is wide enough serves each as if it were its own.
register(
    Objective(
        "perfect-captions",
        _perfect_captions,
        _perfect_captions_share,
        captions=False,
        heads=lambda classes: {"head": classes, "attribute": classes},
        least_batch=1,
        becomes={"mlp": "bayes", "linear": "logistic"},
        weighted=True,
    )
)
register(Objective("supcon", _supcon, _supcon_share, captions=False, scale=CLIP_SCALE))
register(group_dro(OBJECTIVES["supervised"], "group-dro", sampler="reweighted"))
register(group_dro(OBJECTIVES["infonce"], "group-dro-infonce", sampler=None))
