"""Hypothesis strategies for worlds, for this project's tests and for your own.

    from hypothesis import given
    from simulator.strategies import worlds

    @given(worlds())
    def test_my_claim(world): ...

Domains come from `simulator.quantities`. Fields that depend on others (views wide enough for the latents) are drawn
after them. Only this module imports Hypothesis, which is a test dependency.
"""

from typing import get_type_hints

from hypothesis import strategies as st

from simulator.mixture import Table
from simulator.quantities import declared, domain_of
from simulator.rules import latent_count
from simulator.world import SHARED, Attribute, World

_HINTS = get_type_hints(World, include_extras=True)


def quantity(name: str, low: float | None = None, high: float | None = None) -> st.SearchStrategy:
    """Values of one field of World, over its domain or between low and high."""
    kind, bounds = declared(_HINTS[name]).__origin__, domain_of(_HINTS[name])
    low, high = bounds[0] if low is None else low, bounds[1] if high is None else high
    if kind is int:
        return st.integers(int(low), int(high))
    # Subnormal numbers overflow 1/x; zero itself is drawn.
    return st.floats(low, high, allow_subnormal=False)


@st.composite
def attributes(draw, scale: float = 10.0) -> Attribute:
    """A further spurious attribute."""
    return Attribute(
        mu=draw(quantity("mu_spu", -scale, scale)),
        sigma=draw(quantity("sigma_spu", 0.0, scale)),
        p=draw(quantity("p_spu")),
        mention=draw(quantity("mention_spu")),
    )


@st.composite
def tables(draw, most: int = 6) -> Table:
    """Joint probabilities of 2 to `most` classes and backgrounds; about a third of the cells is 0."""
    K, A = draw(st.integers(2, most)), draw(st.integers(2, most))
    cell = st.one_of(st.just(0), st.integers(1, 9), st.integers(1, 9))
    rows = draw(st.lists(st.lists(cell, min_size=A, max_size=A).filter(any), min_size=K, max_size=K))
    total = sum(map(sum, rows))
    return tuple(tuple(x / total for x in row) for row in rows)


@st.composite
def table_worlds(draw, most: int = 4, scale: float = 10.0) -> World:
    """Worlds with a table; see `tables`."""
    table, like = draw(tables(most)), draw(worlds(classes=st.just(most), most_attributes=0, scale=scale))
    fields = {name: value for name, value in like if name not in ("p_spu", "classes", "attribute", *SHARED)}
    return World(**fields, table=table)


@st.composite
def worlds(
    draw,
    classes: st.SearchStrategy[int] | None = None,
    most_attributes: int = 1,
    scale: float = 10.0,
    extra_dimensions: int = 4,
) -> World:
    """Worlds of every kind: several classes, further attributes, masks, no view noise, p_inv < 1, d = l, and so on."""
    K = draw(classes if classes is not None else st.integers(2, 4))
    extra = draw(st.lists(attributes(scale=scale), max_size=most_attributes))
    latents = latent_count(K, len(extra))
    width, noise = st.integers(latents, latents + extra_dimensions), st.just(0.0) | quantity("sigma_xi", 0.0, scale)
    fields = {
        "p_spu": quantity("p_spu"),
        **{name: quantity(name, -scale, scale) for name in ("mu_inv", "mu_spu")},
        **{name: quantity(name, 0.0, scale) for name in ("sigma_inv", "sigma_spu")},
        "sigma_xi": noise,
        **dict.fromkeys(("dim_image", "dim_text"), width),
        **{name: st.just(1.0) | quantity(name) for name in ("mention_inv", "mention_spu", "p_inv")},
        "sigma_xi_text": st.none() | noise,
    }
    return World(classes=K, attribute=tuple(extra), **{name: draw(values) for name, values in fields.items()})
