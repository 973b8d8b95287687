"""SigLIP's optimum. Without limits of scores it decides as InfoNCE's; unit embeddings of finite
scale have their own.

The sigmoid of s u.v + b tells whether a caption belongs to an image. Its optimum over unrestricted
towers is PMI - log(B - 1) at B images per batch. At a finite scale the bias and B matter: with a
learned bias little, while a fixed one can make all embeddings equal. SigLIP (Zhai et al., arXiv
2303.15343) learns the bias from -10 on.
"""

from dataclasses import dataclass
from typing import ClassVar

from simulator.naming import outside
from simulator.quantities import Bias, domain_of
from theory.learners.infonce import InfoNCE
from theory.unit_embeddings import Objective, siglip

BIASES = domain_of(Bias)


@dataclass(frozen=True)
class SigLIP(InfoNCE):
    """SigLIP's optimum over unrestricted towers, which decides as InfoNCE's, or over towers of unit
    embeddings.

    Parameters
    ----------
    prompt, scale, embed_dim
        As for InfoNCE.
    bias
        The bias b of scores s u.v + b in [-200, 200], if it is fixed; None if it is learned.
    batch_size
        Images per batch, at least 2. None is infinitely many, with a learned bias.

    Raises
    ------
    ValueError
        For values outside their domains or without effect, and a fixed bias without a batch.

    Examples
    --------
    >>> from simulator.world import World
    >>> SigLIP(scale=1.0).accuracy(World(mu_spu=1.5, sigma_xi=6.0))
    Accuracy(common=0.8987 (0.8987 to 0.8988), counter=0.6124 (0.6121 to 0.6127))
    """

    name: ClassVar[str] = "siglip"
    words: ClassVar[str] = "the SigLIP optimum"
    bias: float | None = None
    batch_size: int | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.bias is not None and not BIASES[0] <= self.bias <= BIASES[1]:
            raise ValueError(f"bias = {outside(self.bias, *BIASES)}")
        if self.batch_size is not None and self.batch_size < 2:
            raise ValueError(
                f"batch_size = {outside(self.batch_size, 2)}, since a pair alone has no negatives"
            )
        for option in ("bias", "batch_size"):
            if self.scale is None and (value := getattr(self, option)) is not None:
                raise ValueError(
                    f"{option} = {value} changes no decision of scores without limits; give a scale"
                )
        if self.bias is not None and self.batch_size is None:
            raise ValueError(
                f"bias = {self.bias} is weighed against the negatives of a batch, so it needs a"
                " batch_size"
            )

    @property
    def objective(self) -> Objective:
        """The loss of unit embeddings."""
        return siglip(self.bias, self.batch_size)
