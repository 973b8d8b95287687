"""Digests: the same for the same claim, another for any change of its meaning."""

from dataclasses import dataclass
from functools import partial
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory import Phi
from theory.claims.claim import Axis, Claim
from theory.docket.catalogue import CLAIMS, TRAINED
from theory.learners import InfoNCE, LinearCLIP
from theory.proofs.identity import digest_of

BOX = {
    "p_spu": Axis(0.6, 0.9),
    "sigma_inv": Axis(0.5, 2.0),
    "mu_spu": Axis(lambda w: w.sigma_inv, 3.0),
}
WORDS = ("id", "source", "statement", "formula", "question")


def claim(**fields) -> Claim:
    usual = {
        "id": "mine",
        "source": "me",
        "statement": "",
        "quantity": "counter",
        "relation": ">=",
        "domain": BOX,
    }
    return Claim(**{**usual, "prediction": lambda w: 0.5 * w.p_spu, **fields})


def sha(**fields) -> str:
    return digest_of(claim(**fields)).sha256


@given(st.fixed_dictionaries({name: st.text(min_size=1) for name in WORDS}), st.data())
def test_words_and_order_do_not_matter(words, data):
    order = data.draw(st.permutations(["p_spu", "sigma_inv"]))
    domain = {**{name: BOX[name] for name in order}, "mu_spu": BOX["mu_spu"]}
    if data.draw(st.booleans()):
        domain["sigma_spu"] = 0.5  # the default of World
    assert sha(**words, domain=domain) == sha()


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_numbers_matter(one, other):
    for make in (
        lambda x: {"prediction": lambda w: x},
        # a branch: by its syntax tree
        lambda x: {"prediction": lambda w: x if w.p_spu.max() > 0 else w.p_spu},
        lambda x: {"tolerance": x},
        lambda x: {"share": x},
        lambda x: {"domain": {**BOX, "p_spu": Axis(x, 1.0)}},
        lambda x: {"domain": {**BOX, "p_spu": Axis(0.0, x)}},
        lambda x: {"domain": {**BOX, "mu_spu": Axis(lambda w: x * w.sigma_inv, 3.0)}},
        lambda x: {"relation": "iff", "threshold": x},
    ):
        assert (sha(**make(one)) == sha(**make(other))) == (one == other)


def test_every_change_of_meaning_changes_the_digest():
    """The family of an effective robustness was once left out."""
    changes = [
        {},
        {"relation": "<="},
        {"quantity": "common"},
        {"subject": "infonce"},
        {"subject": LinearCLIP("mean")},
        {"subject": LinearCLIP("name", 1)},
        {"against": "bayes"},
        {"quantity": "effective-robustness", "against": "logistic"},
        {"quantity": "effective-robustness", "against": "least-squares"},
        {"quantifier": "somewhere"},
        {"n": 10**9},
        {"relation": "increasing", "along": "p_spu"},
        {"domain": {**BOX, "p_spu": Axis(0.6, 0.9, "log")}},
        {
            "domain": (
                {**BOX, "p_spu": Axis(0.6, 0.9, integer=True)}
                | {"p_spu": Axis(0.6, 0.9, "one-minus")}
            )
        },
        {"domain": {**BOX, "sigma_spu": 0.6}},
        {"domain": {**BOX, "sigma_spu": Axis(0.5, 0.6)}},
        {"prediction": lambda w: 0.5 * w.mu_spu},
        {"prediction": lambda w: 0.5 * np.maximum(w.p_spu, 0.7)},
    ]
    assert len({sha(**fields) for fields in changes}) == len(changes)


def shifted(x, by):
    return np.maximum(x.p_spu, by)


def scaled(world, amount):
    return np.minimum(world.p_spu, amount)


def documented(x, by: float) -> float:
    """Words do not matter."""
    return shifted(x, by)  # nor do comments


undocumented = documented


def documented(x, by):
    return shifted(x, by)


LIMIT = 0.5


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (lambda w: Phi(w.mu_spu), lambda x: Phi(x.mu_spu), lambda w: Phi(-w.mu_spu)),  # formulas
        (partial(shifted, by=0.5), partial(shifted, by=0.5), partial(shifted, by=0.6)),
        (
            lambda w: np.maximum(w.p_spu, 0.5),
            lambda w: np.maximum(w.p_spu, 0.5),
            lambda w: np.minimum(w.p_spu, 0.5),
        ),
        (
            lambda w, a=1: w.p_spu.max() + a,
            lambda w, a=1: w.p_spu.max() + a,
            lambda w, a=2: w.p_spu.max() + a,
        ),
        (partial(undocumented, by=0.5), partial(documented, by=0.5), partial(shifted, by=0.5)),
        (
            lambda w: InfoNCE("name").accuracy(w).counter,
            lambda w: InfoNCE("name").accuracy(w).counter,
            lambda w: InfoNCE("mean").accuracy(w).counter,
        ),
    ],
)
def test_a_function_is_its_formula_or_its_source(one, same, other):
    assert sha(prediction=one) == sha(prediction=same)
    assert sha(prediction=one) != sha(prediction=other)


def test_what_a_function_uses_is_part_of_the_claim(monkeypatch):
    """A helper, a value that the function closes over, a value beside it, and a function of a
    module.
    """

    def by(helper, value):
        return sha(prediction=lambda w: helper(w, value))

    assert len({by(shifted, 0.5), by(scaled, 0.5), by(shifted, 0.6)}) == 3
    mine = ModuleType("mine")
    mine.helper = shifted
    found = set()
    for limit, helper in ((0.5, shifted), (0.6, shifted), (0.6, scaled)):
        monkeypatch.setitem(globals(), "LIMIT", limit)
        mine.helper = helper
        found.add(sha(prediction=lambda w: mine.helper(w, LIMIT)))
    assert len(found) == 3


@dataclass(frozen=True)
class Halved(LinearCLIP):
    def direction(self, worlds):
        return 0.5 * super().direction(worlds)


class Doubled(Halved):
    def direction(self, worlds):
        return 4 * super().direction(worlds)


def test_a_learner_of_ones_own_is_what_it_computes():
    found = digest_of(claim(subject=Halved()))
    assert found.source
    assert str(found).endswith("(source)")
    assert len({found.sha256, sha(subject=Halved("mean")), sha(subject=Doubled())}) == 3


def test_the_docket_has_distinct_digests_and_most_are_of_formulas():
    digests = [digest_of(one) for one in (*CLAIMS, *TRAINED)]
    assert len({one.sha256 for one in digests}) == len(digests)
    assert sum(one.source for one in digests) < len(digests) / 2


def test_functions_without_source_are_refused():
    space = {}
    exec("def made(w):\n    return max(w.p_spu)", space)
    with pytest.raises(ValueError, match="the source of made is in no file"):
        digest_of(claim(prediction=space["made"]))
    with pytest.raises(ValueError, match="has no digest"):
        digest_of(claim(prediction=partial(shifted, by=object())))
