"""The world of Wang et al. (arXiv 2403.11497), Definition 6.1, generalised to K classes and several attributes.

A label y is uniform. The object shown is the label's with probability p_inv (1 in the papers), else another class's.
Attribute ("background") j equals y with probability p_j, else is uniform on the others. All are independent given y.
Binary world (classes = 2), scalar latents: z_inv ~ N(mu_inv o, sigma_inv^2), z_j ~ N(mu_j a_j, sigma_j^2).
K classes, one-hot latents in R^K: z_inv ~ N(mu_inv e_o, sigma_inv^2 I), z_j ~ N(mu_j e_{a_j}, sigma_j^2 I).
With a `table` of joint probabilities of K classes and A backgrounds there is no p_spu: label and background are
drawn from the table, and the background's block has A classes' patterns (one number if A = 2).
Views x_M = D_M mu_M(z) + xi_M with orthonormal D_M and xi_M ~ N(0, sigma_xi^2/d_M I). A caption mentions block
b of the latents with probability mention_b, else writes zeros (Xue et al., arXiv 2310.04971, section 5).
With probability `mismatch`, the same in every class, a caption belongs to another pair, drawn at random.
With `views` the same labels, objects, attributes and mentions are shown in pictures and sentences instead
(`simulator.views`); such a world has no latents.

`simulator.worlds.Worlds` is a grid of worlds with the same field names, for closed forms, claims and sweeps. Domains
are declared in `simulator.quantities`, and `simulator.rules` holds the rules over several fields, for both.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from pydantic import Field, StrictInt, model_serializer, model_validator

import simulator.pixels.views  # noqa: F401 (registers the kind of views "pixels")
from simulator import quantities as q
from simulator.accuracy import Numbers
from simulator.base_model import Checked, documented
from simulator.mixture import Common, Mixture, block_width, common_backgrounds, mixture_of
from simulator.prompts import Prompt, prompts_of_classes, prompts_on_table
from simulator.rules import check_gaussian, check_together, latent_count, meaningless
from simulator.views import AnyViews, shown

if TYPE_CHECKING:
    from simulator.gaussian.pairs import DrawnPairs


MOST_ATTRIBUTES = 4  # besides the background


@documented
class Attribute(Checked):
    """A spurious attribute besides the background; it has no flags, only a TOML table [[attribute]].

    Parameters
    ----------
    {fields}

    """

    mu: q.SpuriousMean = 1.0
    sigma: q.SpuriousScale = 0.5
    p: q.SpuriousCorrelation = 0.5
    mention: q.SpuriousMention = 1.0


@documented
class World(Checked):
    """Everything that a generative world needs; frozen, each field within its declared domain.

    The law of two classes. The label y is 1 or -1 with equal probability. The background a equals y with probability
    p_spu. Image and caption show the latents

        z = (mu_inv y + sigma_inv e1, mu_spu a + sigma_spu e2),    e1, e2 standard normal,

    as x = D z + xi, where D has orthonormal columns and xi is normal with norm about sigma_xi: each coordinate has
    variance sigma_xi^2/dim_image in an image, sigma_xi_text^2/dim_text in a caption. A caption mentions the object with
    probability mention_inv and the background with probability mention_spu. Test images have uniform backgrounds.
    `simulator.world` has the law of K classes.

    Parameters
    ----------
    {fields}

    Raises
    ------
    pydantic.ValidationError
        For a value outside its domain, an unknown field, or a view too narrow for orthonormal dictionaries (dim_image
        or dim_text below the number of latents). With views: for fields of Gaussian views, and for more classes than
        the views can show.

    Examples
    --------
    >>> World(p_spu=0.9).latents
    2
    """

    p_spu: q.SpuriousCorrelation | None = 0.9
    mu_inv: q.InvariantMean = 1.0
    mu_spu: q.SpuriousMean = 1.0
    sigma_inv: q.InvariantScale = 1.0
    sigma_spu: q.SpuriousScale = 0.5
    sigma_xi: q.ViewNoise = 1.0
    sigma_xi_text: q.TextNoise | None = None
    dim_image: q.ImageDimension = 64
    dim_text: q.TextDimension = 64
    classes: q.ClassCount = 2
    mention_inv: q.InvariantMention = 1.0
    mention_spu: q.SpuriousMention = 1.0
    p_inv: q.InvariantCorrelation = 1.0
    mismatch: q.Mismatch = 0.0
    table: q.JointTable | None = None
    common: tuple[tuple[StrictInt, ...], ...] | None = Field(
        default=None,
        description="per class, the columns of the table that count as common, from 0; unset: the most frequent ones",
    )
    attribute: tuple[Attribute, ...] = Field(
        default=(), max_length=MOST_ATTRIBUTES, description="further spurious attributes, 4 at most"
    )
    views: AnyViews | None = Field(
        default=None, description="how the world is shown: pixels, or another kind of views; None: as in the paper"
    )

    @model_validator(mode="after")
    def _rules_over_several_fields(self):
        given = {name: getattr(self, name) for name in self.model_fields_set}
        if self.table is not None:
            vars(self).update(p_spu=None, classes=len(self.table))  # the model is frozen for others
        elif self.p_spu is None:
            raise ValueError("p_spu = None has no meaning without a table; give a probability")
        check_together(self, given)
        return self

    @model_serializer(mode="wrap")
    def _without_meaningless_fields(self, whole: Callable[["World"], dict[str, Any]]) -> dict[str, Any]:
        fields, without = whole(self), meaningless(self.table, self.common, self.views)
        return {name: fields[name] for name in fields if name not in without}

    def replace(self, **fields) -> "World":
        """A validated copy of the world with some fields changed."""
        return self.model_copy(update=fields)

    @property
    def background_count(self) -> int:
        """A, the number of backgrounds; without a table every class has its own."""
        return self.classes if self.table is None else len(self.table[0])

    @property
    def latents(self) -> int:
        """l, the length of z: one number per block of two classes (or backgrounds), K (or A) per block otherwise."""
        return latent_count(self.classes, len(self.attribute), self.table)

    @property
    def background_latents(self) -> slice:
        """The background's place among the latents."""
        width = block_width(self.classes)
        return slice(width, width + block_width(self.background_count))

    @property
    def nu_image(self) -> float:
        """Noise variance of one image coordinate, sigma_xi^2/d_I; ValueError for a world of pixels."""
        check_gaussian(self.views, "nu_image")
        return self.sigma_xi * self.sigma_xi / self.dim_image  # a power of a scalar may round otherwise than an array's

    @property
    def nu_text(self) -> float:
        """Noise variance of one text coordinate, sigma_xi_text^2/d_T; ValueError for a world of pixels."""
        check_gaussian(self.views, "nu_text")
        sigma = self.sigma_xi if self.sigma_xi_text is None else self.sigma_xi_text
        return sigma * sigma / self.dim_text

    def numbers(self) -> list[tuple[float, float, float, float]]:
        """(mean, scale, agreement with the label, mention) of every block, the invariant one first."""
        check_gaussian(self.views, "mu_inv")
        latent = [(self.mu_inv, self.sigma_inv), (self.mu_spu, self.sigma_spu)]
        latent += [(a.mu, a.sigma) for a in self.attribute]
        return [(*own, *chances) for own, chances in zip(latent, self.probabilities(), strict=True)]

    def probabilities(self) -> list[tuple[float, float]]:
        """(agreement with the label, mention) of every block, the invariant one first; nan for that of a table."""
        further = [(a.p, a.mention) for a in self.attribute]
        agreement = np.nan if self.p_spu is None else self.p_spu
        return [(self.p_inv, self.mention_inv), (agreement, self.mention_spu), *further]

    def test_law(self) -> "World":
        """The test law: every attribute uniform and independent of the label, all else as in training."""
        if self.table is not None:
            K, A = self.classes, self.background_count
            return self.replace(table=np.full((K, A), 1 / (K * A)), common=self.usual_backgrounds())
        chance = 1 / self.classes
        further = tuple(a.model_copy(update={"p": chance}) for a in self.attribute)
        return self.model_copy(update={"p_spu": chance, "attribute": further})

    def joint_law(self) -> Float[np.ndarray, "K A"]:
        """Joint probability of label and background in training."""
        return self.background_law() / self.classes if self.table is None else np.array(self.table)

    def background_law(self) -> Float[np.ndarray, "K A"]:
        """Probability of each background given the label in training, one row per label."""
        if self.table is not None:
            return np.array(self.table) / np.sum(self.table, axis=1, keepdims=True)
        K, (agreement, _) = self.classes, self.probabilities()[1]
        law = np.where(np.eye(K), agreement, (1 - agreement) / (K - 1))
        if self.views is not None:
            law[~np.isin(np.arange(K), self.views.tied_of(K))] = 1 / K
        return law

    def usual_backgrounds(self) -> Common:
        """Each class's own background, or its common ones in a table; none for a class of pixels without its own."""
        if self.table is not None:
            return common_backgrounds(self.table, self.common)
        tied = range(self.classes) if self.views is None else self.views.tied_of(self.classes)
        return tuple((y,) if y in tied else () for y in range(self.classes))

    def mixture(self, objects: bool | None = None) -> Mixture:
        """The groups (y, o, a_1, a_2, ...) written out; with objects of other classes if `objects`, or if p_inv < 1."""
        return mixture_of(self, objects)

    def prompts(self, prompt: Prompt) -> Float[np.ndarray, "K l"]:
        """Latent prompt q_y of every class, p_y = D_T q_y; see `simulator.prompts`.

        [W] writes D_T E[z | y] and does not name the law. Under the test law this is the name prompt, under the
        training law the mean prompt. The two give very different accuracies. ValueError for "captions", which no
        single caption represents.
        """
        return prompts_on_table(self, prompt) if self.table is not None else prompts_of_classes(self, prompt)

    def draw(self, n: int, seed: int = 0, **options) -> "DrawnPairs | Any":
        """Training pairs, with the dictionaries of Gaussian views or the scenes of pixels.

        Parameters
        ----------
        n
            Number of pairs, at least 1.
        seed
            Root of the streams, 0 or larger.
        **options
            For Gaussian views: frames, stream, device, draw_on and dtype of `simulator.gaussian.pairs.draw`. For
            pixels: stream and device of `simulator.pixels.pairs.draw`.
        """
        return shown(self).draw(self, n, seed, **options)


SHARED = ("table", "common", "views")  # fields of all worlds of a grid
SCALARS = tuple(name for name in World.model_fields if name not in ("attribute", *SHARED))  # fields that are numbers


def view_noise(nu: Numbers, dimension: int = World.model_fields["dim_image"].default) -> Numbers:
    """The sigma_xi that gives every coordinate of a view noise variance nu: sqrt(nu d)."""
    return np.sqrt(np.asarray(nu) * dimension)
