"""A grid of worlds with the field names of `simulator.world.World`, for closed forms, claims and sweeps.

A field is a number that all worlds share, or an array; arrays broadcast. Each number is checked against the domain that
`simulator.quantities` declares for World, and `simulator.rules` checks fields together, as for World.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple, get_type_hints

import numpy as np
from jaxtyping import Float

from simulator import quantities as q
from simulator.accuracy import Numbers
from simulator.mixture import Common, Table
from simulator.naming import check_known
from simulator.prompts import Prompt, coefficients, correlation
from simulator.rules import GAUSSIAN, check_gaussian, check_together, latent_count, meaningless
from simulator.summary import html_table, one_line
from simulator.views import Views, declared
from simulator.world import MOST_ATTRIBUTES, SCALARS, SHARED, Attribute, World

_HINTS = get_type_hints(World, include_extras=True)
_DEFAULTS = {name: field.default for name, field in World.model_fields.items()}
_DOMAINS = {name: q.domain_of(_HINTS[name]) for name in SCALARS} | {
    f"attribute {name}": q.domain_of(hint) for name, hint in get_type_hints(Attribute, include_extras=True).items()
}
_USUAL_ATTRIBUTE = {name: field.default for name, field in Attribute.model_fields.items()}


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
        `common` and `views` are those of all worlds, or None.

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
    views: Views | None
    shape: tuple[int, ...]

    def __init__(self, **fields):
        for name in fields:
            check_known("field", name, World.model_fields)
        values = {name: _checked(name, fields[name]) if name in fields else _DEFAULTS[name] for name in SCALARS}
        further = _checked_attributes(fields.get("attribute", ()))
        table, common = _checked("table", fields.get("table")), fields.get("common")
        shared = {
            "table": table,
            "common": common and tuple(map(tuple, common)),
            "views": declared(fields.get("views")),
        }
        if table is not None:
            values["classes"] = len(table)
        shapes = {np.shape(v) for v in (*values.values(), *chain.from_iterable(further))}
        try:
            shape = np.broadcast_shapes(*shapes)
        except ValueError:
            raise ValueError(f"fields of shapes {sorted(shapes - {()})} do not broadcast") from None
        self._set(values, further, shared, shape)
        check_together(self, fields)

    def _set(self, values, further: tuple[_Further, ...], shared: dict[str, Any], shape: tuple[int, ...]) -> "Worlds":
        """Fill in valid numbers."""
        without = meaningless(**shared)  # `__getattr__` refuses these fields
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
        if name in GAUSSIAN:
            check_gaussian(self.views, name)
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
        if len({w.sigma_xi_text is None for w in many}) > 1:  # an unset one follows sigma_xi, also in a copy
            raise ValueError("worlds of which some set sigma_xi_text make no grid; set it in all of them, or in none")

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
        return _read_only(correlation(self.agreement, np.asarray(self.classes)[..., None]))

    @cached_property
    def nu_image(self) -> Float[np.ndarray, "*w"]:
        """Noise variance of one image coordinate, sigma_xi^2/d_I."""
        return np.broadcast_to(np.asarray(self.sigma_xi * self.sigma_xi / self.dim_image), self.shape)

    @cached_property
    def text_noise(self) -> Numbers:
        """sigma_xi_text, or sigma_xi where that is unset."""
        return _read_only(np.asarray(self.sigma_xi if self.sigma_xi_text is None else self.sigma_xi_text))

    @cached_property
    def nu_text(self) -> Float[np.ndarray, "*w"]:
        """Noise variance of one text coordinate, text_noise^2/d_T."""
        return np.broadcast_to(np.asarray(self.text_noise * self.text_noise / self.dim_text), self.shape)

    def prompt(self, prompt: Prompt) -> Float[np.ndarray, "*w B"]:
        """Coefficient of a class's own pattern in its prompt, one number per block; see `simulator.prompts`."""
        return coefficients(prompt, self.mean, self.correlation, self.mention)


def _read_only(value: Any) -> Any:
    """The value; nobody can change its numbers if it is an array."""
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    return value


def _checked(name: str, value: Any) -> Any:
    """A field's number or array of numbers, or its table; None if the field may be unset."""
    if value is None and _DEFAULTS.get(name, 0.0) is None:
        return None
    try:
        return q.joint_table(value) if name == "table" else q.numbers(value, *_DOMAINS[name])
    except ValueError as fault:
        raise ValueError(f"{name} = {fault}") from None


def _checked_attributes(attributes: Any) -> tuple[_Further, ...]:
    if not isinstance(attributes, list | tuple):
        raise ValueError(f"attribute = {attributes!r} is not a list of attributes")
    if len(attributes) > MOST_ATTRIBUTES:
        raise ValueError(f"{len(attributes)} attributes given; the nearest valid number is {MOST_ATTRIBUTES}")
    found = []
    for given in attributes:
        given = given._asdict() if isinstance(given, _Further) else given
        if not isinstance(given, Mapping | Attribute):
            raise ValueError(f"attribute = {given!r} is not an Attribute")
        given = dict(given)
        for name in given:
            check_known("attribute field", name, Attribute.model_fields)
        found.append(_Further(**{n: _checked(f"attribute {n}", v) for n, v in (_USUAL_ATTRIBUTE | given).items()}))
    return tuple(found)
