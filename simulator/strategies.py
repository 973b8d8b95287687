"""Hypothesis strategies for worlds, for this project's tests and for your own.

    from hypothesis import given
    from simulator.strategies import worlds

    @given(worlds())
    def test_my_claim(world): ...

Domains come from `simulator.quantities`. Fields that depend on others (views wide enough for the
latents) are drawn after them. Only this module imports Hypothesis, which is a test dependency.
"""

from typing import get_type_hints

from hypothesis import strategies as st

from simulator.mixture import Table, block_width
from simulator.quantities import LATENT, declared, domain_of, quantity_of
from simulator.world import SCALARS, SHARED, STEMS, Attribute, World

_HINTS = get_type_hints(World, include_extras=True)


def quantity(name: str, low: float | None = None, high: float | None = None) -> st.SearchStrategy:
    """Values of one field of World, over its domain or between low and high."""
    kind = declared(_HINTS[name]).__origin__
    bounds = domain_of(_HINTS[name])
    low = bounds[0] if low is None else low
    high = bounds[1] if high is None else high
    if kind is int:
        return st.integers(int(low), int(high))
    # Subnormal numbers overflow 1/x; zero itself is drawn.
    return st.floats(low, high, allow_subnormal=False)


def usual(name: str, scale: float) -> st.SearchStrategy:
    """Values of one field of World: numbers with a unit up to `scale`, probabilities often at their
    default.
    """
    if quantity_of(_HINTS[name]).unit == LATENT:
        return quantity(name, max(-scale, domain_of(_HINTS[name])[0]), scale)
    return (
        quantity(name)
        if name == "p_spu"
        else st.just(World.model_fields[name].default) | quantity(name)
    )


@st.composite
def attributes(draw, scale: float = 10.0) -> Attribute:
    """A further spurious attribute."""
    return Attribute(**{stem: draw(usual(f"{stem}_spu", scale)) for stem in STEMS})


@st.composite
def tables(draw, most: int = 6) -> Table:
    """Joint probabilities of 2 to `most` classes and backgrounds; about a third of the cells is
    0.
    """
    K = draw(st.integers(2, most))
    A = draw(st.integers(2, most))
    cell = st.one_of(st.just(0), st.integers(1, 9), st.integers(1, 9))
    rows = draw(
        st.lists(st.lists(cell, min_size=A, max_size=A).filter(any), min_size=K, max_size=K)
    )
    total = sum(map(sum, rows))
    return tuple(tuple(x / total for x in row) for row in rows)


@st.composite
def table_worlds(draw, most: int = 4, scale: float = 10.0) -> World:
    """Worlds with a table; see `tables`."""
    table = draw(tables(most))
    like = draw(worlds(classes=st.just(most), most_attributes=0, scale=scale))
    fields = {
        name: value
        for name, value in like
        if name not in ("p_spu", "classes", "attribute", *SHARED)
    }
    return World(**fields, table=table)


@st.composite
def worlds(
    draw,
    classes: st.SearchStrategy[int] | None = None,
    most_attributes: int = 1,
    scale: float = 10.0,
    extra_dimensions: int = 4,
) -> World:
    """Worlds of every kind: several classes, further attributes, masks, no view noise, p_inv < 1, d
    = l, and so on.
    """
    K = draw(classes if classes is not None else st.integers(2, 4))
    extra = draw(st.lists(attributes(scale=scale), max_size=most_attributes))
    latents = (2 + len(extra)) * block_width(K)
    width = st.integers(latents, latents + extra_dimensions)
    noise = st.just(0.0) | usual("sigma_xi", scale)
    own = {"classes": st.just(K), "dim_image": width, "dim_text": width, "mismatch": st.just(0.0)}
    own |= {"sigma_xi": noise, "sigma_xi_text": st.none() | noise}
    own["bare"] = st.just(0.0) | quantity("bare", 0.0, 0.99)  # at 1 only one prompt has a meaning
    fields = {name: draw(own[name] if name in own else usual(name, scale)) for name in SCALARS}
    return World(attribute=tuple(extra), **fields)
