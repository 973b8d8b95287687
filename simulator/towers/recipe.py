"""How two towers are trained: one frozen declaration, whose fields are the flags of `soberclip train`.

The defaults come from a race (`python -m experiments.benchmarks.race`): mean of 8 InfoNCE models against the optimum,
both groups and prompts, 99 % intervals, in CPU seconds with a compiled step. At d = 8 (p = .85, mu_spu = 1.6, nu = .5)
the counter accuracy by name and by mean came out, against the optimum's,

    AdamW 1e-2, cosine, 4000 steps, tanh, width 64       -.008 +- .012   +.029 +- .008    19 s
    the same, falling linearly over the last 40 %         .000 +- .018   +.021 +- .014    19 s
    the same, 16,000 steps                               -.004 +- .017   +.004 +- .011    90 s
    SOAP 1e-2, constant, last weights                    +.016 +- .024   +.010 +- .033
    SOAP 1e-2, constant, averaged over the last .2       +.006 +- .007   +.008 +- .010    45 s
    SOAP 5e-3, constant, averaged over the last .4       -.003 +- .005   +.007 +- .007    44 s
    SOAP 3e-3, constant, averaged over the last .4       -.001 +- .005   +.012 +- .005    33 s
    SOAP 5e-3 so averaged, towers with a linear skip     -.001 +- .005   +.002 +- .003    45 s    the default

After 1000 steps, where AdamW 1e-2 leaves +.033 by mean: b2 = .99 +.050, GELU +.036 and -.041 by name, rates of 3e-2 and
5e-3 +.054 and +.035, Muon +.030 to +.035, SOAP +.031 and with its own betas of .95 +.026; weights halved at the start
+.033 with +.025 by name, an initial scale of 50 +.027 +- .027, a constant added to both embeddings +.044 to +.049 (then
with a linear fall, whose plain value is +.047); 4 coordinates of the embedding +.060, 64 +.044; width 128 or 256 +.040;
one hidden layer of 256 +.046, three of 64 +.048; 64 pairs a step, four times as many steps +.050; 1024 pairs a step, as
many steps, +.039. So what is missing is steps along flat directions, not pairs, width or another start; weights must be
averaged because a rate that stays high enough to move along them scatters.

The skip shortens the way: scores of Gaussian views are bilinear but for their classes; tanh units build that slowly.
At p = .9, mu_spu = 2, d = 2, after 4000 steps (bias and deviation of the counter accuracy over 8 models),

    without a skip                    by name -.006, .004    by mean +.002, .002
    linear skip                               -.002, .002            -.002, .002
    hidden layers that add to theirs          -.006, .004            +.003, .002
    width 128; gelu; three layers    -.010, .005; -.024, .007; -.010, .009
    steps nearer the natural gradient (of SOAP's sqrt(v) a larger power, damped): -.010 to -.030, .012 to .020

and without one models scatter as much after twice the steps, or by 1024 pairs a step: they differ by their starts.

A rate that falls to nothing (cosine, weights averaged over the last .1 to .3, another seed) leaves out what noise adds
to one that stays: at p = .9, mu_spu = 1 the default is .0048 +- .0013 off by mean after 8000 steps, as far as after
4000, and with a falling rate +.0008. What then is left at mu_spu = 2 is scatter by name, where captions are rare: .011
after 4000 steps, .005 to .007 after 16,000, and as much from one start, or from one stream of pairs, as from several.
Worst of four gaps with its half width, of a second seed where there are two:

                                    p = .9, mu_spu = 2   p = .75        p = .9, mu_spu = 1   d = 8          K = 3
    default, 4000 steps             .0099, .0045         .0119, .0106   .0068, .0078         .0072, .0060   .0067
    falling from 1e-2, 4000 steps   .0116                .0103          .0046, .0065         .0062, .0093
    falling from 5e-3, 8000 steps   .0152                .0075          .0047                .0049          .0066
    as many more: 16,000            .0047, .0068         .0038          .0027                               .0063
    1024 pairs, a quarter of those  .0070

At p = .75 and at mu_spu = 1 towers that start at the covariances' critic are farther off after as many steps (.0147,
.0121); at p = .75 a scale that starts at 30 or 60, width 32, gelu and one layer of 128 gain nothing, nor do 8
coordinates and decay of the weights at p = .9. The default keeps its rate, so that `--until` can tell that a run stands
still. A step of 8 models takes 8.5 ms of a core, 5.3 of them products (350 million operations, 3.9 ms at the rate of
one large product): 4000 steps take two cores 17 to 25 seconds, 16,000 70 to 100.

What a run lacks is pairs, of whatever batches (128, 256 or 1024), and more of them for the same steps is to draw them
more evenly. Deviation of the counter accuracy over 24 models, by name and by mean, p = .9, mu_spu = 2, width 32, 16
coordinates, 4000 steps falling from 1e-2:

    independent pairs                                           .0076   .0021
    Latin hypercubes of 4096 (8 models)                         .0061   .0018
    Sobol points, a sequence anew every 4096                    .0078   .0013
    one sequence a run, shuffled in blocks of 4096              .0042   .0015    points = "sobol"
    one sequence a run in its own order                         .0048   .0010
    8000 steps of either                                        .0027   .0010

In its own order 16 pairs a step (96,000 steps of AdamW) end +.0082 +- .0018 off by mean, independent ones +.0053 +-
.0016: so small a net is no sample (`simulator.gaussian.nets`). Towers of width 32 with 16 coordinates come as near as
those of 64 with 32 in half the time, a third layer as near at mu_spu = 2. On two cores of an AMD EPYC, with the
compilation of the step, 8000 steps falling from 5e-3, in the order of the table above, worst gap with its half width,
two seeds where there are two:

    Sobol points, width 32, 16 coordinates   .0062   .0047   .0031   .0044, .0062   .0102, .0102
    with gelu                                .0139   .0115   .0065   .0132          .0045, .0057
    with SigLIP                              .0066   .0222   .0042   .0050          .0056
    supervised, 4000 falling from 2e-3       .0010   .0007   .0008   .0023          .0007

The first column scatters: its means are .0015 off at most; so does SigLIP at p = .75, by mean +.0115 +- .0107. At K = 3
tanh and the skip keep towers near the critic that knows covariances alone, which is -.0316 common and +.0184 counter
off by name: with both they end -.0058 and +.0032, without the skip +.0005 and -.0009, with gelu +.0003 and -.0007 (then
+.004 and +.003 by mean); of one layer they end -.0110 and +.0063, of width 16 -.0080 and +.0044, of width 64 -.0033 and
+.0017. With two classes gelu is what is off by name (-.008 of the counter group). Nor do others win (with all of the
noise from the points): width 16 .0100 at d = 8, one hidden layer .0057 and .0139 (d = 8, K = 3), falling from 1e-2
.0066 and .0096, 32 coordinates .0112 at K = 3. A step takes 4.2 ms there, .9 of them to draw (.5 for independent
pairs); 15 to 20 seconds are the compiler's.

Two processes with four models each (`simulator.towers.side_by_side`) reach the same numbers sooner. Seconds on the same
machine on a slower day, of a first world of its dimensions and of a later one, whose step the compiler finds in its
cache: one process 74 and 47, two 58 and 29 to 32; at d = 8 and K = 3 58 and 37 to 40.

Other ends of a run, at p = .9, mu_spu = 2 and at K = 3, seed 0 and, where it was tried, seed 1; none is better in both
worlds (columns above are of other seeds; as many pairs each, but for the last three rows):

    8000 steps of 256 pairs                                      .0053, .0040   .0102
    4000 of 128, then 2000 of 256 and 2000 of 512                .0028, .0062   .0098
    the same, rate constant, averaged over the last .4           .0059
    4000 of 64, then 3000 of 256 and 1000 of 1024                .0087          .0112
    schedule-free SOAP (Defazio et al. 2024, arXiv 2405.15682; beta .9), rate 5e-3   .0096   .0092
    the same, rate 1e-2                                          .0089          .0096
    schedule-free AdamW, rate 5e-3                               .0305          .0069
    the same, rate 1e-2                                          .0132          .0050
    4000 steps                                                   .0160          .0084
    and then L-BFGS, 100 iterations on 4096 pairs of their own   .187           .090
    or 20 on 16,384 in batches of 1024                           .037

L-BFGS minimises the loss of its own pairs, and a run lacks pairs: fifty iterations over two million of them would cost
at least fifty runs.

The race also has d = 64 (.05, by images like which no pair is seen: `theory.coverage`) and ten classes, where towers
know little more than covariances (`theory.learners.gaussian`): .034 by tanh, .028 by gelu.
"""

from collections.abc import Collection
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from simulator.naming import suggestion
from simulator.samplers import SAMPLERS
from simulator.streams import Points

HEADS = 4  # of a transformer's attention

Count = Annotated[int, Ge(1), Le(10**9), Field(strict=True)]
Rate = Annotated[float, Gt(0.0), Le(1e6), Field(strict=True, allow_inf_nan=False)]
Weight = Annotated[float, Ge(0.0), Le(1e6), Field(strict=True, allow_inf_nan=False)]


def _one_of(name: str, table: Collection[str]) -> str:
    """The name, if the table has it; else ValueError, which begins with it."""
    if name not in table:
        raise ValueError(f"{name!r} is not one of {', '.join(table)}{suggestion(name, table, quoted=True)}")
    return name


class Recipe(BaseModel):
    """Objective, towers and optimisation of a run. Everything that changes the weights but world, seed and device.

    What an objective needs is read from the table (`simulator.towers.objectives`), which loads torch, when a recipe is
    made.

    Parameters
    ----------
    loss
        Objective: linear, infonce, siglip, siglip-unbiased, supervised, perfect-captions, supcon, group-dro or
        group-dro-infonce.
    towers
        Kind of tower; conv reads images.
    text_towers
        Kind of the captions' tower; absent: that of images, or mlp beside conv.
    width
        Units of a hidden layer, or channels of a convolution.
    depth
        Hidden layers, or blocks of a transformer.
    activation
        Of hidden layers.
    normalisation
        Before an activation.
    skip
        Beside the hidden layers of mlp towers, from view to embedding.
    embed_dim
        Coordinates of an embedding.
    frozen
        Tower that stays as it was drawn.
    batch_size
        Pairs a step, over all processes.
    steps
        Optimiser steps.
    n
        Size of a fixed training set; absent: fresh pairs.
    points
        Of the law of Gaussian pairs: random, or sobol, scrambled points that fill it evenly.
    sampler
        What is done with pairs: drawn, balanced, subsampled, reweighted or contradicted.
    last_layer
        Trained with the rest, or refitted on balanced groups afterwards.
    optimizer
        soap, adamw or sgd; lbfgs needs one fixed batch.
    lr
        Peak learning rate.
    schedule
        Of the rate after warm-up.
    warmup
        Steps of linear warm-up.
    weight_decay
        Decoupled decay of the weights.
    averaging
        Share of the steps, the last ones, over which weights are averaged; 0: the last weights.
    clip
        Largest gradient norm of a model; absent: unclipped.
    rho
        Weight of the linearised loss's penalty.
    temperature
        Fixed softmax temperature; absent: learned from CLIP's 0.07.
    precision
        Of products; bfloat16 keeps float32 weights.

    Raises
    ------
    pydantic.ValidationError
        For a value outside its domain or a combination that makes no sense.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss: Annotated[
        str,
        Field(
            description="objective: linear, infonce, siglip, siglip-unbiased, supervised, perfect-captions, supcon, "
            "group-dro or group-dro-infonce"
        ),
    ] = "infonce"
    towers: Annotated[Literal["linear", "mlp", "conv"], Field(description="kind of tower; conv reads images")] = "mlp"
    text_towers: Annotated[
        Literal["linear", "mlp", "tokens", "transformer"] | None,
        Field(description="kind of the captions' tower; absent: that of images, or mlp beside conv"),
    ] = None
    width: Annotated[Count, Field(description="units of a hidden layer, or channels of a convolution")] = 64
    depth: Annotated[Count, Field(description="hidden layers, or blocks of a transformer")] = 2
    activation: Annotated[Literal["relu", "gelu", "tanh"], Field(description="of hidden layers")] = "tanh"
    normalisation: Annotated[Literal["none", "layer"], Field(description="before an activation")] = "none"
    skip: Annotated[
        Literal["none", "linear"], Field(description="beside the hidden layers of mlp towers, from view to embedding")
    ] = "linear"
    embed_dim: Annotated[Count, Field(description="coordinates of an embedding")] = 32
    frozen: Annotated[Literal["none", "image", "text"], Field(description="tower that stays as it was drawn")] = "none"

    batch_size: Annotated[Count, Field(description="pairs a step, over all processes")] = 256
    steps: Annotated[Count, Field(description="optimiser steps")] = 4000
    n: Annotated[Count | None, Field(description="size of a fixed training set; absent: fresh pairs")] = None
    points: Annotated[
        Points,
        Field(description="of the law of Gaussian pairs: random, or sobol, scrambled points that fill it evenly"),
    ] = "random"
    sampler: Annotated[
        str,
        Field(description="what is done with pairs: drawn, balanced, subsampled, reweighted or contradicted"),
    ] = "drawn"
    last_layer: Annotated[
        Literal["trained", "refitted"],
        Field(description="trained with the rest, or refitted on balanced groups afterwards"),
    ] = "trained"

    optimizer: Annotated[
        Literal["soap", "adamw", "sgd", "lbfgs"],
        Field(description="soap, adamw or sgd; lbfgs needs one fixed batch"),
    ] = "soap"
    lr: Annotated[Rate, Field(description="peak learning rate")] = 5e-3
    schedule: Annotated[Literal["cosine", "constant"], Field(description="of the rate after warm-up")] = "constant"
    warmup: Annotated[int, Ge(0), Le(10**9), Field(description="steps of linear warm-up")] = 100
    weight_decay: Annotated[Weight, Field(description="decoupled decay of the weights")] = 0.0  # biases the optimum
    averaging: Annotated[
        float,
        Ge(0.0),
        Le(1.0),
        Field(
            strict=True,
            description="share of the steps, the last ones, over which weights are averaged; 0: the last weights",
        ),
    ] = 0.4
    clip: Annotated[Rate | None, Field(description="largest gradient norm of a model; absent: unclipped")] = None

    rho: Annotated[Rate, Field(description="weight of the linearised loss's penalty")] = 1.0
    temperature: Annotated[
        Rate | None, Field(description="fixed softmax temperature; absent: learned from CLIP's 0.07")
    ] = None
    precision: Annotated[
        Literal["float64", "float32", "bfloat16"], Field(description="of products; bfloat16 keeps float32 weights")
    ] = "float32"

    @property
    def objective(self):
        """The row of the table of objectives."""
        from simulator.towers.objectives import OBJECTIVES

        return OBJECTIVES[self.loss]

    @property
    def kinds(self) -> dict[str, str]:
        """Kinds of the two towers, whether or not the objective has both."""
        return {"image": self.towers, "text": self.text_towers or ("mlp" if self.towers == "conv" else self.towers)}

    @property
    def averages(self) -> bool:
        """Whether running means of the weights are kept; steps of lbfgs are few, and each betters the last."""
        return self.averaging > 0 and self.optimizer != "lbfgs"

    @property
    def prompted(self) -> bool:
        """Whether the towers are asked by captions, rather than by a head or the classes' mean embeddings."""
        return self.objective.captions and self.last_layer == "trained"

    @field_validator("loss")
    @classmethod
    def _is_in_the_table(cls, name: str) -> str:
        from simulator.towers.objectives import OBJECTIVES

        return _one_of(name, OBJECTIVES)

    @field_validator("sampler")
    @classmethod
    def _is_a_sampler(cls, name: str) -> str:
        return _one_of(name, SAMPLERS)

    @model_validator(mode="after")
    def _suits_its_objective(self):
        objective = self.objective
        for kind in objective.kinds(self):
            if kind not in objective.towers:
                raise ValueError(
                    f"loss = {self.loss!r} is not defined for {kind} towers; "
                    f"the nearest valid choice is towers = {objective.towers[0]!r}"
                )
        if self.text_towers is not None and not objective.captions:
            raise ValueError(
                f"text_towers = {self.text_towers!r} has no meaning for loss = {self.loss!r}, which reads no captions; "
                "leave it out"
            )
        if "transformer" in objective.kinds(self) and self.width % HEADS:
            raise ValueError(
                f"width = {self.width} is not shared out over the {HEADS} heads of a transformer; "
                f"the nearest valid value is {max(HEADS, HEADS * round(self.width / HEADS))}"
            )
        if self.frozen not in ("none", *objective.sides):
            raise ValueError(
                f"frozen = {self.frozen!r} has no meaning for loss = {self.loss!r}, which has no such tower; "
                "leave it out"
            )
        if self.batch_size < objective.least_batch:
            raise ValueError(
                f"batch_size = {self.batch_size} leaves loss = {self.loss!r} nothing to compare; "
                f"the nearest valid value is {objective.least_batch}"
            )
        if self.temperature is not None and not objective.cosine:
            raise ValueError(
                f"temperature = {self.temperature} has no meaning for loss = {self.loss!r}, "
                "whose scores are not cosines; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _has_a_use_for_its_sampler(self):
        sampler, objective = SAMPLERS[self.sampler], self.objective
        if sampler.weights is not None and not objective.weighted:
            raise ValueError(
                f"sampler = {self.sampler!r} weighs pairs, which loss = {self.loss!r} does not; "
                "the nearest valid choice is sampler = 'balanced'"
            )
        if objective.raised and sampler.balances:
            raise ValueError(
                f"sampler = {self.sampler!r} balances groups, which loss = {self.loss!r} does by itself; "
                "leave one of them out"
            )
        if sampler.swaps and not objective.captions:
            raise ValueError(
                f"sampler = {self.sampler!r} changes captions, which loss = {self.loss!r} does not read; leave it out"
            )
        if self.optimizer == "lbfgs" and (objective.raised or sampler.anew):
            which = f"loss = {self.loss!r}" if objective.raised else f"sampler = {self.sampler!r}"
            raise ValueError(
                f"optimizer = 'lbfgs' minimises one fixed loss, and {which} changes it from step to step; "
                "the nearest valid choice is adamw"
            )
        return self

    @model_validator(mode="after")
    def _makes_sense(self):
        if self.n is not None and self.batch_size > self.n:
            raise ValueError(
                f"batch_size = {self.batch_size} is larger than n = {self.n}; the nearest valid value is {self.n}"
            )
        if self.optimizer == "lbfgs" and self.n != self.batch_size:
            raise ValueError(
                "optimizer = 'lbfgs' needs one fixed batch, n equal to batch_size; the nearest valid choice is "
                + (f"batch_size = {self.n}" if self.n else f"n = {self.batch_size}")
            )
        if self.optimizer == "lbfgs" and (self.weight_decay or self.clip is not None or self.frozen != "none"):
            raise ValueError(
                "optimizer = 'lbfgs' minimises the loss itself over all weights, without weight_decay, clip and frozen "
                "towers; the nearest valid choice is weight_decay = 0, no clip and frozen = 'none'"
            )
        return self
