"""How two towers are trained: one frozen declaration, whose fields are the flags of `soberclip
train`.

The defaults were chosen by their gap to the population optimum of InfoNCE after a given time. SOAP
with averaged weights closes it in half of AdamW's time. The linear skip reduces the gap by average
caption from .007 to .002.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from simulator.base_model import documented
from simulator.naming import suggestion
from simulator.prompts import asked
from simulator.samplers import SAMPLERS
from simulator.streams import Points

# largest change of a mean accuracy that counts as convergence; short ensembles scatter by .03
MOVED = 0.05
Count = Annotated[int, Ge(1), Le(10**9), Field(strict=True)]
Rate = Annotated[float, Gt(0.0), Le(1e6), Field(strict=True, allow_inf_nan=False)]
Weight = Annotated[float, Ge(0.0), Le(1e6), Field(strict=True, allow_inf_nan=False)]


@documented
class Recipe(BaseModel):
    """Objective, towers and optimisation of a run: everything that changes the weights, except
    world, seed and device.

    Construction loads torch, since it looks up the objective (`simulator.towers.objectives`).

    Parameters
    ----------
    {fields}

    Raises
    ------
    pydantic.ValidationError
        For a value outside its domain or a combination that makes no sense.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss: str = Field(
        default="infonce",
        description=(
            "objective: linear, infonce, siglip, siglip-unbiased, supervised, perfect-captions, "
            "group-dro, group-dro-infonce, or FILE.py:CLASS on the command line"
        ),
    )
    towers: Literal["linear", "mlp", "conv"] = Field(
        default="mlp", description="kind of tower; conv reads images"
    )
    width: Count = Field(
        default=64, description="units of a hidden layer, or channels of a convolution"
    )
    depth: Count = Field(default=2, description="hidden layers")
    activation: Literal["relu", "gelu", "tanh"] = Field(
        default="tanh", description="activation of hidden layers"
    )
    skip: Literal["none", "linear"] = Field(
        default="linear",
        description="linear map from view to embedding beside the hidden layers of mlp towers",
    )
    embed_dim: Count = Field(default=32, description="coordinates of an embedding")
    frozen: Literal["none", "image", "text"] = Field(
        default="none", description="tower that keeps its initial weights"
    )

    batch_size: Count = Field(default=256, description="pairs per step, over all processes")
    steps: Count = Field(default=4000, description="optimiser steps")
    n: Count | None = Field(
        default=None, description="size of a fixed training set; absent: fresh pairs"
    )
    points: Points = Field(
        default="random",
        description=(
            "how Gaussian pairs are drawn: random, or sobol (scrambled points that fill the law"
            " evenly)"
        ),
    )
    sampler: str = Field(
        default="drawn",
        description=(
            "how pairs are sampled: drawn, balanced, subsampled, reweighted or contradicted"
        ),
    )
    last_layer: Literal["trained", "refitted"] = Field(
        default="trained",
        description="last layer: trained with the rest, or refitted afterwards on balanced groups",
    )

    optimizer: Literal["soap", "adamw", "sgd"] = Field(
        default="soap", description="optimiser; soap is Adam in slowly rotating coordinates"
    )
    lr: Rate = Field(default=5e-3, description="peak learning rate")
    schedule: Literal["cosine", "constant"] = Field(
        default="constant", description="learning rate after warm-up"
    )
    warmup: int = Field(
        default=100, ge=0, le=10**9, strict=True, description="steps of linear warm-up"
    )
    # it biases the optimum
    weight_decay: Weight = Field(default=0.0, description="decoupled decay of the weights")
    averaging: float = Field(
        default=0.4,
        ge=0.0,
        le=1.0,
        strict=True,
        description=(
            "fraction of the steps, at the end, over which weights are averaged; 0: the last"
            " weights"
        ),
    )
    clip: Rate | None = Field(
        default=None, description="largest gradient norm of a model; absent: unclipped"
    )

    rho: Rate = Field(default=1.0, description="weight of the linearised loss's penalty")
    temperature: Rate | None = Field(
        default=None, description="fixed softmax temperature; absent: learned from CLIP's 0.07"
    )
    precision: Literal["float64", "float32", "bfloat16"] = Field(
        default="float32", description="precision of products; bfloat16 keeps float32 weights"
    )

    @property
    def objective(self):
        """The objective that `loss` names."""
        from simulator.towers.objectives import OBJECTIVES  # here for start-up time: it loads torch

        return OBJECTIVES[self.loss]

    @property
    def kinds(self) -> dict[str, str]:
        """Kinds of the towers that the objective has."""
        both = {"image": self.towers, "text": "mlp" if self.towers == "conv" else self.towers}
        return {side: both[side] for side in self.objective.sides}

    @property
    def prompted(self) -> bool:
        """Whether captions score the classes, not a head."""
        return self.objective.captions and self.last_layer == "trained"

    @field_validator("loss", "sampler")
    @classmethod
    def _is_in_its_table(cls, name: str, info: Any) -> str:
        from simulator.towers.objectives import OBJECTIVES  # here for start-up time

        table = OBJECTIVES if info.field_name == "loss" else SAMPLERS
        if name not in table:
            raise ValueError(
                f"{name!r} is not one of {', '.join(table)}{suggestion(name, table, quoted=True)}"
            )
        return name

    @model_validator(mode="after")
    def _combination_makes_sense(self):
        for fault in self._faults():
            raise ValueError(fault)
        return self

    def _faults(self) -> Iterator[str]:
        objective = self.objective
        loss = f"loss = {self.loss!r}"
        if self.towers not in objective.towers:
            near = objective.towers[0]
            yield (
                f"{loss} is not defined for {self.towers} towers; the nearest valid choice is"
                f" towers = {near!r}"
            )
        if self.frozen not in ("none", *objective.sides):
            yield (
                f"frozen = {self.frozen!r} has no meaning for {loss}, which has no such tower;"
                " leave it out"
            )
        if self.batch_size < objective.least_batch:
            yield (
                f"batch_size = {self.batch_size} is too small for {loss}; "
                f"the nearest valid value is {objective.least_batch}"
            )
        if self.temperature is not None and not objective.cosine:
            yield (
                f"temperature = {self.temperature} has no meaning for {loss}, which has no cosines;"
                " leave it out"
            )
        sampler = SAMPLERS[self.sampler]
        words = f"sampler = {self.sampler!r}"
        if sampler.weights is not None and not objective.weighted:
            yield (
                f"{words} needs weights, which {loss} does not take; the nearest valid choice is"
                " sampler = 'balanced'"
            )
        if objective.ascent and sampler.balances:
            yield f"{words} balances groups, which {loss} does by itself; leave one of them out"
        if sampler.swaps and not objective.captions:
            yield f"{words} changes captions, which {loss} does not read; leave it out"
        if self.n is not None and self.batch_size > self.n:
            yield (
                f"batch_size = {self.batch_size} is larger than n = {self.n}; the nearest valid"
                f" value is {self.n}"
            )


def not_converged(changes: Mapping[Any, Mapping[str, float]]) -> str | None:
    """A sentence if an accuracy changed by more than MOVED in the second half of the steps, from
    prompt -> group.
    """
    every = {
        (group, prompt): change
        for prompt, groups in changes.items()
        for group, change in groups.items()
    }
    group, prompt = max(every, key=lambda key: abs(every[key]))
    change = every[group, prompt]
    if abs(change) <= MOVED:
        return None
    by = "" if prompt == "none" else f" by {asked(prompt)}"
    return (
        f"training has not converged: {group} accuracy{by} changed by {100 * change:+.1f} points in"
        " the second half of the steps; train longer"
    )
