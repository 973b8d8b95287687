"""The world of Wang et al. (arXiv 2403.11497), Definition 6.1, generalised to K classes and several
attributes.

A label y is uniform. The object shown is the label's with probability p_inv (1 in the papers), else
another class's. Attribute ("background") j equals y with probability p_j, else is uniform on the
others. All are independent given y. Binary world (classes = 2), scalar latents: z_inv ~ N(mu_inv o,
sigma_inv^2), z_j ~ N(mu_j a_j, sigma_j^2). K classes, one-hot latents in R^K: z_inv ~ N(mu_inv e_o,
sigma_inv^2 I), z_j ~ N(mu_j e_{a_j}, sigma_j^2 I). With a `table` of joint probabilities of K
classes and A backgrounds there is no p_spu: label and background are drawn from the table, and the
background's block has A classes' patterns (one number if A = 2). Views x_M = D_M mu_M(z) + xi_M
with orthonormal D_M and xi_M ~ N(0, sigma_xi^2/d_M I). A caption mentions block b of the latents
with probability mention_b, else writes zeros (Xue et al., arXiv 2310.04971, section 5). In how
block b varies within its group, image and caption have the correlation detail_b: at 1 they share
their latents, at 0 a caption tells the class of the block alone. The law of each view does not
depend on the detail. With probability `bare` a caption is bare: it is D_T (mu_inv times the label's
pattern, 0, ...), without noise, and its last coordinate, the mark, is 1. Other captions have the
mark 0. Where `bare` is 0 there is no mark. With probability `mismatch`, the same in every class, a
caption belongs to another pair, drawn at random. With `views` the same labels, objects, attributes
and mentions are shown in pictures and sentences instead (`simulator.views`); such a world has no
latents.

A numeric field is a number or an array, and arrays broadcast: a `World` is one world (shape ()) or
a grid of worlds. A field is declared once, below: its name, symbol, meaning, unit, domain and
default. Blocks of the latents (the object, the background, further attributes) have fields of one
stem: mu_inv, mu_spu and an attribute's mu.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, NamedTuple, get_type_hints

import numpy as np
from jaxtyping import Float
from pydantic import (
    BeforeValidator,
    Field,
    StrictInt,
    ValidationError,
    model_serializer,
    model_validator,
)

import simulator.pixels.views  # noqa: F401 (registers the kind of views "pixels")
from simulator.accuracy import Numbers
from simulator.base_model import Checked, documented
from simulator.mixture import (
    COMMON,
    CaptionKind,
    CaptionKinds,
    Common,
    Mixture,
    block_width,
    cell_groups,
    common_backgrounds,
    mixture_of,
)
from simulator.naming import suggestion
from simulator.prompts import Prompt, caption, check_told, latent_prompts
from simulator.quantities import (
    LATENT,
    Number,
    Whole,
    blockwise,
    joint_table,
    number,
    quantity_of,
    read_only,
)
from simulator.views import KINDS, AnyViews, shown

MOST_ATTRIBUTES = 4  # besides the background
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most"}
CHANCE, CORRELATION, COORDINATES = "probability", "correlation", "coordinates"

MEAN = blockwise(
    r"\mu",
    "mean of the {latent} latent; the opposite mean gives the same accuracies",
    LATENT,
    -1e3,
    1e3,
)
SCALE = blockwise(r"\sigma", "standard deviation of the {latent} latent", LATENT, 0.0, 1e3)
AGREEMENT = blockwise("p", "probability that the {match}", CHANCE, 0.0, 1.0)
MENTION = blockwise(r"\pi", "probability that a caption mentions the {part}", CHANCE, 0.0, 1.0)
DETAIL = blockwise(
    "g",
    "correlation of image and caption in how the {part} varies within its class",
    CORRELATION,
    0.0,
    1.0,
)


@documented
class Attribute(Checked):
    """A spurious attribute besides the background; it has no flags, only a TOML table
    [[attribute]].

    Parameters
    ----------
    {fields}

    """

    mu: Annotated[Number, *MEAN["spu"]] = 1.0
    sigma: Annotated[Number, *SCALE["spu"]] = 0.5
    p: Annotated[Number, *AGREEMENT["spu"]] = 0.5
    mention: Annotated[Number, *MENTION["spu"]] = 1.0
    detail: Annotated[Number, *DETAIL["spu"]] = 1.0


def _check_gaussian(world: "World", name: str) -> None:
    """Raise ValueError for a number that worlds of other than Gaussian views do not have."""
    if (views := world.views) is not None:
        words = (
            f"{name} is a number of Gaussian views; these worlds are {views.name}, which no formula"
            " describes"
        )
        raise ValueError(words)


def _of_blocks(stem: str, meaning: str) -> cached_property:
    """A property of worlds, (*w, B): the numbers of a stem, of the object, the background, and
    further attributes.
    """

    def numbers(self) -> Float[np.ndarray, "*w B"]:
        if f"{stem}_inv" in GAUSSIAN:
            _check_gaussian(self, f"{stem}_inv")
        rows = (
            getattr(self, f"{stem}_inv"),
            getattr(self, f"{stem}_spu"),
            *(getattr(a, stem) for a in self.attribute),
        )
        if rows[1] is None:
            raise ValueError("worlds with a table have no p_spu, and this formula needs it")
        blocks = np.empty((*self.shape, len(rows)))
        for b, row in enumerate(rows):
            blocks[..., b] = row
        return read_only(blocks)

    numbers.__doc__ = (
        f"{meaning} Shape (*w, B): w is that of the grid, and B blocks are object, background and"
        " attributes."
    )
    return cached_property(numbers)


class Variances(NamedTuple):
    """Variances of a coordinate of each block within its group, for captions that show the
    block.
    """

    shared: Float[np.ndarray, "*w B"]  # what image and caption share, g_b sigma_b^2
    image: Float[np.ndarray, "*w B"]  # of the image alone, (1 - g_b) sigma_b^2 + nu_I
    caption: Float[np.ndarray, "*w B"]  # of the caption alone, (1 - g_b) sigma_b^2 + nu_T


@documented
class World(Checked):
    """Everything that a generative world needs, or a grid of worlds; frozen, each number within its
    declared domain.

    The law of two classes. The label y is 1 or -1 with equal probability. The background a equals y
    with probability p_spu. Image and caption show the latents

        z = (mu_inv y + sigma_inv e1, mu_spu a + sigma_spu e2),    e1, e2 standard normal,

    as x = D z + xi, where D has orthonormal columns and xi is normal with norm about sigma_xi: each
    coordinate has variance sigma_xi^2/dim_image in an image, sigma_xi_text^2/dim_text in a caption.
    A caption mentions the object with probability mention_inv and the background with probability
    mention_spu. Test images have uniform backgrounds. `simulator.world` has the law of K classes.

    A number may be an array, also in an attribute. Arrays broadcast to `shape`, which is () for one
    world. All worlds of a grid have one table and one kind of views.

    Parameters
    ----------
    {fields}

    Raises
    ------
    pydantic.ValidationError
        For a value outside its domain, an unknown field, arrays that do not broadcast, or a view
        too narrow for orthonormal dictionaries (dim_image or dim_text below the number of latents).
        With views: for fields of Gaussian views, and for more classes than the views can show.

    Examples
    --------
    >>> World(p_spu=0.9).latents
    2
    >>> w = World(p_spu=[0.5, 0.9], mu_spu=[[1.0], [2.0], [3.0]])
    >>> w.shape, w[2].shape, w[0, 1]
    ((3, 2), (2,), World())
    """

    p_spu: Annotated[Number, *AGREEMENT["spu"]] | None = 0.9
    mu_inv: Annotated[Number, *MEAN["inv"]] = 1.0
    mu_spu: Annotated[Number, *MEAN["spu"]] = 1.0
    sigma_inv: Annotated[Number, *SCALE["inv"]] = 1.0
    sigma_spu: Annotated[Number, *SCALE["spu"]] = 0.5
    sigma_xi: Annotated[
        Number,
        *number(
            r"\sigma_{\xi}",
            "norm of the view noise; each coordinate has variance sigma_xi^2/d",
            LATENT,
            0.0,
            1e3,
        ),
    ] = 1.0
    sigma_xi_text: (
        Annotated[
            Number,
            *number(
                r"\sigma_{\xi,T}",
                "norm of the caption noise; unset: equal to sigma_xi",
                LATENT,
                0.0,
                1e3,
            ),
        ]
        | None
    ) = None
    dim_image: Annotated[
        Whole, *number(r"d_I", "dimension of the image view", COORDINATES, 1, 1_000_000)
    ] = 64
    dim_text: Annotated[
        Whole, *number(r"d_T", "dimension of the text view", COORDINATES, 1, 1_000_000)
    ] = 64
    classes: Annotated[
        Whole,
        *number(r"K", "number of classes; 2 is the paper's scalar world", "classes", 2, 10_000),
    ] = 2
    mention_inv: Annotated[Number, *MENTION["inv"]] = 1.0
    mention_spu: Annotated[Number, *MENTION["spu"]] = 1.0
    p_inv: Annotated[Number, *AGREEMENT["inv"]] = 1.0
    mismatch: Annotated[  # at 1 no caption belongs to its image, and there is nothing to learn
        Number,
        *number(
            r"\epsilon",
            "probability that a caption belongs to another pair, drawn at random",
            CHANCE,
            0.0,
            0.999,
        ),
    ] = 0.0
    detail_inv: Annotated[Number, *DETAIL["inv"]] = 1.0
    detail_spu: Annotated[Number, *DETAIL["spu"]] = 1.0
    bare: Annotated[
        Number,
        *number(
            "b",
            "probability that a caption is bare: it tells the label alone, and shows that",
            CHANCE,
            0.0,
            1.0,
        ),
    ] = 0.0
    table: (
        Annotated[
            tuple[tuple[float, ...], ...],
            BeforeValidator(joint_table),
            Field(
                description=(
                    "joint probabilities of classes (rows) and backgrounds (columns), instead of"
                    " p_spu"
                )
            ),
        ]
        | None
    ) = None
    common: tuple[tuple[StrictInt, ...], ...] | None = Field(
        default=None,
        description=(
            "per class, the columns of the table that count as common, from 0; unset: the most"
            " frequent ones"
        ),
    )
    attribute: tuple[Attribute, ...] = Field(
        default=(), max_length=MOST_ATTRIBUTES, description="further spurious attributes, 4 at most"
    )
    views: AnyViews | None = Field(
        default=None,
        description=(
            "how the world is shown: pixels, or another kind of views; None: as in the paper"
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _told_by_a_table(cls, fields: Any) -> Any:
        """A table tells the number of classes, and there is no p_spu beside it."""
        if not isinstance(fields, Mapping) or fields.get("table") is None:
            return fields
        try:
            return {"p_spu": None, "classes": len(joint_table(fields["table"])), **fields}
        except ValueError:  # the field's own check says what is wrong with the table
            return fields

    @model_validator(mode="after")
    def _rules_over_several_fields(self):
        _check_table(self)
        _ = self.shape
        (_check_widths if self.views is None else _check_views)(self)
        if self.table is not None:  # a copy with another table has other classes
            self.model_fields_set.difference_update(("p_spu", "classes"))
        return self

    @model_serializer(mode="wrap")
    def _without_meaningless_fields(
        self, whole: Callable[["World"], dict[str, Any]]
    ) -> dict[str, Any]:
        fields = whole(self)
        without = [name for name in ("table", "common") if getattr(self, name) is None]
        without += [
            *(["p_spu"] if self.table is not None else []),
            *(GAUSSIAN if self.views is not None else []),
        ]
        return {name: fields[name] for name in fields if name not in without}

    def __repr_args__(self):
        return [*([("shape", self.shape)] if self.shape else []), *super().__repr_args__()]

    @classmethod
    def stack(cls, worlds: Sequence["World"]) -> "World":
        """Several single worlds as a grid of shape (E,).

        Raises
        ------
        ValueError
            For no worlds, and for worlds that differ in more than numbers: in their table, their
            common backgrounds, their views, their number of attributes, or in whether sigma_xi_text
            is set.
        """
        if not worlds:
            raise ValueError("expected at least one world, got none")
        first = worlds[0]
        if len(counts := {len(w.attribute) for w in worlds}) > 1:
            raise ValueError(
                f"worlds with {' and '.join(map(str, sorted(counts)))} further attributes make no"
                " grid"
            )
        for name in SHARED:
            if len({getattr(w, name) for w in worlds}) > 1:
                raise ValueError(f"worlds that differ in {name} make no grid")
        # an unset one follows sigma_xi, also in a copy
        if len({w.sigma_xi_text is None for w in worlds}) > 1:
            raise ValueError(
                "worlds of which some set sigma_xi_text make no grid; set it in all of them, or in"
                " none"
            )

        def row(models: Sequence[Any], name: str) -> Any:
            return (
                None
                if getattr(models[0], name) is None
                else np.array([getattr(model, name) for model in models])
            )

        fields_set = set().union(*(w.model_fields_set for w in worlds))
        fields = {name: row(worlds, name) for name in SCALARS}
        further = [
            {name: row(own, name) for name in STEMS}
            for own in zip(*(w.attribute for w in worlds), strict=True)
        ]
        return first._with(fields, further, fields_set)

    def _with(
        self, fields: dict[str, Any], further: Sequence[dict[str, Any]], fields_set: set[str]
    ) -> "World":
        """These worlds with other valid numbers."""
        for value in (value for values in (fields, *further) for value in values.values()):
            if isinstance(value, np.ndarray):
                read_only(value)
        attribute = tuple(Attribute.model_construct(**values) for values in further)
        shared = {name: getattr(self, name) for name in SHARED}
        return World.model_construct({*fields_set}, **fields, **shared, attribute=attribute)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape to which all fields broadcast; () for one world."""
        numbers = [getattr(self, name) for name in SCALARS]
        numbers += [getattr(a, name) for a in self.attribute for name in STEMS]
        shapes = {x.shape for x in numbers if isinstance(x, np.ndarray)}
        try:
            return np.broadcast_shapes(*shapes)
        except ValueError:
            raise ValueError(f"fields of shapes {sorted(shapes)} do not broadcast") from None

    @property
    def size(self) -> int:
        """Number of worlds."""
        return int(np.prod(self.shape, dtype=int))

    @property
    def ndim(self) -> int:
        """Number of axes of the grid."""
        return len(self.shape)

    def __getitem__(self, index) -> "World":
        """Some of the worlds, by numpy's indexing rules."""
        return self._rearranged(lambda x: x[index])

    def reshape(self, *shape: int) -> "World":
        """The same worlds in another shape, as in numpy's reshape."""
        return self._rearranged(lambda x: x.reshape(*shape))

    def ravel(self) -> "World":
        """All worlds in one row, in C order."""
        return self._rearranged(np.ravel)

    def _rearranged(self, rearrange: Callable[[np.ndarray], Any]) -> "World":
        """Apply `rearrange` to each array; a number that all worlds share stays a number."""

        def apply(value: Any) -> Any:
            if not isinstance(value, np.ndarray):
                return value
            value = rearrange(np.broadcast_to(value, self.shape))
            return value if np.ndim(value) else value.item()

        fields = {name: apply(getattr(self, name)) for name in SCALARS}
        further = [{name: apply(getattr(a, name)) for name in STEMS} for a in self.attribute]
        fields_set = self.model_fields_set
        shape = np.shape(rearrange(np.broadcast_to(0.0, self.shape)))
        if (
            np.broadcast_shapes(
                *map(np.shape, (*fields.values(), *(x for a in further for x in a.values())))
            )
            != shape
        ):
            fields = fields | {CARRIER: np.full(shape, fields[CARRIER])}
            fields_set = fields_set | {CARRIER}
        return self._with(fields, further, fields_set)

    def one(self) -> "World":
        """The world; ValueError for a grid, where one world is needed."""
        if self.shape:
            raise ValueError(
                f"expected one world, got a grid of shape {self.shape}; choose one, such as"
                " world[0]"
            )
        return self

    @cached_property
    def class_count(self) -> int:
        """K of all worlds, as formulas need it; ValueError if worlds differ in it."""
        K: np.ndarray = np.unique(self.classes)
        if len(K) > 1:
            raise ValueError(
                "a formula takes worlds with one number of classes, and these differ in it"
            )
        return int(K[0]) if len(K) else 2  # formulas for any K hold in an empty grid

    @property
    def binary(self) -> bool:
        """Whether all worlds have two classes and no attribute beside the background, the setting
        of the papers.
        """
        return not self.attribute and bool(np.all(np.asarray(self.classes) == 2))

    @property
    def background_count(self) -> int:
        """A, the number of backgrounds; without a table every class has its own."""
        return self.class_count if self.table is None else len(self.table[0])

    @property
    def latents(self) -> Any:
        """l, the length of z: one number per block of two classes (or backgrounds), K (or A) per
        block otherwise.
        """
        if self.table is not None:
            return block_width(self.class_count) + block_width(self.background_count)
        width = np.where(np.equal(self.classes, 2), 1, self.classes)
        return (2 + len(self.attribute)) * (width if np.ndim(self.classes) else int(width))

    @property
    def block_latents(self) -> tuple[slice, ...]:
        """The place of each block among the latents; the background's is the second."""
        width = block_width(self.class_count)
        others = block_width(self.background_count)
        # beside a table there is only the background
        starts = (width * b for b in range(1, 2 + len(self.attribute)))
        return (slice(0, width), *(slice(start, start + others) for start in starts))

    mean = _of_blocks("mu", "mu_b of every block.")
    scale = _of_blocks("sigma", "sigma_b of every block.")
    agreement = _of_blocks(
        "p", "p_b of every block: probability that it shows the label's class in training."
    )
    mention = _of_blocks("mention", "pi_b of every block: probability that a caption mentions it.")
    detail = _of_blocks(
        "detail", "g_b of every block: correlation of image and caption within a group."
    )

    @cached_property
    def caption_kinds(self) -> CaptionKinds:
        """What captions show of each block. Nothing else says so: samplers, laws and prompts all
        read it here.
        """
        return CaptionKinds(
            (CaptionKind(self.mention, 1.0), CaptionKind(read_only(1 - self.mention), 0.0))
        )

    @cached_property
    def image_variance(self) -> Float[np.ndarray, "*w B"]:
        """(*w, B): S_b = sigma_b^2 + nu_I, the variance of an image coordinate within a group."""
        return read_only(self.scale**2 + self.nu_image[..., None])

    def variances(self, multiple: float = 1.0) -> Variances:
        """What image and caption of a block share within a group, and what each has alone.

        The caption shows a multiple of the block, and is divided by it.
        """
        own = (1 - self.detail) * self.scale**2
        noise = self.nu_text[..., None] / multiple**2
        return Variances(self.detail * self.scale**2, own + self.nu_image[..., None], own + noise)

    @property
    def text_width(self) -> int:
        """Coordinates of a caption: dim_text, and a mark where captions may be bare."""
        return self.dim_text + (self.bare > 0)

    @cached_property
    def correlation(self) -> Float[np.ndarray, "*w B"]:
        """(*w, B): D_b = p_b - (1 - p_b)/(K - 1): 2p - 1 for two classes, 1 where a block always
        agrees.
        """
        K = np.asarray(self.classes)[..., None]
        # This form is 0 at p = 1/K. p - (1 - p)/(K - 1) is a rounding error there, and decides
        # where nothing else does.
        return read_only((K * self.agreement - 1) / (K - 1))

    @cached_property
    def nu_image(self) -> Float[np.ndarray, "*w"]:
        """Noise variance of one image coordinate, sigma_xi^2/d_I; ValueError for a world of
        pixels.
        """
        _check_gaussian(self, "nu_image")
        return np.broadcast_to(np.asarray(image_noise(self)), self.shape)

    @cached_property
    def nu_text(self) -> Float[np.ndarray, "*w"]:
        """Noise variance of one text coordinate, sigma_xi_text^2/d_T; ValueError for a world of
        pixels.
        """
        _check_gaussian(self, "nu_text")
        norm = self.sigma_xi if self.sigma_xi_text is None else self.sigma_xi_text
        return np.broadcast_to(np.asarray(norm * norm / self.dim_text), self.shape)

    def prompt(self, prompt: Prompt) -> Float[np.ndarray, "*w B"]:
        """Coefficient of a class's own pattern in its prompt, one number per block; see
        `simulator.prompts`.
        """
        check_told(prompt, self.bare)
        coefficient = caption(prompt).coefficient
        mean = self.mean
        D = self.correlation
        mention = self.caption_kinds.moment()
        own = np.empty_like(mean)
        for b in range(own.shape[-1]):
            own[..., b] = coefficient(mean[..., b], D[..., b], mention[..., b], self.bare, b == 0)
        return own

    def test_law(self) -> "World":
        """The test law: every attribute uniform and independent of the label, all else as in
        training.
        """
        if self.table is not None:
            K, A = self.class_count, self.background_count
            return self.replace(table=np.full((K, A), 1 / (K * A)), common=self.usual_backgrounds())
        chance = np.broadcast_to(1 / np.asarray(self.classes), self.shape)
        further = tuple(a.replace(p=chance) for a in self.attribute)
        return self.replace(p_spu=chance, attribute=further)

    def joint_law(self) -> Float[np.ndarray, "K A"]:
        """(K, A): joint probability of label and background in training."""
        return self.background_law() / self.classes if self.table is None else np.array(self.table)

    def background_law(self) -> Float[np.ndarray, "K A"]:
        """(K, A): probability of each background given the label in training, one row per label."""
        self.one()
        if self.table is not None:
            return np.array(self.table) / np.sum(self.table, axis=1, keepdims=True)
        K, p = self.class_count, self.agreement[1]
        law = np.where(np.eye(K), p, (1 - p) / (K - 1))
        if self.views is not None:
            law[~np.isin(np.arange(K), self.views.tied_of(K))] = 1 / K
        return law

    def usual_backgrounds(self) -> Common:
        """Each class's own background, or its common ones in a table; none for a class of pixels
        without its own.
        """
        if self.table is not None:
            return common_backgrounds(self.table, self.common)
        tied = range(self.classes) if self.views is None else self.views.tied_of(self.classes)
        return tuple((y,) if y in tied else () for y in range(self.classes))

    def common_share(self) -> float:
        """Probability that a training image has a common background of its class: p_spu, or that of
        the table.
        """
        joint = self.joint_law()
        groups = cell_groups(tuple(map(tuple, joint.tolist())), self.usual_backgrounds())
        return float(joint[groups == COMMON].sum())

    def mixture(self, objects: bool | None = None) -> Mixture:
        """The groups (y, o, a_1, a_2, ...) written out; with objects of other classes if `objects`,
        or if p_inv < 1.
        """
        return mixture_of(self.one(), objects)

    def prompts(self, prompt: Prompt) -> Float[np.ndarray, "K l"]:
        """(K, l): latent prompt q_y of every class, p_y = D_T q_y; see `simulator.prompts`.

        [W] writes D_T E[z | y] and does not name the law. Under the test law this is the typical
        appearance, under the training law the average caption. The two give very different
        accuracies. ValueError for "captions", which no single caption represents.
        """
        check_told(prompt, self.bare)
        return latent_prompts(self.one(), prompt)

    def draw(self, n: int, seed: int = 0, **options) -> Any:
        """Training pairs, with the dictionaries of Gaussian views or the scenes of pixels.

        Parameters
        ----------
        n
            Number of pairs, at least 1.
        seed
            Root of the streams, 0 or larger. Another seed draws other dictionaries, so that a rule
            on views fitted to one seed means nothing on another's; `frames=pairs.frames` keeps the
            dictionaries.
        **options
            For Gaussian views: frames, stream, device, draw_on and dtype of
            `simulator.gaussian.pairs.draw`. For pixels: stream and device of
            `simulator.pixels.pairs.draw`.
        """
        return shown(self.one()).draw(self, n, seed, **options)


SHARED = ("table", "common", "views")  # fields of all worlds of a grid
# fields that are numbers
SCALARS = tuple(name for name in World.model_fields if name not in ("attribute", *SHARED))
STEMS = tuple(Attribute.model_fields)
_HINTS = get_type_hints(World, include_extras=True)
# Pictures have no latents that vary. Their captions name classes: none describes an appearance,
# none is marked bare.
TOLD = (*(name for name in SCALARS if quantity_of(_HINTS[name]).unit == CORRELATION), "bare")
# pictures and sentences have these
SHOWN = ("p_spu", "classes", "mention_inv", "mention_spu", "p_inv", "mismatch")
GAUSSIAN = tuple(name for name in SCALARS if name not in SHOWN)
CARRIER = "p_inv"  # becomes an array if no other field is one and the grid has a shape


def _check_table(world: World) -> None:
    """Raise ValueError for fields that contradict a table, or the lack of one."""
    table, common = world.table, world.common
    if table is None:
        if world.p_spu is None:
            raise ValueError("p_spu = None has no meaning without a table; give a probability")
        if common is not None:
            raise ValueError(f"common = {common} has no meaning without a table; leave it out")
        return
    K = len(table)
    A = len(table[0])
    if world.p_spu is not None:
        raise ValueError(
            f"p_spu = {world.p_spu!r} has no meaning beside a table, which sets all probabilities"
        )
    if np.any(np.not_equal(world.classes, K)):
        raise ValueError(
            f"classes = {world.classes!r} differs from the {K} rows of the table; leave out classes"
        )
    if world.attribute:
        raise ValueError(
            "a table describes one attribute, the background; leave out either [[attribute]] or the"
            " table"
        )
    if common is not None and (
        len(common) != K or not all(own and set(own) <= set(range(A)) for own in common)
    ):
        raise ValueError(
            f"common = {common} is not a list of {K} lists, one per class, of columns 0 to {A - 1}"
        )


def _check_views(world: World) -> None:
    """Raise ValueError for fields that other than Gaussian views do not have, and for too many
    classes.
    """
    views = world.views
    assert views is not None
    if world.attribute:
        raise ValueError(
            f"{views.name} show one attribute; leave out either [[attribute]] or [views]"
        )
    for name in GAUSSIAN:
        if name in world.model_fields_set and (value := getattr(world, name)) is not None:
            first = next(iter(np.ravel(value).tolist()), None)
            why = ", whose captions tell classes alone" if name in TOLD else ""
            raise ValueError(
                f"{name} = {first!r} is of Gaussian views and has no meaning beside [views]{why}"
            )
    for K in np.unique(world.classes).tolist():
        views.check_classes(K, None if world.table is None else world.background_count)


def _check_widths(world: World) -> None:
    """Raise ValueError for a view that is narrower than the latents."""
    for name in ("dim_image", "dim_text"):
        dimensions, latents = np.broadcast_arrays(getattr(world, name), world.latents)
        if (narrow := dimensions < latents).any():
            least = latents[narrow][0]
            raise ValueError(
                f"{name} = {dimensions[narrow][0]} is smaller than the {least} latents of this"
                f" world; the nearest valid value is {least}"
            )


def image_noise(x: Any) -> Any:
    """Noise variance of one image coordinate, from the fields of x, which are numbers, arrays or
    recorded formulas.
    """
    # a power of a scalar may round otherwise than an array's
    return x.sigma_xi * x.sigma_xi / x.dim_image


def view_noise(nu: Numbers, dimension: int = World.model_fields["dim_image"].default) -> Numbers:
    """The sigma_xi that gives every coordinate of a view noise variance nu: sqrt(nu d)."""
    return np.sqrt(np.asarray(nu) * dimension)


def narrowest(world: World) -> World:
    """A world whose views are as narrow as its latents, with the same noise on every coordinate.

    Population rules and their accuracies use no other coordinate, so it replaces `world` at n =
    infinity.
    """
    l = world.latents
    if world.dim_image == world.dim_text == l:
        return world
    noise = {
        "sigma_xi": view_noise(world.nu_image, l),
        "sigma_xi_text": view_noise(world.nu_text, l),
    }
    return world.replace(dim_image=l, dim_text=l, **noise)


def refusal(failure: ValidationError, called: str = "") -> str:
    """What is wrong with a world, a recipe or views, in one sentence; `called` replaces the name of
    the field.
    """
    error = failure.errors()[0]
    location = error["loc"]
    value = error["input"]
    limits = error.get("ctx", {})
    message = error["msg"].removeprefix("Value error, ")
    if not location or (location == ("views",) and error["type"] == "value_error"):
        return message  # a validator over several fields names them itself
    name = called or ".".join(map(str, location))
    if error["type"] == "value_error":  # a validator of one field begins with the value
        return f"{name} = {message}"
    if error["type"] == "extra_forbidden":
        tables: dict[Any, Any] = {"attribute": [Attribute], "views": KINDS.values()}
        models = tables[location[0]] if len(location) > 1 else [World]
        fields = {field for model in models for field in model.model_fields}
        return (
            f"{name} is not a field of a world{suggestion(str(location[-1]), fields, quoted=True)}"
        )
    for bound, words in _BOUNDS.items():
        if bound in limits:
            near = "" if bound == "gt" else f"; the nearest valid value is {limits[bound]:g}"
            return f"{name} = {value} is not {words} {limits[bound]:g}{near}"
    return f"{name} = {value!r}: {message[0].lower()}{message[1:]}"
