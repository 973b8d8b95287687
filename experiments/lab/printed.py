"""A study beside the table that a paper prints of the same settings."""

from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.published.tables import coloured_digits

if TYPE_CHECKING:
    import xarray as xr

TABLES = {"multicolored-mnist": coloured_digits}


def beside(table: "xr.Dataset", name: str) -> list[dict[str, Any]]:
    """Rows of a printed table whose setting the study has, each with what was measured: mean and deviation of both.

    Parameters
    ----------
    table
        What a study became (`experiments.lab.result`), measured by towers.
    name
        One of TABLES.
    """
    found = []
    for row in TABLES[name]():
        setting = {name: row[name] for name in ("classes", "p_inv", "p_spu", "learner")}
        try:
            values = table[row["group"]].isel(prompt=0).sel(setting).values  # no learner of these has a prompt
        except KeyError:  # the quick size has fewer settings
            continue
        mean, deviation = float(np.nanmean(values)), float(np.nanstd(values, ddof=1)) if values.size > 1 else None
        found.append({**row, "measured": mean, "deviation": deviation})
    return found
