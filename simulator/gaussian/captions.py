"""Captions that contradict their image: the background that a caption names is drawn anew, uniformly from all classes.

The background's block of a caption is reflected (two classes) or has two coordinates exchanged (K classes), noise and
all, which leaves the law of captions with each background what it was; silent captions stay silent.

What it changes at the optimum (c the probability that another background is named, R the exchange):
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

from simulator.gaussian.pairs import Pairs, fill


def contradicted(
    pairs: Pairs, classes: int, frame: Float[np.ndarray, "dT l"], seed: int, index: int, *, streams: Sequence[str]
) -> Pairs:
    """The pairs of a block, each caption with a background drawn by chance in place of its image's."""
    shown = pairs.backgrounds[..., 0].cpu()
    named = fill(torch.empty_like(shown), "caption-background", seed, index, streams, "integer", classes)
    width = 1 if classes == 2 else classes
    block = torch.as_tensor(frame[:, width : 2 * width]).to(pairs.texts)  # (d_T, width)
    told = pairs.texts @ block
    other = _exchanged(told, shown.to(told.device), named.to(told.device))
    return pairs._replace(texts=pairs.texts + (other - told) @ block.T)


def _exchanged(
    told: Float[torch.Tensor, "E n width"], shown: Int[torch.Tensor, "E n"], named: Int[torch.Tensor, "E n"]
) -> Float[torch.Tensor, "E n width"]:
    """Coordinates `shown` and `named` exchanged; the sign of an only coordinate turned where they differ."""
    if told.shape[-1] == 1:
        return torch.where((shown == named)[..., None], told, -told)
    place = torch.arange(told.shape[-1], device=told.device).expand(told.shape).clone()
    place.scatter_(2, shown[..., None], named[..., None]).scatter_(2, named[..., None], shown[..., None])
    return told.gather(2, place)
