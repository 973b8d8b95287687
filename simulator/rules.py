"""Rules over several fields of a world or of a grid of worlds, one code for both.

A table replaces p_spu, fixes the number of classes and allows no further attribute. Views other than Gaussian ones have
the labels, correlations, mentions and one attribute, and none of the fields in GAUSSIAN. A Gaussian view is at least as
wide as its latents.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.mixture import Common, Table, block_width
from simulator.views import Views

if TYPE_CHECKING:
    from simulator.world import World
    from simulator.worlds import Worlds

GAUSSIAN = (
    "mu_inv", "mu_spu", "sigma_inv", "sigma_spu", "sigma_xi", "sigma_xi_text", "dim_image", "dim_text"
)  # fmt: skip


def latent_count(classes, attributes: int, table: Table | None = None):
    """l, by numbers of classes and of further attributes; a table has no further ones."""
    if table is not None:
        return block_width(len(table)) + block_width(len(table[0]))
    width = np.where(np.equal(classes, 2), 1, classes)
    return (2 + attributes) * (width if np.ndim(classes) else int(width))


def meaningless(table: Table | None, common: Common | None, views: Views | None) -> tuple[str, ...]:
    """Fields that have no meaning beside a table or beside pixels, and those of a table that are unset."""
    unset = [name for name, value in (("table", table), ("common", common)) if value is None]
    return (*unset, *(() if table is None else ("p_spu",)), *(() if views is None else GAUSSIAN))


def check_gaussian(views: Views | None, name: str) -> None:
    """Raise ValueError if a pixel world is to give a number that it does not have."""
    if views is not None:
        kind = views.name
        raise ValueError(f"{name} is a number of Gaussian views; these worlds are {kind}, which no formula describes")


def check_together(worlds: "World | Worlds", given: Mapping[str, Any]) -> None:
    """Raise ValueError for incompatible fields; `given` are those that the caller set."""
    _check_table(worlds.table, worlds.common, given)
    if worlds.views is not None:
        if given.get("attribute"):
            raise ValueError(f"{worlds.views.name} show one attribute; leave out either [[attribute]] or [views]")
        for name in GAUSSIAN:
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
