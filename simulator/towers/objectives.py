"""The table of objectives: everything that training and theory need to know of a loss. Nothing else tests its name.

An objective of your own is one object, and `register` makes its name a `Recipe.loss`:

    def to_the_centre(batch):  # (E,), one loss per model
        return (batch.images - batch.texts).square().sum(2).mean(1)

    register(Objective("to-the-centre", to_the_centre))

The sums themselves are in `simulator.towers.losses`, and without the B x B matrix in `simulator.towers.chunked_losses`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float, Int

from simulator.naming import add_row
from simulator.samplers import SAMPLERS, group_numbers
from simulator.towers import losses
from simulator.towers.chunked_losses import tiled_infonce, tiled_siglip
from simulator.towers.distributed import ALONE, Group, gather, sums, total
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
    """This process's rows of a batch, embedded; every field has a leading model axis E.

    split: whether the loss is this process's share of the whole batch's, or too large for B x B logits.
    """

    images: Float[torch.Tensor, "E b h"]
    texts: Float[torch.Tensor, "E b h"]
    labels: Int[torch.Tensor, "E b"]
    backgrounds: Int[torch.Tensor, "E b J"]
    scale: Float[torch.Tensor, " E"] | None
    parameters: Parameters
    recipe: "Recipe"
    group: Group = ALONE
    weights: Float[torch.Tensor, "E b"] | None = None
    split: bool = False

    @property
    def first(self) -> int:
        """Number of this process's first row in the batch."""
        return self.group.rank * self.images.shape[1]

    @property
    def product(self) -> torch.dtype:
        """Precision of products of embeddings."""
        return torch.bfloat16 if self.recipe.precision == "bfloat16" else self.images.dtype

    @property
    def all_weights(self) -> Float[torch.Tensor, "E B"] | None:
        """Weights of the pairs of all processes."""
        return None if self.weights is None else gather(self.group, self.weights)


@dataclass(frozen=True)
class Objective:
    """What is minimised, and what it needs.

    Parameters
    ----------
    name
        The value of `Recipe.loss`.
    loss
        Losses (E,) of an `Embedded` batch. Where it is split, this process's share: shares add up to the loss, and
        their gradients to its gradient.
    distributed
        Whether `loss` knows split batches, and so runs in several processes.
    chunked
        Whether `loss` of a split batch stores no B x B logits, and so serves one process too once a batch is large.
    captions
        Whether there is a text tower. Without one the rows of a head or the classes' mean embeddings are compared.
    heads
        Names of linear heads on the embedding, one score per class each; "head" makes class scores.
    scale
        Initial s of cosine scores, learned unless the recipe fixes a temperature; None where scores are inner products.
    bias
        Whether scores have a learned bias. It starts at -log(B - 1), where negatives weigh as much as the positive.
    towers
        Kinds of tower for which it is defined, all unless given.
    least_batch
        Smallest batch that has something to compare.
    population_learner
        Kind of tower -> name of the learner whose population optimum it reaches with unlimited pairs and towers.
    limited_by_width
        Whether that optimum depends on `embed_dim` below the number of latents.
    weighted
        Whether pairs may have weights.
    ascent
        Names of parameters (E, K^2) that start uniform over groups and that `after` moves in place of the optimiser.
    sampler
        Name of the sampler that leads to the same population; None where no law is known.
    """

    name: str
    loss: Callable[[Embedded], Loss]
    distributed: bool = False
    chunked: bool = False
    captions: bool = True
    heads: tuple[str, ...] = ()
    scale: float | None = None
    bias: bool = False
    towers: tuple[str, ...] = KINDS
    least_batch: int = 2
    population_learner: Mapping[str, str] = field(default_factory=dict)
    limited_by_width: bool = False
    weighted: bool = False
    ascent: tuple[str, ...] = ()
    sampler: str | None = "drawn"

    @property
    def cosine(self) -> bool:
        """Whether scores are cosines times a scale."""
        return self.scale is not None

    @property
    def sides(self) -> tuple[str, ...]:
        """The towers by name."""
        return ("image", "text") if self.captions else ("image",)

    def after(self, new: Parameters, before: Parameters, gradients: Parameters) -> Parameters:
        """Parameters that training continues with: a learned scale stays in [1, LARGEST_SCALE], as CLIP keeps it.

        Parameters
        ----------
        new
            Parameters after a step of the optimiser.
        before
            Parameters before it.
        gradients
            Of the loss at `before`.
        """
        if "log_scale" not in new:
            return new
        return {**new, "log_scale": new["log_scale"].clamp(0.0, math.log(LARGEST_SCALE))}

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

        None for a fixed temperature, with which cosines cannot reach scores as large as the optimum's, for a frozen
        tower, and for towers of two kinds.

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
        return None if unknown else self.population_learner.get(recipe.towers)

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
    return add_row(OBJECTIVES, objective, "an objective")


def class_logits(
    parameters: Parameters, I: Float[torch.Tensor, "E B h"], head: str = "head"
) -> Float[torch.Tensor, "E B K"]:
    """Scores of a head."""
    logits = torch.bmm(I, parameters[f"{head}.weight"])
    return logits + parameters[f"{head}.bias"][:, None] if f"{head}.bias" in parameters else logits


def _linear(batch: Embedded) -> Loss:
    I, T, w, rho = batch.images, batch.texts, batch.weights, batch.recipe.rho
    matrices = batch.parameters["image.0.weight"], batch.parameters["text.0.weight"]
    if not batch.split:
        return losses.linearised(I, T, *matrices, rho, w)
    group, B = batch.group, I.shape[1] * batch.group.size
    penalty = rho / 2 * losses.product_norm(*matrices) / group.size
    if w is None:
        means = (I.sum(1) * total(group, T.sum(1))).sum(1) / B
        return penalty - ((I * T).sum((1, 2)) - means) / (B - 1)
    i, t = w[..., None] * I, w[..., None] * T
    apart = (i.sum(1) * total(group, t.sum(1))).sum(1) - (i * t).sum((1, 2))
    return penalty - (i * T).sum((1, 2)) / B + apart / (B * (B - 1))


def _infonce(batch: Embedded) -> Loss:
    if not batch.split:
        return losses.infonce(batch.images, batch.texts, batch.scale, batch.weights)
    return tiled_infonce(
        batch.images,
        gather(batch.group, batch.texts),
        batch.scale,
        weights=batch.all_weights,
        product=batch.product,
        first=batch.first,
        sums=sums(batch.group),
    )


def _siglip(batch: Embedded) -> Loss:
    bias = batch.parameters["bias"] if "bias" in batch.parameters else torch.zeros_like(batch.scale)
    if not batch.split:
        return losses.siglip(batch.images, batch.texts, batch.scale, bias, batch.weights)
    return tiled_siglip(
        batch.images,
        gather(batch.group, batch.texts),
        batch.scale,
        bias,
        weights=batch.all_weights,
        product=batch.product,
        first=batch.first,
    )


def _supervised(batch: Embedded) -> Loss:
    loss = losses.supervised(class_logits(batch.parameters, batch.images), batch.labels, batch.weights)
    return loss / batch.group.size


def _perfect_captions(batch: Embedded) -> Loss:
    """[W] Eq. 10: the caption names the class and the attribute, and each has a head on the one encoder."""
    attribute = class_logits(batch.parameters, batch.images, "attribute")
    named = losses.supervised(attribute, batch.backgrounds[..., 0], batch.weights)
    return _supervised(batch) + named / batch.group.size


def _supcon(batch: Embedded) -> Loss:
    labels, everyone = gather(batch.group, batch.labels), gather(batch.group, batch.images)
    return losses.supcon(batch.images, labels, batch.scale, everyone=everyone, first=batch.first)


class GroupDRO(Objective):
    """GroupDRO (Sagawa et al. 2020, arXiv 1911.08731, Algorithm 1) on an objective whose pairs may have weights.

    Towers descend sum_g q_g L_g, L_g the mean loss of a batch's pairs of group g. The weights q of the groups ascend
    it: q_g <- q_g exp(STEP L_g), normalised. L_g is the gradient by q_g, so nothing further is computed.

    Supervised objectives: q uniform with the optimum at p = 1/K is a saddle point. There the rule ignores the
    background, so all groups lose the same. Where q moves, the rule relies on the background, the groups with less
    weight lose more, and q moves back.

    Contrastive objectives have no such point. A common pair has more negatives that are like it, so it loses more than
    a counter pair already where groups weigh the same, and q moves towards the common groups. No law is known.
    """

    STEP = 0.01  # eta_q of the paper's experiments
    WEIGHTS = "group_weights"

    def after(self, new: Parameters, before: Parameters, gradients: Parameters) -> Parameters:
        """Group weights ascend, all else is as in the objective itself."""
        ascended = torch.softmax(before[self.WEIGHTS].log() + self.STEP * gradients[self.WEIGHTS], dim=1)
        return {**super().after(new, before, gradients), self.WEIGHTS: ascended}


def group_dro(objective: Objective, name: str, sampler: str | None) -> GroupDRO:
    """GroupDRO on an objective's loss, in which a pair counts q_g B/B_g, B_g of the batch's B pairs being of its group.

    It runs in one process.
    """
    if not objective.weighted:
        raise ValueError(f"loss = {objective.name!r} takes no weights of pairs, so there is no GroupDRO on it")

    def loss(batch: Embedded) -> Loss:
        q = batch.parameters[GroupDRO.WEIGHTS]
        groups = group_numbers(batch.labels, batch.backgrounds, round(q.shape[1] ** 0.5))
        count = torch.zeros_like(q).scatter_add(1, groups, torch.ones_like(groups, dtype=q.dtype))
        each = q / count.clamp(min=1)  # a group without a pair in the batch loses nothing
        return objective.loss(batch._replace(weights=each.gather(1, groups) * groups.shape[1]))

    own = {"name": name, "loss": loss, "distributed": False, "chunked": False, "sampler": sampler}
    return GroupDRO(**{**vars(objective), **own, "ascent": (GroupDRO.WEIGHTS,)})


CONTRASTIVE = {"distributed": True, "chunked": True, "weighted": True}
CLASSIFIER = {
    "distributed": True,
    "captions": False,
    "least_batch": 1,
    "population_learner": {"mlp": "bayes", "linear": "logistic"},
    "weighted": True,
}
register(
    Objective(
        "linear",
        _linear,
        distributed=True,
        towers=("linear",),
        population_learner={"linear": "linear"},
        limited_by_width=True,
        weighted=True,
    )
)
register(Objective("infonce", _infonce, scale=CLIP_SCALE, population_learner={"mlp": "infonce"}, **CONTRASTIVE))
# SigLIP's optimum is PMI - log(B - 1): the same decision.
register(
    Objective("siglip", _siglip, scale=SIGLIP_SCALE, bias=True, population_learner={"mlp": "infonce"}, **CONTRASTIVE)
)
register(Objective("siglip-unbiased", _siglip, scale=SIGLIP_SCALE, **CONTRASTIVE))
register(Objective("supervised", _supervised, heads=("head",), **CLASSIFIER))
# The two heads share the encoder alone, and one that is wide enough serves each as if it were its own.
register(Objective("perfect-captions", _perfect_captions, heads=("head", "attribute"), **CLASSIFIER))
register(Objective("supcon", _supcon, distributed=True, captions=False, scale=CLIP_SCALE))
register(group_dro(OBJECTIVES["supervised"], "group-dro", sampler="reweighted"))
register(group_dro(OBJECTIVES["infonce"], "group-dro-infonce", sampler=None))
