"""The objectives: everything that training and theory need to know about a loss. No other module
tests its name.

An objective of your own is a class. `register` makes its name a value of `Recipe.loss`:

    @register
    class ToTheCentre(Objective):
        name = "to-the-centre"

        def loss(self, batch):  # (E,), one loss per model
            return (batch.images - batch.texts).square().sum(2).mean(1)

The formulas are in `simulator.towers.losses`, and without the B x B matrix in
`simulator.towers.chunked_losses`.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int

from simulator.naming import add_row
from simulator.quantities import LARGEST_SCALE
from simulator.samplers import SAMPLERS, group_numbers
from simulator.towers import losses
from simulator.towers.chunked_losses import tiled_infonce, tiled_siglip
from simulator.towers.distributed import ALONE, Group, gather
from simulator.world import World

CLIP_SCALE = 1 / 0.07  # Radford et al. 2021, section 2.5: temperature 0.07 at the start
SIGLIP_SCALE = 10.0  # Zhai et al. 2023, section 3.2: t' = log 10
GROUP_WEIGHTS = "group_weights"  # parameter of GroupDRO, one weight per group

Loss = Float[torch.Tensor, " E"]
Parameters = dict[str, torch.Tensor]


class Embedded(NamedTuple):
    """This process's rows of a batch, embedded; every field has a leading model axis E."""

    images: Float[torch.Tensor, "E b h"]
    texts: Float[torch.Tensor, "E b h"]
    labels: Int[torch.Tensor, "E b"]
    backgrounds: Int[torch.Tensor, "E b J"]
    scale: Float[torch.Tensor, " E"] | None
    parameters: Parameters
    recipe: Any  # a Recipe; tools find no import for a forward reference in a NamedTuple
    background_count: int
    group: Group = ALONE
    weights: Float[torch.Tensor, "E b"] | None = None
    split: bool = False  # whether processes share the batch, or it is too large for B x B logits


class Objective:
    """A loss and its requirements. A subclass has a name and a loss, and sets each attribute that
    differs.
    """

    name: ClassVar[str]  # the value of `Recipe.loss`
    # whether `loss` handles shares of a batch, in several processes or in tiles
    splits: ClassVar[bool] = False
    # whether there is a text tower; without one "head" scores the classes
    captions: ClassVar[bool] = True
    # linear heads on the embedding; those of "head" are the class scores
    heads: ClassVar[tuple[str, ...]] = ()
    # initial s of cosine scores, which may be learned; None: inner products
    scale: ClassVar[float | None] = None
    # whether scores have a learned bias; at -log(B - 1) negatives weigh as the positive
    bias: ClassVar[bool] = False
    towers: ClassVar[tuple[str, ...]] = ("linear", "mlp", "conv")  # kinds for which it is defined
    least_batch: ClassVar[int] = 2  # smallest batch for which the loss is defined
    # kind of tower -> learner that it becomes in the limit
    population_learner: ClassVar[Mapping[str, str]] = {}
    # whether that optimum depends on `embed_dim` below the number of latents
    limited_by_width: ClassVar[bool] = False
    # whether that optimum is known at a fixed temperature, too
    known_at_scale: ClassVar[bool] = False
    weighted: ClassVar[bool] = False  # whether pairs may have weights
    # parameters (E, groups), uniform at first, that `after` moves
    ascent: ClassVar[tuple[str, ...]] = ()
    # the sampler with the same population; None if no law is known
    sampler: ClassVar[str | None] = "drawn"

    def loss(self, batch: Embedded) -> Loss:
        """One loss per model.

        For a split batch it is this process's share: shares add up to the loss, and their gradients
        to its gradient.
        """
        raise NotImplementedError

    def after(self, new: Parameters, before: Parameters, gradients: Parameters) -> Parameters:
        """`new`, the parameters after a step, corrected: a learned scale stays in [1,
        LARGEST_SCALE], as in CLIP.

        Parameters
        ----------
        new, before, gradients
            Parameters after and before a step of the optimiser, and gradients of the loss at
            `before`.
        """
        if "log_scale" not in new:
            return new
        return {**new, "log_scale": new["log_scale"].clamp(0.0, math.log(LARGEST_SCALE))}

    @property
    def cosine(self) -> bool:
        """Whether scores are cosines times a scale."""
        return self.scale is not None

    @property
    def sides(self) -> tuple[str, ...]:
        """The towers by name."""
        return ("image", "text") if self.captions else ("image",)

    def learner(self, recipe: Any) -> str | None:
        """Name of the learner that a recipe's towers become, in the world of `law`; None if no law
        is known.

        With a fixed temperature cosines cannot reach the optimum's scores, and have an optimum of
        their own.
        """
        if recipe.frozen != "none":
            return None
        if recipe.last_layer == "refitted":
            return "least-squares" if recipe.towers == "linear" else None
        unknown = self.sampler is None or (
            recipe.temperature is not None and not self.known_at_scale
        )
        return None if unknown else self.population_learner.get(recipe.towers)

    def law(self, recipe: Any, worlds: World) -> World:
        """The worlds whose population optimum a recipe's towers reach on unsampled pairs.

        Parameters
        ----------
        recipe, worlds
            A recipe of this loss, and the worlds of the pairs. EmptyGroup is raised if a group to
            balance is empty.
        """
        sampler = "balanced" if recipe.last_layer == "refitted" else self.sampler or "drawn"
        return SAMPLERS[sampler].law(worlds)


OBJECTIVES: dict[str, Objective] = {}


def register(objective: type[Objective]) -> type[Objective]:
    """Add an objective to the table; a class decorator. ValueError for a name in use, or a class
    without scores.
    """
    if not objective.captions and "head" not in objective.heads:
        raise ValueError(
            f"objective {objective.name!r} reads no captions, so it needs heads = ('head',)"
        )
    add_row(OBJECTIVES, objective(), "an objective")
    return objective


def class_logits(
    parameters: Parameters, I: Float[torch.Tensor, "E B h"], head: str = "head"
) -> Float[torch.Tensor, "E B K"]:
    """Scores of a head."""
    logits = torch.bmm(I, parameters[f"{head}.weight"])
    return logits + parameters[f"{head}.bias"][:, None] if f"{head}.bias" in parameters else logits


def _of_all(batch: Embedded) -> dict[str, Any]:
    """Arguments of a tiled loss: all processes' rows, and the precision of products."""
    return {
        "T": gather(batch.group, batch.texts),
        "weights": None if batch.weights is None else gather(batch.group, batch.weights),
        "product": torch.bfloat16 if batch.recipe.precision == "bfloat16" else batch.images.dtype,
        "group": batch.group,
    }


@register
class Linear(Objective):
    """The linearised contrastive loss, [W] Eq. 2."""

    name = "linear"
    towers = ("linear",)
    population_learner: ClassVar = {"linear": "linear"}
    limited_by_width = True
    weighted = True

    def loss(self, batch: Embedded) -> Loss:
        matrices = batch.parameters["image.0.weight"], batch.parameters["text.0.weight"]
        return losses.linearised(
            batch.images, batch.texts, *matrices, batch.recipe.rho, batch.weights
        )


@register
class InfoNCE(Objective):
    """CLIP's loss."""

    name = "infonce"
    splits = True
    scale = CLIP_SCALE
    population_learner: ClassVar = {"mlp": "infonce"}
    known_at_scale = True
    weighted = True

    def loss(self, batch: Embedded) -> Loss:
        if not batch.split:
            return losses.infonce(batch.images, batch.texts, batch.scale, batch.weights)
        return tiled_infonce(batch.images, scale=batch.scale, **_of_all(batch))


@register
class SigLIP(Objective):
    """SigLIP. Its optimum is PMI - log(B - 1): the same decision as InfoNCE's."""

    name = "siglip"
    splits = True
    scale = SIGLIP_SCALE
    bias = True
    population_learner: ClassVar = {"mlp": "siglip"}
    known_at_scale = True
    weighted = True

    def loss(self, batch: Embedded) -> Loss:
        bias = batch.parameters["bias"] if self.bias else torch.zeros_like(batch.scale)
        if not batch.split:
            return losses.siglip(batch.images, batch.texts, batch.scale, bias, batch.weights)
        return tiled_siglip(batch.images, scale=batch.scale, bias=bias, **_of_all(batch))


@register
class SigLIPUnbiased(SigLIP):
    """SigLIP at bias 0."""

    name = "siglip-unbiased"
    bias = False
    population_learner: ClassVar = {}


@register
class Supervised(Objective):
    """Cross-entropy of the label, by a head on the image tower."""

    name = "supervised"
    splits = True
    captions = False
    heads = ("head",)
    least_batch = 1
    population_learner: ClassVar = {"mlp": "bayes", "linear": "logistic"}
    weighted = True

    def loss(self, batch: Embedded) -> Loss:
        logits = class_logits(batch.parameters, batch.images)
        return losses.supervised(logits, batch.labels, batch.weights) / batch.group.size


@register
class PerfectCaptions(Supervised):
    """[W] Eq. 10: the caption names the class and the attribute; each has a head on the shared
    encoder.
    """

    name = "perfect-captions"
    heads = ("head", "attribute")

    def loss(self, batch: Embedded) -> Loss:
        attribute = class_logits(batch.parameters, batch.images, "attribute")
        extra = losses.supervised(attribute, batch.backgrounds[..., 0], batch.weights)
        return super().loss(batch) + extra / batch.group.size


class GroupDRO(Objective):
    """GroupDRO (Sagawa et al. 2020, arXiv 1911.08731, Algorithm 1), the first base class of a
    weighted objective.

    Towers descend sum_g q_g L_g, with L_g the mean loss of the batch's B_g pairs of group g: each
    pair has weight q_g B/B_g. The group weights q ascend it: q_g <- q_g exp(STEP L_g), normalised.
    L_g is the gradient by q_g.

    Supervised objectives have a saddle point at uniform q and the optimum at p = 1/K. Contrastive
    ones have none: a common pair has more negatives like itself and so a larger loss, q moves
    there, and no law is known.
    """

    STEP = 0.01  # eta_q of the paper's experiments
    splits = False
    ascent = (GROUP_WEIGHTS,)

    def loss(self, batch: Embedded) -> Loss:
        q = batch.parameters[GROUP_WEIGHTS]
        groups = group_numbers(batch.labels, batch.backgrounds, batch.background_count)
        count = torch.zeros_like(q).scatter_add(1, groups, torch.ones_like(groups, dtype=q.dtype))
        each = q / count.clamp(min=1)  # a group without a pair in the batch has loss zero
        return super().loss(batch._replace(weights=each.gather(1, groups) * groups.shape[1]))

    def after(self, new: Parameters, before: Parameters, gradients: Parameters) -> Parameters:
        ascended = torch.softmax(
            before[GROUP_WEIGHTS].log() + self.STEP * gradients[GROUP_WEIGHTS], dim=1
        )
        return {**super().after(new, before, gradients), GROUP_WEIGHTS: ascended}


@register
class SupervisedGroupDRO(GroupDRO, Supervised):
    """GroupDRO on labels; its population is that of balanced groups."""

    name = "group-dro"
    sampler = "reweighted"


@register
class InfoNCEGroupDRO(GroupDRO, InfoNCE):
    """GroupDRO on captions."""

    name = "group-dro-infonce"
    sampler = None
