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
(`simulator.pixels`); such a world has no latents.

`World` is one world. `Worlds` is a grid with the same field names, for closed forms, claims and sweeps. Domains are
declared in `simulator.quantities`. `_check_together` holds the rules over several fields, for both types.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

import numpy as np
from jaxtyping import Float
from pydantic import Field, StrictInt, model_serializer, model_validator

from simulator import quantities as q
from simulator.accuracy import Numbers
from simulator.base_model import Checked, documented
from simulator.mixture import Common, Mixture, Table, block_width, class_means, common_backgrounds, mixture_of
from simulator.naming import check_known
from simulator.pixels.views import Pixels
from simulator.prompts import Prompt, caption
from simulator.summary import html_table, one_line

if TYPE_CHECKING:
    from simulator.gaussian.pairs import DrawnPairs
    from simulator.pixels.pairs import DrawnPixels


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
    views: Pixels | None = Field(
        default=None, description="how a world of pixels is shown; None: Gaussian views as in the paper"
    )

    @model_validator(mode="after")
    def _rules_over_several_fields(self):
        given = {name: getattr(self, name) for name in self.model_fields_set}
        if self.table is not None:
            vars(self).update(p_spu=None, classes=len(self.table))  # the model is frozen for others
        elif self.p_spu is None:
            raise ValueError("p_spu = None has no meaning without a table; give a probability")
        _check_together(self, given)
        return self

    @model_serializer(mode="wrap")
    def _without_meaningless_fields(self, whole: Callable[["World"], dict[str, Any]]) -> dict[str, Any]:
        fields, without = whole(self), _without(self.table, self.common, self.views)
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
        _check_gaussian(self.views, "nu_image")
        return self.sigma_xi * self.sigma_xi / self.dim_image  # a power of a scalar may round otherwise than an array's

    @property
    def nu_text(self) -> float:
        """Noise variance of one text coordinate, sigma_xi_text^2/d_T; ValueError for a world of pixels."""
        _check_gaussian(self.views, "nu_text")
        sigma = self.sigma_xi if self.sigma_xi_text is None else self.sigma_xi_text
        return sigma * sigma / self.dim_text

    def numbers(self) -> list[tuple[float, float, float, float]]:
        """(mean, scale, agreement with the label, mention) of every block, the invariant one first."""
        _check_gaussian(self.views, "mu_inv")
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
        if self.table is not None:
            return _table_prompts(self, prompt)
        return latent_prompts(Worlds.of(self), prompt).reshape(self.classes, -1)

    def draw(self, n: int, seed: int = 0, **options) -> "DrawnPairs | DrawnPixels":
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
        kind = "gaussian" if self.views is None else "pixels"
        pairs = import_module(f"simulator.{kind}.pairs")  # here for start-up time: it loads torch
        return pairs.draw(self, n, seed, **options)


_HINTS = get_type_hints(World, include_extras=True)
_DEFAULTS = {name: field.default for name, field in World.model_fields.items()}
SHARED = ("table", "common", "views")  # fields of all worlds of a grid
SCALARS = tuple(name for name in World.model_fields if name not in ("attribute", *SHARED))  # fields that are numbers
_DOMAINS = {name: q.domain_of(_HINTS[name]) for name in SCALARS} | {
    f"attribute {name}": q.domain_of(hint) for name, hint in get_type_hints(Attribute, include_extras=True).items()
}
_USUAL_ATTRIBUTE = {name: field.default for name, field in Attribute.model_fields.items()}
# Fields of Gaussian views; pixels have the labels, correlations, mentions and the one attribute.
_GAUSSIAN = (
    "mu_inv", "mu_spu", "sigma_inv", "sigma_spu", "sigma_xi", "sigma_xi_text", "dim_image", "dim_text"
)  # fmt: skip


class _Further(NamedTuple):
    """A further attribute over a grid of worlds."""

    mu: Numbers
    sigma: Numbers
    p: Numbers
    mention: Numbers


class Worlds:
    """A grid of worlds: the fields of `World`, each a number or an array; they broadcast against each other.

    Parameters
    ----------
    **fields : numbers or arrays
        Named like World's fields. `attribute` is a list of Attribute, or of {name: number or array}. `table`,
        `common` and `views` are those of all worlds, or None. An array of sigma_xi_text may hold None, which
        means sigma_xi.

    Attributes
    ----------
    p_spu, mu_inv, mu_spu, sigma_inv, sigma_spu, sigma_xi, sigma_xi_text, dim_image, dim_text, classes
        The given value or World's default; frozen. A number if all worlds share it. Worlds of pixels have no mu, sigma
        or dim, and worlds with a table no p_spu: these names raise ValueError, so closed forms raise it, too.
    mention_inv, mention_spu, p_inv, mismatch, table, common, attribute, views
        Likewise.
    shape
        Broadcast shape of all fields.

    Raises
    ------
    ValueError
        For an unknown field, a value outside its domain (the message names the first), fields that do not broadcast, a
        view too narrow for its latents, or views of pixels beside fields of Gaussian views.

    Examples
    --------
    >>> w = Worlds(p_spu=[0.5, 0.9], mu_spu=[[1.0], [2.0], [3.0]])
    >>> w.shape, w[2].shape, w.world((0, 1)).p_spu
    ((3, 2), (2,), 0.9)
    """

    p_spu: Numbers
    mu_inv: Numbers
    mu_spu: Numbers
    sigma_inv: Numbers
    sigma_spu: Numbers
    sigma_xi: Numbers
    sigma_xi_text: Numbers | None
    dim_image: Numbers
    dim_text: Numbers
    classes: int | np.ndarray  # a number if all worlds agree: formulas for K classes need it
    mention_inv: Numbers
    mention_spu: Numbers
    p_inv: Numbers
    mismatch: Numbers
    table: Table | None
    common: Common | None
    attribute: tuple[_Further, ...]
    views: Pixels | None
    shape: tuple[int, ...]

    def __init__(self, **fields):
        for name in fields:
            check_known("field", name, World.model_fields)
        values = {name: _checked(name, fields[name]) if name in fields else _DEFAULTS[name] for name in SCALARS}
        further, shared = _checked_attributes(fields.get("attribute", ())), dict.fromkeys(SHARED)
        if fields.get("table") is not None:
            shared["table"] = table = _checked("table", fields["table"])
            values["classes"] = len(table)
        if fields.get("common") is not None:
            shared["common"] = tuple(map(tuple, fields["common"]))
        if fields.get("views") is not None:
            shared["views"] = Pixels.model_validate(fields["views"])
        shapes = {np.shape(v) for v in (*values.values(), *chain.from_iterable(further))}
        try:
            shape = np.broadcast_shapes(*shapes)
        except ValueError:
            raise ValueError(f"fields of shapes {sorted(shapes - {()})} do not broadcast") from None
        self._set(values, further, shared, shape)
        _check_together(self, fields)

    def _set(self, values, further: tuple[_Further, ...], shared: dict[str, Any], shape: tuple[int, ...]) -> "Worlds":
        """Fill in valid numbers."""
        without = _without(**shared)  # `__getattr__` refuses these fields
        values = {name: value for name, value in values.items() if name not in without}
        for value in (*values.values(), *chain.from_iterable(further)):
            _read_only(value)
        K = np.ravel(values["classes"])
        if not K.size:  # formulas for any K hold in an empty grid
            values = {**values, "classes": _DEFAULTS["classes"]}
        elif K.min() == K.max():
            values = {**values, "classes": int(K[0])}
        self.__dict__.update(values, attribute=further, **shared, shape=shape)
        return self

    def __getattr__(self, name):
        if name in _GAUSSIAN:
            _check_gaussian(self.views, name)
        if name == "p_spu":
            raise ValueError("worlds with a table have no p_spu, and this formula needs it")
        raise AttributeError(f"a Worlds has no {name!r}")

    def __setattr__(self, name, value):
        raise AttributeError(f"a Worlds is frozen; .replace({name}=...) makes another")

    def __repr__(self) -> str:
        return one_line(self, shape=self.shape, **self._not_default(), **self._shared())

    def _repr_html_(self) -> str:
        rows = {**self._scalars(), **self._shared()}
        return html_table(f"Worlds of shape {self.shape}", ["field", "value"], rows.items())

    @classmethod
    def of(cls, worlds: "World | Worlds | Sequence[World]") -> "Worlds":
        """A world as a grid of shape (), several as a grid of shape (E,), a Worlds unchanged."""
        if isinstance(worlds, Worlds):
            return worlds
        many = [worlds] if isinstance(worlds, World) else list(worlds)
        if not many:
            raise ValueError("expected at least one world, got none")
        if len(counts := {len(w.attribute) for w in many}) > 1:
            raise ValueError(f"worlds with {' and '.join(map(str, sorted(counts)))} further attributes make no grid")
        for name in SHARED:
            if len({getattr(w, name) for w in many}) > 1:
                raise ValueError(f"worlds that differ in {name} make no grid")

        def row(values):
            values = list(values)
            return values[0] if isinstance(worlds, World) else np.array(values)

        values = {name: row(getattr(w, name) for w in many) for name in SCALARS}
        if all(w.sigma_xi_text is None for w in many):
            values["sigma_xi_text"] = None
        further = tuple(
            _Further(*(row(getattr(w.attribute[j], name) for w in many) for name in _Further._fields))
            for j in range(*counts)
        )
        shape = () if isinstance(worlds, World) else (len(many),)
        return object.__new__(cls)._set(values, further, {name: getattr(many[0], name) for name in SHARED}, shape)

    def _scalars(self) -> dict[str, Any]:
        """The numeric fields that these worlds have."""
        return {name: self.__dict__[name] for name in SCALARS if name in self.__dict__}

    def _shared(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in SHARED}

    def _not_default(self) -> dict[str, Any]:
        return {name: value for name, value in self._scalars().items() if not np.array_equal(value, _DEFAULTS[name])}

    @property
    def size(self) -> int:
        """Number of worlds."""
        return int(np.prod(self.shape, dtype=int))

    @property
    def class_count(self) -> int:
        """K of all worlds, as formulas need it; ValueError if worlds differ in it."""
        if isinstance(self.classes, int):
            return self.classes
        raise ValueError("a formula takes worlds with one number of classes, and these differ in it")

    @property
    def background_count(self) -> int:
        """A, the number of backgrounds; ValueError if worlds differ in it."""
        return self.class_count if self.table is None else len(self.table[0])

    @property
    def latents(self) -> Any:
        """l of each world, the length of z; a number if all have the same number of classes."""
        return latent_count(self.classes, len(self.attribute), self.table)

    @property
    def ndim(self) -> int:
        """Number of axes of the grid."""
        return len(self.shape)

    def __getitem__(self, index) -> "Worlds":
        """Some of the worlds, by numpy's indexing rules."""
        return self._rearranged(lambda x: x[index])

    def reshape(self, *shape: int) -> "Worlds":
        """The same worlds in another shape, as in numpy's reshape."""
        return self._rearranged(lambda x: x.reshape(*shape))

    def _rearranged(self, rearrange: Callable[[np.ndarray], np.ndarray]) -> "Worlds":
        """Apply `rearrange` to each field; a number shared by all worlds stays a number."""

        def apply(x):
            return x if np.ndim(x) == 0 else rearrange(np.broadcast_to(x, self.shape))

        values = {name: apply(value) for name, value in self._scalars().items()}
        shape = rearrange(np.broadcast_to(0.0, self.shape)).shape
        further = tuple(_Further(*map(apply, a)) for a in self.attribute)
        return object.__new__(Worlds)._set(values, further, self._shared(), shape)

    def ravel(self) -> "Worlds":
        """All worlds in one row, in C order."""
        return self.reshape(-1)

    def replace(self, **fields) -> "Worlds":
        """A validated copy of the worlds with some fields changed."""
        return Worlds(**{**self._not_default(), **self._shared(), "attribute": self.attribute, **fields})

    def world(self, index=()) -> World:
        """One world of the grid; ValueError for an index of several."""
        if np.shape(np.broadcast_to(0.0, self.shape)[index]) != ():
            raise ValueError(f"index = {index} selects more than one world of a grid of shape {self.shape}")
        at = lambda x: np.asarray(np.broadcast_to(x, self.shape)[index]).item()  # noqa: E731
        values = {name: at(value) for name, value in self._scalars().items()}
        further = tuple(Attribute(**{n: at(x) for n, x in a._asdict().items()}) for a in self.attribute)
        return World(**values, attribute=further, **self._shared())

    def _blocks(self, first: str, second: str, further: str) -> Float[np.ndarray, "*w B"]:
        rows = (getattr(self, first), getattr(self, second), *(getattr(a, further) for a in self.attribute))
        return _read_only(np.stack([np.broadcast_to(row, self.shape) for row in rows], axis=-1).astype(float))

    @cached_property
    def mean(self) -> Float[np.ndarray, "*w B"]:
        """mu_b of every block: the invariant one first, the background, then further attributes."""
        return self._blocks("mu_inv", "mu_spu", "mu")

    @cached_property
    def scale(self) -> Float[np.ndarray, "*w B"]:
        """sigma_b of every block."""
        return self._blocks("sigma_inv", "sigma_spu", "sigma")

    @cached_property
    def agreement(self) -> Float[np.ndarray, "*w B"]:
        """p_b of every block: probability that it shows the label's class in training."""
        return self._blocks("p_inv", "p_spu", "p")

    @cached_property
    def mention(self) -> Float[np.ndarray, "*w B"]:
        """pi_b of every block: probability that a caption mentions it."""
        return self._blocks("mention_inv", "mention_spu", "mention")

    @cached_property
    def correlation(self) -> Float[np.ndarray, "*w B"]:
        """D_b = p_b - (1 - p_b)/(K - 1): 2p - 1 for two classes, 1 where a block always agrees."""
        K = np.asarray(self.classes)[..., None]
        # This form is 0 at p = 1/K. p - (1 - p)/(K - 1) is a rounding error there, and decides where nothing else does.
        return _read_only((K * self.agreement - 1) / (K - 1))

    @cached_property
    def nu_image(self) -> Float[np.ndarray, "*w"]:
        """Noise variance of one image coordinate, sigma_xi^2/d_I."""
        return np.broadcast_to(np.asarray(self.sigma_xi * self.sigma_xi / self.dim_image), self.shape)

    @cached_property
    def text_noise(self) -> Numbers:
        """sigma_xi_text, or sigma_xi where that is unset."""
        own = np.asarray(self.sigma_xi_text)
        if own.dtype == object:
            own = np.where(_unset(own), self.sigma_xi, own).astype(float)
        return _read_only(own)

    @cached_property
    def nu_text(self) -> Float[np.ndarray, "*w"]:
        """Noise variance of one text coordinate, text_noise^2/d_T."""
        return np.broadcast_to(np.asarray(self.text_noise * self.text_noise / self.dim_text), self.shape)

    def prompt(self, prompt: Prompt) -> Float[np.ndarray, "*w B"]:
        """Coefficient of a class's own pattern in its prompt, one number per block; see `simulator.prompts`."""
        coefficient, own = caption(prompt).coefficient, np.empty_like(self.mean)
        for b in range(own.shape[-1]):
            own[..., b] = coefficient(self.mean[..., b], self.correlation[..., b], self.mention[..., b], b == 0)
        return own


def _read_only(value: Any) -> Any:
    """The value; nobody can change its numbers if it is an array."""
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    return value


def latent_prompts(worlds: Worlds, prompt: Prompt) -> Float[np.ndarray, "K B width"]:
    """Latent prompts q_y of one world (a grid of shape ()), block by block; see `World.prompts`."""
    K, own = worlds.class_count, worlds.prompt(prompt)
    # For K classes E[e_a | y] = D e_y + (1 - p)/(K - 1) 1; the binary pattern is antisymmetric, no constant.
    constant = np.zeros_like(own)
    if caption(prompt).average and K > 2:
        constant = worlds.mention * worlds.mean * (1 - worlds.agreement) / (K - 1)
    return own[:, None] * class_means(K)[:, None, :] + constant[:, None]


def _table_prompts(world: World, prompt: Prompt) -> Float[np.ndarray, "K l"]:
    """Latent prompts of a world with a table: for a class's usual background the mean of its common ones."""
    row, K = caption(prompt), world.classes
    shown, backgrounds = np.eye(K), np.zeros((K, world.background_count))
    if row.average:
        shown = world.mention_inv * np.where(shown, world.p_inv, (1 - world.p_inv) / (K - 1))
        backgrounds = world.mention_spu * world.background_law()
    elif row.names_background:
        for own, common in zip(backgrounds, world.usual_backgrounds(), strict=True):
            own[list(common)] = 1 / len(common)
    objects = world.mu_inv * shown @ class_means(K)
    return np.concatenate([objects, world.mu_spu * backgrounds @ class_means(world.background_count)], axis=1)


def view_noise(nu: Numbers, dimension: int = _DEFAULTS["dim_image"]) -> Numbers:
    """The sigma_xi that gives every coordinate of a view noise variance nu: sqrt(nu d)."""
    return np.sqrt(np.asarray(nu) * dimension)


def latent_count(classes, attributes: int, table: Table | None = None):
    """l, by numbers of classes and of further attributes; a table has no further ones."""
    if table is not None:
        return block_width(len(table)) + block_width(len(table[0]))
    width = np.where(np.equal(classes, 2), 1, classes)
    return (2 + attributes) * (width if np.ndim(classes) else int(width))


def _without(table: Table | None, common: Common | None, views: Pixels | None) -> tuple[str, ...]:
    """Fields that have no meaning beside a table or beside pixels, and those of a table that are unset."""
    unset = [name for name, value in (("table", table), ("common", common)) if value is None]
    return (*unset, *(() if table is None else ("p_spu",)), *(() if views is None else _GAUSSIAN))


def _check_gaussian(views: Pixels | None, name: str) -> None:
    """Raise ValueError if a pixel world is to give a number that it does not have."""
    if views is not None:
        raise ValueError(f"{name} is a number of Gaussian views; these worlds are pixels, which no formula describes")


def _check_together(worlds: "World | Worlds", given: Mapping[str, Any]) -> None:
    """Raise ValueError for incompatible fields; `given` are those that the caller set."""
    _check_table(worlds.table, worlds.common, given)
    if worlds.views is not None:
        if given.get("attribute"):
            raise ValueError("pixels show one attribute; leave out either [[attribute]] or [views]")
        for name in _GAUSSIAN:
            if given.get(name) is not None:
                first = next(iter(np.ravel(given[name]).tolist()), None)
                raise ValueError(f"{name} = {first!r} is of Gaussian views and has no meaning beside [views]")
        for K in np.unique(worlds.classes).tolist():
            worlds.views.check_classes(K, None if worlds.table is None else worlds.background_count)
        return
    for name in ("dim_image", "dim_text"):
        dimensions, latents = np.broadcast_arrays(getattr(worlds, name), worlds.latents)
        if (narrow := dimensions < latents).any():
            least = latents[narrow][0]
            raise ValueError(
                f"{name} = {dimensions[narrow][0]} is smaller than the {least} latents of this world; "
                f"the nearest valid value is {least}"
            )


def _check_table(table: Table | None, common: Common | None, given: Mapping[str, Any]) -> None:
    """Raise ValueError for fields that contradict a table."""
    if table is None:
        if common is not None:
            raise ValueError(f"common = {common} has no meaning without a table; leave it out")
        return
    K, A = len(table), len(table[0])
    if given.get("p_spu") is not None:
        raise ValueError(f"p_spu = {given['p_spu']!r} has no meaning beside a table, which sets all probabilities")
    if np.any(np.not_equal(given.get("classes", K), K)):
        raise ValueError(f"classes = {given['classes']!r} differs from the {K} rows of the table; leave out classes")
    if given.get("attribute"):
        raise ValueError("a table describes one attribute, the background; leave out either [[attribute]] or the table")
    if common is not None and (len(common) != K or not all(own and set(own) <= set(range(A)) for own in common)):
        raise ValueError(f"common = {common} is not a list of {K} lists, one per class, of columns 0 to {A - 1}")


def _unset(array: np.ndarray) -> np.ndarray:
    """Where an array of objects holds None."""
    return np.array([x is None for x in array.flat], dtype=bool).reshape(array.shape)


def _checked(name: str, value: Any) -> Any:
    """A field's number or array of numbers, or its table; None, alone or in an array, if the field may be unset."""
    try:
        if name == "table":
            return q.joint_table(value)
        if _DEFAULTS.get(name, 0.0) is None and getattr(value, "dtype", np.dtype(object)).kind == "O":
            array = np.array(value, dtype=object)
            unset = _unset(array)
            if unset.any():
                array[~unset] = q.numbers(array[~unset], *_DOMAINS[name])
                return array if array.ndim else None
        return q.numbers(value, *_DOMAINS[name])
    except ValueError as fault:
        raise ValueError(f"{name} = {fault}") from None


def _checked_attributes(attributes: Any) -> tuple[_Further, ...]:
    if not isinstance(attributes, list | tuple):
        raise ValueError(f"attribute = {attributes!r} is not a list of attributes")
    if len(attributes) > MOST_ATTRIBUTES:
        raise ValueError(f"{len(attributes)} attributes given; the nearest valid number is {MOST_ATTRIBUTES}")
    found = []
    for given in attributes:
        if isinstance(given, _Further):
            given = given._asdict()
        elif isinstance(given, Attribute):
            given = given.model_dump()
        elif not isinstance(given, Mapping):
            raise ValueError(f"attribute = {given!r} is not an Attribute")
        for name in given:
            check_known("attribute field", name, Attribute.model_fields)
        found.append(_Further(**{n: _checked(f"attribute {n}", v) for n, v in (_USUAL_ATTRIBUTE | given).items()}))
    return tuple(found)
