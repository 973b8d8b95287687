"""Theorems in Coq: they say what the claims say, and Coq's kernel accepts them and refuses what is changed.

The statements are read back by a small reader of Coq's formulas that shares nothing with the writer.
"""

import operator
import re
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr

import theory.claims
from experiments.court import kernel
from experiments.court.domain import points_at, true_violation
from experiments.court.kernel import accepted_by_kernel, file_name, write_theorems
from experiments.errors import RequestError
from theory.claims.catalogue import CLAIMS
from theory.proofs.coq import file_of
from theory.proofs.expression import NotExpressible
from theory.proofs.statements import cases

BY_ID = {claim.id: claim for claim in CLAIMS}
FUNCTIONS = {"Phi": ndtr, "sqrt": np.sqrt, "exp": np.exp, "ln": np.log}
# One claim of each kind of proof: they take Coq two seconds each.
KINDS = (
    "reliance-law/name",  # an identity
    "corrected-law/mean-counter",  # equal scores
    "paper-condition-sufficient-at-one",  # a score's sign
    "counter-majority-wrong",  # a condition
    "data-determine/training-distribution",  # T1, monotone
    "reliance-grows-with-correlation-name",  # what is changed below: coqc refuses at once
)
COQ = pytest.mark.skipif(shutil.which("coqc") is None, reason="needs coqc")


def quiet(line: str) -> None:
    pass


@cache
def texts() -> dict[str, str]:
    """The files of all claims that have theorems."""
    found = {}
    for claim in CLAIMS:
        try:
            found[claim.id] = file_of(claim)
        except NotExpressible:
            continue
    return found


class Reader:
    """Values of a formula in Coq's notation, by recursive descent."""

    def __init__(self, text: str, values: dict[str, np.ndarray]):
        self.tokens, self.values = re.findall(r"\d+|\w+|\S", text), values

    def value(self):
        found = self.sum()
        assert not self.tokens
        return found

    def take(self, *wanted: str) -> str | None:
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in wanted else None

    def sum(self):
        left = self.product()
        while sign := self.take("+", "-"):
            left = {"+": operator.add, "-": operator.sub}[sign](left, self.product())
        return left

    def product(self):
        left = self.power()
        while sign := self.take("*", "/"):
            left = {"*": operator.mul, "/": operator.truediv}[sign](left, self.power())
        return left

    def power(self):
        if self.take("-"):
            return -self.power()
        base = self.atom()
        return base ** int(self.tokens.pop(0)) if self.take("^") else base

    def atom(self):
        token = self.tokens.pop(0)
        if token == "(":
            inner = self.sum()
            assert self.take(")")
            return inner
        if token in FUNCTIONS:
            return FUNCTIONS[token](self.atom())
        return np.float64(token) if token.isdigit() else self.values[token]


def read(text: str) -> list[tuple[int, list[str], str, str]]:
    """(number of the case, hypotheses, left side, right side) of each theorem in a file."""
    found = []
    for number, statement in re.findall(r"^Theorem claim_(\d+)_\d+ : (.*)\.$", text, re.M):
        *hypotheses, conclusion = re.sub(r"^forall [\w ]+ : R, ", "", statement).split(" -> ")
        found.append((int(number), hypotheses, *conclusion.split(" <= ")))
    return found


def violation_read(theorems: list, point: dict[str, np.ndarray], tau: float) -> np.ndarray:
    """The largest violation that theorems forbid at each point; the point lies within their bounds."""
    found = []
    for _, hypotheses, left, right in theorems:
        v = Reader(left, point).value()
        assert Reader(right, {}).value() == tau
        for hypothesis in hypotheses:
            first, *rest = (Reader(side, point).value() for side in re.split(r" <=? ", hypothesis))
            if len(rest) == 2:
                assert np.all((first - 1e-12 <= rest[0]) & (rest[0] <= rest[1] + 1e-12))
            else:
                v = np.where(first < rest[0], v, -np.inf)
        found.append(v)
    return np.max(found, axis=0)


@pytest.mark.parametrize("points", [100, pytest.param(1000, marks=pytest.mark.deep)])
def test_the_theorems_say_what_the_claims_say(points):
    for id, text in texts().items():
        claim = BY_ID[id]
        dimension = len(claim.axes) + (claim.relation in ("increasing", "decreasing"))
        grid = points_at(claim, np.random.default_rng(0).random((points, dimension)))
        due = true_violation(claim, grid)
        for number, whole in enumerate(cases(claim)):
            rows = np.all([grid[name] == value for name, value in whole.items()] + [np.ones(points, bool)], axis=0)
            theorems = [one for one in read(text) if one[0] == number]
            found = violation_read(theorems, {name: value[rows] for name, value in grid.items()}, claim.tau)
            assert found == pytest.approx(due[rows], abs=1e-9), id


def test_the_bounds_are_the_domains():
    """At both ends of each axis a bound is an equation."""
    for id, text in texts().items():
        claim = BY_ID[id]
        hypotheses = read(text)[0][1]
        bounded = [re.split(" <= ", each) for each in hypotheses if " <= " in each]
        names = [name for name in claim.axes if not claim.axes[name].integer]
        assert [name for _, name, _ in bounded][: len(names)] == names
        dimension = len(claim.axes) + (claim.relation in ("increasing", "decreasing"))
        for end, side in ((0.0, 0), (1.0, 2)):
            point = points_at(claim, np.full((1, dimension), end))
            for each in bounded:
                assert Reader(each[side], point).value() == pytest.approx(point[each[1]][0], rel=1e-12), id


def wrong_constant(text: str) -> str:
    return text.replace("^ 2", "^ 3", 1)


def wrong_sign(text: str) -> str:
    """The claim's opposite: the sides of its conclusion change places, and tau is below 0."""
    return re.sub(r"-> ([^>]*?) <= (\(1 / \d+\))\.$", r"-> - \1 <= - \2.", text, count=1, flags=re.M)


def wrong_bound(text: str) -> str:
    return re.sub(r"<= (\w+) <= [^>]*? ->", r"<= \1 <= 1000 ->", text, count=1)


def test_the_readme_counts_the_claims_with_theorems():
    page = (Path(theory.claims.__file__).parent / "README.md").read_text(encoding="utf-8")
    assert f"It can for {len(texts())} claims" in page


@COQ
@pytest.mark.deep
def test_the_kernel_accepts_true_theorems_and_refuses_changed_ones(tmp_path, monkeypatch):
    """Without the comparison of statements, coqc alone has to see each change."""
    chosen = [BY_ID[id] for id in KINDS]
    assert all(result["file"] for result in write_theorems(tmp_path / "true", chosen))
    for result in accepted_by_kernel(tmp_path / "true", CLAIMS, quiet):
        assert result["refused"] is None
        assert result["theorems"]
        assert set(result["axioms"]) <= kernel.AXIOMS
    name = file_name("reliance-grows-with-correlation-name")
    monkeypatch.setattr(kernel, "_names", lambda text, claim: ["claim_0_0"])
    for change in (wrong_constant, wrong_sign, wrong_bound):
        folder = tmp_path / change.__name__
        folder.mkdir()
        true = (tmp_path / "true" / name).read_text()
        (folder / name).write_text(change(true))
        assert change(true) != true
        (found,) = accepted_by_kernel(folder, CLAIMS, quiet)
        assert "Error" in found["refused"]


def refused(tmp_path, text: str) -> str:
    (tmp_path / file_name("reliance-law/name")).write_text(text)
    (found,) = accepted_by_kernel(tmp_path, CLAIMS, quiet)
    return found["refused"]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("<= 1 ->", "<= 2 ->", 1),
        lambda text: text.replace("Theorem", "Definition Phi (x : R) := 0.\n\nTheorem", 1),
        lambda text: text.replace(" Qed.", " Qed.\nAxiom easy : 0 = 1.", 1),
        lambda text: text.replace("Proof. intros", "Proof. Admitted. intros", 1),
        lambda text: text + "\nTheorem more : 0 = 0.\nProof. reflexivity. Qed.\n",
    ],
)
def test_a_file_with_another_statement_or_a_definition_is_refused_before_coqc_sees_it(tmp_path, change, monkeypatch):
    monkeypatch.setattr(kernel.shutil, "which", lambda name: name)
    monkeypatch.setattr(kernel, "_compiled", lambda coqc, place, name: ("", None))
    assert refused(tmp_path, texts()["reliance-law/name"]) is None
    assert "something else than the claim" in refused(tmp_path, change(texts()["reliance-law/name"]))


def test_an_axiom_of_ones_own_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(kernel.shutil, "which", lambda name: name)
    monkeypatch.setattr(kernel, "_compiled", lambda coqc, place, name: ("Axioms:\nShared.easy : 0 = 1\n", None))
    assert refused(tmp_path, texts()["reliance-law/name"]) == "it rests on Shared.easy"


def test_without_coqc_the_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(kernel.shutil, "which", lambda name: None)
    with pytest.raises(RequestError, match="Debian packages coq and libcoq-interval"):
        accepted_by_kernel(tmp_path, CLAIMS, quiet)


def test_a_claim_without_a_theorem_has_a_reason(tmp_path):
    (found,) = write_theorems(tmp_path, [BY_ID["one-number-decides/balanced"]])
    assert (found["file"], found["reason"]) == (None, "its formula holds exp, log or Phi")
    assert [path.name for path in tmp_path.iterdir()] == ["Shared.v"]
