"""Samplers (`simulator.samplers`) applied to drawn Gaussian pairs, and captions that contradict their image.

In a contradicted caption the background is drawn anew, uniformly from all classes. Its block is reflected (two classes)
or has two coordinates exchanged (K classes), noise included. The law of captions given the background that they name
stays the same, and silent captions stay silent.

What this changes at the optimum (c the probability that another background is named, R the exchange):
    InfoNCE     p(x, t) becomes (1 - c) p(x, t) + c p(x, R t), and R t = t for the name prompt, whose background block
                is zero: the decision by name is the same at any rate c.
    linear      the cross-covariance of the backgrounds shrinks by 1 - c K/(K - 1), that of the objects stays, and with
                it the direction C q by name. At c = (K - 1)/K, a background by chance, it is the world with
                mention_spu = 0 under any prompt.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from simulator.gaussian.pairs import DrawnPairs, Pairs
from simulator.naming import check_known
from simulator.samplers import SAMPLERS, chosen, group_numbers
from simulator.streams import independent, numpy_stream
from simulator.world import World


def resample(pairs: DrawnPairs, sampler: str, seed: int = 0) -> DrawnPairs:
    """The pairs after a sampler; their world has the law that their captions follow given the label."""
    check_known("sampler", sampler, SAMPLERS)
    how, K = SAMPLERS[sampler], pairs.world.classes
    if not (how.balances or how.swaps):
        return pairs
    if how.balances and pairs.weights is not None:
        raise ValueError(
            f"sampler = {sampler!r} balances pairs as they were drawn, and these have weights already; the nearest "
            "valid choice is to leave one of the two out"
        )
    groups = group_numbers(pairs.labels, pairs.backgrounds, K).cpu().numpy()
    rows, weights = chosen(how, groups, pairs.world, numpy_stream(seed, f"{sampler}/pairs"))
    fields = Pairs(pairs.images, pairs.texts, pairs.labels, pairs.backgrounds)
    if how.swaps:
        block = contradicted(Pairs(*(x[None] for x in fields)), K, pairs.frames[1], seed, 0, streams=("pairs",))
        fields = Pairs(*(x[0] for x in block))
    kept = Pairs(*(field[torch.as_tensor(rows, device=field.device)] for field in fields))
    counts = pairs.weights if weights is None else torch.as_tensor(weights).to(pairs.images)
    world = how.captioned(pairs.world)
    assert isinstance(world, World)  # the sampler's law of one world is one world
    return DrawnPairs(world, pairs.frames, *kept, weights=counts)


def contradicted(
    pairs: Pairs, classes: int, frame: Float[np.ndarray, "dT l"], seed: int, index: int, *, streams: Sequence[str]
) -> Pairs:
    """The pairs of a block, each caption with a background drawn by chance in place of its image's."""
    shown = pairs.backgrounds[..., 0].cpu()
    drawn = independent(seed, index, streams)(torch.empty_like(shown), "caption-background", "integer", classes)
    width = 1 if classes == 2 else classes
    D = torch.as_tensor(frame[:, width : 2 * width]).to(pairs.texts)  # (d_T, width)
    named = pairs.texts @ D
    other = _exchanged(named, shown.to(named.device), drawn.to(named.device))
    return pairs._replace(texts=pairs.texts + (other - named) @ D.T)


def _exchanged(
    block: Float[torch.Tensor, "E n width"], shown: Int[torch.Tensor, "E n"], drawn: Int[torch.Tensor, "E n"]
) -> Float[torch.Tensor, "E n width"]:
    """Coordinates `shown` and `drawn` exchanged; a single coordinate changes its sign where they differ."""
    if block.shape[-1] == 1:
        return torch.where((shown == drawn)[..., None], block, -block)
    place = torch.arange(block.shape[-1], device=block.device).expand(block.shape).clone()
    place.scatter_(2, shown[..., None], drawn[..., None]).scatter_(2, drawn[..., None], shown[..., None])
    return block.gather(2, place)
