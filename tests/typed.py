"""A user's program that `python -m mypy` (in `.ci/run`) reads and nothing runs: each public name
has its own type.
"""

from dataclasses import dataclass
from typing import ClassVar, assert_type

import numpy as np
import xarray as xr

from experiments import Mitigation, design, designs, export, judge, mitigated, place, study
from experiments.ground_truth.place import Place
from experiments.lab.presets import Design
from experiments.lab.studies import Study
from experiments.verdict import Verdict
from simulator import Accuracy, Attribute, Pixels, Recipe, World, fit, train
from simulator.accuracy import Numbers
from simulator.gaussian.fitting import Fitted
from simulator.towers.api import Towers
from theory import Axis, Claim, Phi, learners, sqrt


def worlds() -> None:
    world = World(p_spu=0.9, attribute=(Attribute(mu=2.0),))
    assert_type(world.replace(mu_spu=2.0), World)
    assert_type(world.nu_image, np.ndarray)
    grid = World(p_spu=np.linspace(0.5, 1, 3), mu_spu=np.array([[1.0], [2.0]]))
    assert_type(grid[0, 1], World)
    World(p_spu="high")  # type: ignore[arg-type]
    World(views=Pixels())


def exported() -> None:
    export(World(), "folder", n=10)["theory"]
    assert_type(place({"common": (9, 10), "counter": (3, 10)}, world=World()), Place)


def learned() -> None:
    pairs = World().draw(1000, seed=0)
    fitted = fit("linear", pairs)
    assert_type(fitted, Fitted)
    assert_type(fitted.accuracy("mean"), Accuracy)
    assert_type(fitted.accuracy("mean").drop, Numbers)
    fitted.accuracy("nam")  # type: ignore[arg-type]
    towers = train(World(), Recipe(loss="infonce"), models=2)
    assert_type(towers, Towers)
    assert_type(towers.accuracy(), Accuracy)


@dataclass(frozen=True)
class Ridge(learners.Learner):
    """The learner of the README."""

    name: ClassVar[str] = "ridge"
    words: ClassVar[str] = "ridge regression"
    penalty: float = 1.0

    def direction(self, world: World) -> np.ndarray:
        return world.mean * world.correlation / (world.scale**2 + self.penalty)


def judged() -> None:
    assert_type(learners.named("infonce", prompt="average"), learners.Learner)
    assert_type(learners.LinearCLIP("mean").accuracy(World()), Accuracy)
    claim = Claim(
        id="a",
        source="me",
        statement="One.",
        quantity="counter",
        relation="<=",
        domain={"p_spu": Axis(0.8, 1.0), "mu_spu": 2.0, "sigma_inv": lambda w: w.p_spu},
        prediction=lambda w: Phi(1 - w.mu_spu) / sqrt(2.0),
        subject=Ridge(penalty=2.0),
        against="least-squares",
    )
    assert_type(judge(claim, quick=True), Verdict)
    assert_type(judge(claim).interval, list[float] | None)
    judge("a")  # type: ignore[arg-type]


def studied() -> None:
    sweep = study(
        World(),
        axes={"p_spu": "0.5:1:3"},
        learners=[Ridge(), "linear"],
        prompts=["typical", "average"],
        n=1e6,
    )
    assert_type(sweep, Study)
    assert_type(sweep.run(), xr.Dataset)
    assert_type(design(designs()[0]), Design)
    assert_type(
        mitigated("balance", World(), learners.named("linear")), tuple[World, learners.Learner]
    )
    Mitigation("mine", "does nothing", lambda world: world)
