"""The theorem on InfoNCE: Coq accepts its proof, and its definitions are those of the learners."""

import re
import shutil
import subprocess
from importlib.resources import files
from math import pi

import numpy as np
import pytest

from simulator.world import World
from theory.learners import Bayes, InfoNCE

THEOREM = files("theory").joinpath("proofs/coq/infonce_by_name.v").read_text(encoding="utf-8")
AXIOMS = {  # of the classical reals, in Coq's own library
    "ClassicalDedekindReals.sig_forall_dec",
    "ClassicalDedekindReals.sig_not_dec",
    "Classical_Prop.classic",
    "FunctionalExtensionality.functional_extensionality_dep",
}


@pytest.mark.deep
@pytest.mark.skipif(shutil.which("coqc") is None, reason="needs coqc")
def test_coq_accepts_the_theorem_on_its_usual_axioms(tmp_path):
    (tmp_path / "theorem.v").write_text(THEOREM, encoding="utf-8")
    done = subprocess.run(
        ["coqc", "theorem.v"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    named = re.findall(r"^Theorem (\w+)", THEOREM, re.M)
    assert re.findall(r"^Print Assumptions (\w+)\.$", THEOREM, re.M) == named
    assert done.stdout.count("Axioms:") == len(named)
    assert set(re.findall(r"^([\w.]+)\s*:", done.stdout, re.M)) - {"Axioms"} == AXIOMS


def definitions(values: dict[str, object]) -> dict[str, object]:
    """The definitions as Python functions, one argument at a time, where the variables have these
    values.
    """
    found = {**values, "exp": np.exp, "sqrt": np.sqrt, "PI": pi}
    for name, parameters, body in re.findall(
        r"^Definition (\w+) ?(\(.*?\))? : R :=(.*?)\.$", THEOREM, re.M | re.S
    ):
        lambdas = "".join(
            f"lambda {one}: " for one in re.findall(r"\w+", parameters.partition(":")[0])
        )
        # f x (g y) is f (x) (g (y))
        applied = re.sub(r"(?<=[\w)])\s+(\w+)", r" (\1)", " ".join(body.split()))
        found[name] = eval(lambdas + applied.replace("^", "**"), found)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_its_definitions_decide_as_the_learners_do(seed):
    """On images of a random world."""
    rng = np.random.default_rng(seed)
    p = rng.uniform([0.5, 0.6], 1)
    o = rng.uniform(0.3, 2, 4)
    g = [(1, 1), (0, 0), (0, 1), *rng.random((2, 2))][seed]
    m = rng.uniform(0.2, 1, 2)
    noise = (0 if seed == 4 else rng.uniform(1, 2), rng.uniform(1, 2))
    names = (
        "p_spu",
        "p_inv",
        "mu_inv",
        "mu_spu",
        "sigma_inv",
        "sigma_spu",
        "mention_inv",
        "mention_spu",
    )
    given = dict(
        zip((*names, "detail_inv", "detail_spu"), map(float, (*p, *o, *m, *g)), strict=True)
    )
    world = World(**given, sigma_xi=noise[0], sigma_xi_text=noise[1], dim_image=2, dim_text=2)
    x, s = 3 * rng.standard_normal((2, 400))
    law = definitions({**given, "nu_image": world.nu_image, "nu_text": world.nu_text})
    for name, learner in (("infonce", InfoNCE("name")), ("bayes", Bayes())):
        scores = learner.scores(world, np.stack([x, s], axis=-1))
        assert np.array_equal(law[name](x)(s) > 0, scores[:, 0] > scores[:, 1]), name
