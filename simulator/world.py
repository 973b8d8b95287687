"""The world of Wang et al. (arXiv 2403.11497), Definition 6.1, widened to K classes and several attributes.

A label y is uniform; attribute ("background") j equals y with probability p_j, else is uniform on the others.
Binary world (classes = 2), scalar latents: z_inv ~ N(mu_inv y, sigma_inv^2), z_j ~ N(mu_j a_j, sigma_j^2).
K classes, one-hot latents in R^K: z_inv ~ N(mu_inv e_y, sigma_inv^2 I), z_j ~ N(mu_j e_{a_j}, sigma_j^2 I).
Views x_M = D_M mu_M(z) + xi_M with orthonormal D_M and xi_M ~ N(0, sigma_xi^2/d_M I). A caption mentions block
b of the latents with probability mention_b, else writes zeros (Xue et al., arXiv 2310.04971, section 5).

`World` is what a user sets. `Mixture` lists its groups, for samplers and oracles. `Blocks` is the same world
reduced by its symmetry, one entry a block, which is all that the closed forms need.
"""

from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulator import quantities as q

Prompt = Literal["name", "mean"]
# One number, or one a world of a grid; numpy returns its own scalars, which are floats, for zero axes.
Numbers = np.ndarray | float

# groups x latents above which a mixture is not written out: 10^7 float64 cells are 80 MB.
LARGEST_MIXTURE = 10_000_000


class Attribute(BaseModel):
    """A further spurious attribute beside the background; only in TOML, as [[attribute]]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mu: q.SpuriousMean = 1.0
    sigma: q.SpuriousScale = 0.5
    p: q.SpuriousCorrelation = 0.5
    mention: q.SpuriousMention = 1.0


class World(BaseModel):
    """Everything that a generative world needs; frozen, each field within its declared domain.

    Raises pydantic.ValidationError for a value outside its domain, an unknown field, or a view too narrow for
    orthonormal dictionaries (dim_image or dim_text below the number of latents).

    >>> World(p_spu=0.9).latents
    2
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    p_spu: q.SpuriousCorrelation = 0.9
    mu_inv: q.InvariantMean = 1.0
    mu_spu: q.SpuriousMean = 1.0
    sigma_inv: q.InvariantScale = 1.0
    sigma_spu: q.SpuriousScale = 0.5
    sigma_xi: q.ViewNoise = 1.0
    dim_image: q.ImageDimension = 64
    dim_text: q.TextDimension = 64
    classes: q.ClassCount = 2
    mention_inv: q.InvariantMention = 1.0
    mention_spu: q.SpuriousMention = 1.0
    attribute: tuple[Attribute, ...] = Field(default=(), max_length=4)

    @model_validator(mode="after")
    def _views_hold_the_latents(self):
        for name in ("dim_image", "dim_text"):
            if getattr(self, name) < self.latents:
                raise ValueError(
                    f"{name} = {getattr(self, name)} is smaller than the {self.latents} latents of this world; "
                    f"the nearest valid value is {self.latents}"
                )
        return self

    @property
    def latents(self) -> int:
        """l, the length of z: one number a block in the binary world, K numbers a block otherwise."""
        return (2 + len(self.attribute)) * (1 if self.classes == 2 else self.classes)

    @property
    def nu_image(self) -> float:
        """Noise variance of one image coordinate, sigma_xi^2/d_I."""
        return self.sigma_xi**2 / self.dim_image

    @property
    def nu_text(self) -> float:
        """Noise variance of one text coordinate, sigma_xi^2/d_T."""
        return self.sigma_xi**2 / self.dim_text

    def blocks(self) -> "Blocks":
        """The world reduced by its symmetry; see `Blocks`."""
        extra = self.attribute
        return Blocks(
            mean=np.array([self.mu_inv, self.mu_spu, *(a.mu for a in extra)]),
            scale=np.array([self.sigma_inv, self.sigma_spu, *(a.sigma for a in extra)]),
            agreement=np.array([1.0, self.p_spu, *(a.p for a in extra)]),
            mention=np.array([self.mention_inv, self.mention_spu, *(a.mention for a in extra)]),
            nu_image=np.array(self.nu_image),
            nu_text=np.array(self.nu_text),
            classes=self.classes,
        )

    def mixture(self) -> "Mixture":
        """The groups (y, a_1, a_2, ...) written out.

        Raises ValueError above LARGEST_MIXTURE cells; the closed forms for K classes need no mixture.
        """
        K, J = self.classes, 1 + len(self.attribute)
        if K ** (1 + J) * self.latents > LARGEST_MIXTURE:
            raise ValueError(
                f"classes = {K} with {J} attribute(s) makes {K ** (1 + J):,} groups of {self.latents} latents, "
                f"more than the {LARGEST_MIXTURE:,} cells that are written out; "
                f"the largest number of classes that fits is {_largest_classes(J)}"
            )
        b = self.blocks()
        codes = np.array(list(product(range(K), repeat=1 + J)), dtype=np.int64)
        match = codes[:, 1:] == codes[:, :1]
        p = b.agreement[1:]
        weights = np.where(match, p, (1 - p) / (K - 1)).prod(axis=1) / K
        width = 1 if K == 2 else K
        patterns = _patterns(K)  # (K, width): the mean of a block per class, in units of mu
        means = (b.mean[:, None] * patterns[codes]).reshape(len(codes), -1)
        return Mixture(
            labels=codes[:, 0],
            backgrounds=codes[:, 1:],
            weights=weights,
            means=means,
            variances=np.repeat(b.scale**2, width),
            mention=b.mention,
            block=np.repeat(np.arange(1 + J), width),
            classes=K,
        )

    def prompts(self, prompt: Prompt) -> Float[np.ndarray, "K l"]:
        """Latent prompt q_y of every class, p_y = D_T q_y.

        name: the latent mean under the test law, (mu_inv y, 0); mean: E[z_T | y] under the training law, with
        masks. [W] writes D_T E[z | y] without saying under which law; the two give very different answers.
        """
        return latent_prompts(self.blocks(), prompt).reshape(self.classes, -1)


class Blocks(NamedTuple):
    """A world reduced by its symmetry: the invariant block first, then one block per attribute.

    Arrays may carry leading axes (a grid of worlds); the last axis runs over blocks. Every entry is a plain
    number, so that a grid never builds a World per cell.
    """

    mean: Float[np.ndarray, "*w B"]  # mu_b
    scale: Float[np.ndarray, "*w B"]  # sigma_b
    agreement: Float[np.ndarray, "*w B"]  # p_b, 1 for the invariant block
    mention: Float[np.ndarray, "*w B"]  # pi_b
    nu_image: Float[np.ndarray, "*w"]
    nu_text: Float[np.ndarray, "*w"]
    classes: int

    @property
    def correlation(self) -> Float[np.ndarray, "*w B"]:
        """D_b = p_b - (1 - p_b)/(K - 1): 2p - 1 for two classes, 1 for the invariant block."""
        return self.agreement - (1 - self.agreement) / (self.classes - 1)

    def prompt(self, prompt: Prompt) -> Float[np.ndarray, "*w B"]:
        """Coefficient of a class's own pattern in its prompt, one number a block."""
        if prompt == "mean":
            return self.mention * self.mean * self.correlation
        if prompt == "name":
            return self.mean * (np.arange(self.mean.shape[-1]) == 0)
        raise ValueError(f"prompt = {prompt!r} is neither 'name' nor 'mean'")


def latent_prompts(blocks: Blocks, prompt: Prompt) -> Float[np.ndarray, "K B width"]:
    """Latent prompts q_y of one world, block by block; see `World.prompts`."""
    K, own = blocks.classes, blocks.prompt(prompt)
    # For K classes E[e_a | y] = D e_y + (1 - p)/(K - 1) 1; the binary pattern is antisymmetric, no constant.
    constant = np.zeros_like(own)
    if prompt == "mean" and K > 2:
        constant = blocks.mention * blocks.mean * (1 - blocks.agreement) / (K - 1)
    return own[:, None] * _patterns(K)[:, None, :] + constant[:, None]


@dataclass(frozen=True)
class Mixture:
    """Finite mixture of groups with one shared diagonal covariance of the latents.

    Class 0 of the binary world is y = +1, class 1 is y = -1.
    """

    labels: Int[np.ndarray, " G"]
    backgrounds: Int[np.ndarray, "G J"]
    weights: Float[np.ndarray, " G"]  # training law, sums to 1
    means: Float[np.ndarray, "G l"]
    variances: Float[np.ndarray, " l"]
    mention: Float[np.ndarray, " B"]
    block: Int[np.ndarray, " l"]  # which block a latent belongs to
    classes: int

    @property
    def common(self) -> np.ndarray:
        """Boolean (G,): the first attribute agrees with the label."""
        return self.backgrounds[:, 0] == self.labels

    def masks(self) -> tuple[Float[np.ndarray, "P l"], Float[np.ndarray, " P"]]:
        """Caption masks that occur, one row each over the latents, and their probabilities."""
        options = [[0.0, 1.0] if 0 < pi < 1 else [float(pi)] for pi in self.mention]
        rows = np.array(list(product(*options)))
        probability = np.where(rows == 1, self.mention, 1 - self.mention).prod(axis=1)
        return rows[:, self.block], probability


def _patterns(classes: int) -> Float[np.ndarray, "K width"]:
    """Mean of a block per class in units of mu: +1 and -1 for two classes, else the unit vectors."""
    return np.array([[1.0], [-1.0]]) if classes == 2 else np.eye(classes)


def _largest_classes(attributes: int) -> int:
    classes = 2
    while (classes + 1) ** (2 + attributes) * (1 + attributes) <= LARGEST_MIXTURE:
        classes += 1
    return classes
