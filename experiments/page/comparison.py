"""The share of a map in which contrastive learners are more robust than supervised ones (study `supervised`)."""

from typing import Any

import xarray as xr

from experiments.lab.studies import read
from theory.learners import named

TAU = 0.005  # smaller differences count as equal


def leads(table: xr.Dataset) -> xr.DataArray:
    """Counter accuracy, contrastive minus supervised; learners with a prompt are contrastive.

    Dimensions: contrastive, supervised, then the study's axes.
    """
    supervised = table.learner.attrs["without_prompt"]
    theirs = table.counter.sel(learner=supervised, prompt=table.prompt[0]).drop_vars("prompt")
    ours = table.counter.drop_sel(learner=supervised).stack(contrastive=("learner", "prompt"))
    labels = [named(learner, prompt=prompt).label for learner, prompt in ours.contrastive.values]
    ours = ours.drop_vars(["contrastive", "learner", "prompt"]).assign_coords(contrastive=labels)
    gap = ours - theirs.rename(learner="supervised")
    return gap.transpose("contrastive", "supervised", ...)


def shares(gap: xr.DataArray) -> list[dict[str, Any]]:
    """Per pair of learners and correlation: the shares of the map where either side is ahead by more than TAU."""
    cells = [name for name in gap.dims if name not in ("contrastive", "supervised", "p_spu")]
    ahead = {"contrastive_more_robust": (gap > TAU).mean(cells), "supervised_more_robust": (gap < -TAU).mean(cells)}
    return xr.Dataset(ahead).to_dataframe().reset_index().to_dict("records")


def region(table: xr.Dataset) -> str:
    """The mapped region in words."""
    study = read(table.attrs["study"])
    ranges = [f"{axis.name} from {axis.values[0]:g} to {axis.values[-1]:g}" for axis in study.axes]
    return ", ".join([*ranges, f"view noise ν = {study.world.nu_image:g}"])
