"""A study beside the table that a paper prints of the same settings."""

from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.published.tables import coloured_digits

if TYPE_CHECKING:
    import xarray as xr

TABLES = {"multicolored-mnist": coloured_digits}


def beside(table: "xr.Dataset", name: str) -> list[dict[str, Any]]:
    """Rows of a printed table whose setting the study has, each with what was measured: mean and deviation of both.

    None for a study with further axes, along which it has several settings where the table has one; a deviation needs
    two trainings, and a group that no training has measured has no row.
    """
    found = []
    for row in TABLES[name]():
        setting = {name: row[name] for name in ("classes", "p_inv", "p_spu", "learner")}
        try:
            cells = table[row["group"]].isel(prompt=0).sel(setting)  # no learner of these has a prompt
        except KeyError:  # the quick size has fewer settings
            continue
        if set(cells.dims) - {"replicate"}:
            return []
        values = cells.values[np.isfinite(cells.values)]  # trainings that lost their finite loss have measured nothing
        if values.size:
            deviation = float(values.std(ddof=1)) if values.size > 1 else None
            found.append({**row, "measured": float(values.mean()), "deviation": deviation})
    return found
