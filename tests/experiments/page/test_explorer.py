"""The explorer's results equal theory's at random worlds over the range of its sliders."""

import json
import subprocess
from importlib.resources import files
from itertools import product

import numpy as np
import pytest
from browsers import node
from laws.grids import tried
from scipy.stats import binom

from experiments.page.report import ERRORS, KNOBS, LARGEST_ERROR, LEARNERS, PROMPTS
from simulator.accuracy import Accuracy
from simulator.world import World
from theory import learners
from theory.ideal_curve import IdealCurve, equivalent

SCRIPT = (files("experiments.page") / "html" / "theory.js").read_text(encoding="utf-8")
CALL = (
    "({worlds, jobs}) => jobs.map(({learner, prompt}) => worlds.map((w) => LEARNERS[learner](w,"
    " prompt)))"
)
QUERIES = [
    (name, prompt)
    for name in LEARNERS
    for prompt in (PROMPTS if name in ("linear", "infonce") else (None,))
]


def worlds(count: int, seed: int) -> dict[str, np.ndarray]:
    """Fields of random worlds over the sliders; mentions and details are often 1, as in the
    papers.
    """
    rng = np.random.default_rng(seed)
    place = {knob.field: rng.uniform(size=count) for knob in KNOBS}
    fields = {}
    for knob in KNOBS:
        t = place[knob.field]
        width = knob.high - knob.low
        if knob.field == "p_spu":  # correlations of papers are close to 1
            fields[knob.field] = np.where(t > 0.95, 1.0, 1 - (1 - knob.low) * 10.0 ** (-6 * t))
        else:
            fields[knob.field] = knob.low + width * t**knob.power
    for name in ("mention_inv", "mention_spu", "detail_inv", "detail_spu"):
        fields[name] = np.where(rng.uniform(size=count) < 0.3, 1.0, fields[name])
    return fields


def by_node(function: str, argument) -> list:
    if node() is None:
        pytest.skip("no node here; pip install soberclip[browser] brings one")
    call = f"({function})(JSON.parse(require('fs').readFileSync(0)))"
    code = f"{SCRIPT}\nconsole.log(JSON.stringify({call}))"
    run = subprocess.run(
        [node(), "-e", code], input=json.dumps(argument), capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def plain(fields: dict[str, np.ndarray]) -> list[dict[str, float]]:
    nu = fields["sigma_xi"] ** 2 / World.model_fields["dim_image"].default
    return [
        {**{k: float(v[i]) for k, v in fields.items()}, "nu": float(nu[i])} for i in range(len(nu))
    ]


def differences(queries, fields: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Largest difference from theory per world, for each learner and prompt."""
    grid = World(**fields)
    jobs = [{"learner": name, "prompt": prompt} for name, prompt in queries]
    answers = by_node(CALL, {"worlds": plain(fields), "jobs": jobs})
    off = []
    for (name, prompt), found in zip(queries, answers, strict=True):
        truth = learners.named(name, **({"prompt": prompt} if prompt else {})).accuracy(grid)
        pairs = np.array([[one["common"], one["counter"]] for one in found])
        off.append(np.abs(pairs - np.stack([truth.common, truth.counter], axis=-1)).max(axis=-1))
    return off


def test_closed_forms_equal_theory_at_a_thousand_worlds():
    queries = [(name, prompt) for name, prompt in QUERIES if name != "infonce"]
    for (name, prompt), off in zip(queries, differences(queries, worlds(1000, 1)), strict=True):
        assert off.max() < ERRORS[name], (name, prompt)


@pytest.mark.parametrize("count", [15, pytest.param(100, marks=pytest.mark.deep)])
def test_infonce_equals_theory_at_random_worlds(count):
    off = np.array(differences([("infonce", prompt) for prompt in PROMPTS], worlds(count, 3)))
    assert off.max() < LARGEST_ERROR
    assert (off >= ERRORS["infonce"]).sum() <= binom.ppf(0.999, off.size, 0.01), (
        "one world in a hundred"
    )


def test_corners_of_the_sliders_equal_theory_or_are_refused():
    ends = {knob.field: (knob.low, knob.high) for knob in KNOBS} | {
        "mu_inv": (1.0,),
        "sigma_inv": (0.1, 1.0),
    }
    corners = list(product(*ends.values()))[::89]
    fields = dict(zip(ends, np.array(corners).T, strict=True))
    jobs = [{"learner": name, "prompt": prompt} for name, prompt in QUERIES]
    for job, found in zip(
        jobs, by_node(CALL, {"worlds": plain(fields), "jobs": jobs}), strict=True
    ):
        learner = learners.named(
            job["learner"], **({"prompt": job["prompt"]} if job["prompt"] else {})
        )
        for corner, one in zip(corners, found, strict=True):
            world = World(**dict(zip(ends, corner, strict=True)))
            assert ("refused" in one) == isinstance(tried(learner.accuracy, world), Exception), (
                job,
                world,
            )
            if "refused" not in one:
                truth = learner.accuracy(world)
                assert one["common"] == pytest.approx(truth.common, abs=ERRORS[job["learner"]]), (
                    job,
                    world,
                )
                assert one["counter"] == pytest.approx(truth.counter, abs=ERRORS[job["learner"]]), (
                    job,
                    world,
                )


def test_equivalent_correlation_and_shortfall_equal_theory():
    """In random worlds, and for the ideal rule itself where its curve is flat at an end, or nearly
    so.
    """
    fields = worlds(300, 4)
    rng = np.random.default_rng(4)
    ends = np.tile([0.0, 0.5, 1.0], 4)
    plain_world = World(sigma_spu=1.0, sigma_xi=4.0)
    own = {name: np.full(12, float(getattr(plain_world, name))) for name in fields}
    own["mu_spu"] = np.repeat([0.01, 0.1, 0.5, 2.0], 3)
    # others: any pair, with drops beyond the ideal ones among them
    some = rng.uniform(size=300) < 0.5
    pairs = [
        np.concatenate([np.where(some, x, rng.uniform(size=300)), y])
        for x, y in zip(
            learners.named("linear", prompt="mean").accuracy(World(**fields)),
            IdealCurve(World(**own)).at(ends),
            strict=True,
        )
    ]
    fields = {name: np.concatenate([x, own[name]]) for name, x in fields.items()}
    grid = World(**fields)
    cases = [
        {"w": w, "a": {"common": c, "counter": k}}
        for w, c, k in zip(plain(fields), *pairs, strict=True)
    ]
    found = by_node("(cases) => cases.map(({w, a}) => equivalent(w, a))", cases)
    correlation = np.array([one["correlation"] for one in found], float)  # JSON turns NaN into null
    shortfall = np.array([one["shortfall"] for one in found])
    truth = equivalent(grid, Accuracy(*pairs))
    curve = IdealCurve(grid)
    assert shortfall == pytest.approx(truth.shortfall, abs=1e-6)
    known = ~np.isnan(truth.correlation)
    step = 1e-4
    assert (np.isnan(correlation) == ~known).all()
    assert not known[[300, 302]].any(), "flat at both ends"
    assert correlation[[309, 311]].tolist() == [0, 1]
    near = np.where(known, truth.correlation, 0.5)
    low = np.maximum(near - step, 0)
    high = np.minimum(near + step, 1)
    steep = known & ((curve.at(high).drop - curve.at(low).drop) > 0.01 * (high - low))
    assert 100 < steep.sum() < 300
    assert np.abs(correlation - near)[steep].max() < 1e-6
