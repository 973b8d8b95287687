"""Theorems in Coq: they say what the claims say, and Coq's kernel accepts them and refuses what is changed.

The statements are read back by a small reader of Coq's formulas that shares nothing with the writer.
"""

import json
import operator
import re
import shutil
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr

import theory.claims
from experiments.court import kernel
from experiments.court.kernel import accepted_by_kernel, file_name, record, write_theorems
from experiments.errors import RequestError
from simulator.world import World
from theory.claims.catalogue import CLAIMS
from theory.learners import Bayes, InfoNCE
from theory.proofs.coq import FIELDS, LATER, LAWS, SHARED, THRESHOLDS, file_of
from theory.proofs.coq_signs import Unseen, domain_of, plain
from theory.proofs.expression import NotExpressible, constant, variable
from theory.proofs.identity import digest_of
from theory.proofs.statements import cases

BY_ID = {claim.id: claim for claim in CLAIMS}
FUNCTIONS = {"Phi": ndtr, "sqrt": np.sqrt, "exp": np.exp, "ln": np.log}
# Coq has accepted every file of the record, whose digests the suite compares; here it reads some kinds of proof again.
KINDS = {
    "reliance-law/name": "proved",  # an identity
    "corrected-law/mean-counter": "proved",  # equal scores
    "data-determine/training-distribution": "proved",  # T1, monotone
    "supervised-beats-clip-at-full-correlation/name-vs-logistic": "proved",  # a bound with a root
    "one-number-decides/common": "proved",  # two scores, by squares
    "wang-half-correlation/error": "refuted",
    "reliance-grows-with-correlation-mean": "refuted",  # monotone, and without Phi
    "reliance-grows-with-correlation-name": "proved",  # what is changed below: coqc refuses at once
}
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


@cache
def definitions() -> dict[str, tuple[list[str], list[str]]]:
    """The parameters and the tokens of each definition, by name."""
    found = {}
    text = re.sub(r"\(\*.*?\*\)", "", SHARED + THRESHOLDS, flags=re.S)
    for name, parameters, body in re.findall(r"^Definition (\w+) ?(\(.*?\))? : R :=\s(.*?)\.$", text, re.M | re.S):
        found[name] = re.findall(r"\w+", parameters.partition(":")[0]), re.findall(r"\d+|\w+|\S", body)
    return found


class Reader:
    """Values of a formula in Coq's notation, by recursive descent."""

    def __init__(self, text: str | list[str], values: dict[str, np.ndarray]):
        self.tokens = re.findall(r"\d+|\w+|\S", text) if isinstance(text, str) else list(text)
        self.values = {"PI": np.pi, **values}

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
        base = self.application()
        return base ** int(self.tokens.pop(0)) if self.take("^") else base

    def application(self):
        name = self.tokens[0]
        if name in FUNCTIONS:
            return FUNCTIONS[self.tokens.pop(0)](self.atom())
        if name not in definitions():
            return self.atom()
        parameters, body = definitions()[self.tokens.pop(0)]
        given = {parameter: self.atom() for parameter in parameters}
        return Reader(body, {**self.values, **given}).value()

    def atom(self):
        token = self.tokens.pop(0)
        if token == "(":
            inner = self.sum()
            assert self.take(")")
            return inner
        if token in definitions():  # without parameters
            return Reader(definitions()[token][1], self.values).value()
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


def test_the_theorems_say_what_the_claims_say():
    points = 100
    for id, text in texts().items():
        claim = BY_ID[id]
        grid = claim.relation.points(claim, np.random.default_rng(0).random((points, claim.dimension)))
        due = claim.true_violation(grid)
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
        for end, side in ((0.0, 0), (1.0, 2)):
            point = claim.relation.points(claim, np.full((1, claim.dimension), end))
            for each in bounded:
                assert Reader(each[side], point).value() == pytest.approx(point[each[1]][0], rel=1e-12), id
        if claim.relation.further:  # a later value begins at the earlier one, wherever that is
            point = claim.relation.points(claim, np.full((1, claim.dimension), 0.5))
            low, name, _ = bounded[-1]
            assert name == claim.along + LATER
            assert Reader(low, point).value() == pytest.approx(point[claim.along][0], rel=1e-12), id


def test_the_definitions_are_the_papers_laws():
    values = np.random.default_rng(0).uniform(0.5, 2, (4, 100))
    for name, law in LAWS.items():
        read_back = Reader(f"{name} {' '.join(FIELDS)}", dict(zip(FIELDS, values, strict=True))).value()
        assert read_back == pytest.approx(law(*values), rel=1e-12), name


@pytest.mark.parametrize("seed", range(5))
def test_the_theorem_on_thresholds_is_about_infonce_and_bayes(seed):
    """The definitions decide as the learners do, on images of a random world."""
    rng = np.random.default_rng(seed)
    p, o = rng.uniform([0.5, 0.6], 1), rng.uniform(0.3, 2, 4)
    g, m = [(1, 1), (0, 0), (0, 1), *rng.random((2, 2))][seed], rng.uniform(0.2, 1, 2)
    noise = (0 if seed == 4 else rng.uniform(1, 2), rng.uniform(1, 2))
    names = ("p_spu", "p_inv", "mu_inv", "mu_spu", "sigma_inv", "sigma_spu", "mention_inv", "mention_spu")
    names += ("detail_inv", "detail_spu")
    given = dict(zip(names, map(float, (*p, *o, *m, *g)), strict=True))
    noise = dict(zip(("sigma_xi", "sigma_xi_text"), noise, strict=True)) | {"dim_image": 2, "dim_text": 2}
    world = World(**given, **noise)
    x, s = 3 * rng.standard_normal((2, 400))
    values = {**given, "nu_image": world.nu_image, "nu_text": world.nu_text, "x": x, "s": s}
    for law, learner in (("infonce", InfoNCE("name")), ("bayes", Bayes())):
        scores = learner.scores(world, np.stack([x, s], axis=-1))
        assert np.array_equal(Reader(f"{law} x s", values).value() > 0, scores[:, 0] > scores[:, 1]), law


def test_refutations_hold_at_their_points():
    """The point of a file violates its statement, which is the claim's with the other sign."""
    refuted = [id for id, entry in record()["claims"].items() if entry["shows"] == "refuted"]
    assert len(refuted) > 10
    for id in refuted:
        text = file_of(BY_ID[id], refuted=True)
        names, statement = re.search(r"^Theorem refuted_0_\d : exists ([\w ]+) : R, (.*)\.$", text, re.M).groups()
        witnesses = re.search(r"Proof\. exists (.*)\.$", text, re.M).group(1).split(", ")
        point = {name: np.array([Reader(q, {}).value()]) for name, q in zip(names.split(), witnesses, strict=True)}
        *bounds, conclusion = statement.split(" /\\ ")
        for bound in bounds:
            low, x, high = (Reader(side, point).value() for side in bound.split(" <= "))
            assert low <= x <= high, id
        tau, v = (Reader(side, point).value() for side in conclusion.split(" < "))
        fixed = {name: np.array([float(value)]) for name, value in BY_ID[id].domain.items() if np.isscalar(value)}
        assert tau == BY_ID[id].tau
        assert v == pytest.approx(BY_ID[id].true_violation({**fixed, **point}), abs=1e-9), id
        assert v > tau


def test_the_record_is_of_todays_claims_and_files():
    """A claim that changes, or whose theorem does, is no longer said to be checked by Coq."""
    entries = record()["claims"]
    assert len(entries) > 50
    for id, entry in entries.items():
        assert entry["digest"] == digest_of(BY_ID[id]).sha256, id
        text = texts()[id] if entry["shows"] == "proved" else file_of(BY_ID[id], refuted=True)
        assert entry["file"] == kernel.file_digest(text), id
    changed = replace(BY_ID["reliance-law/name"], tolerance=0.02)
    assert kernel.checked_by_coq(BY_ID["reliance-law/name"], "proved")
    assert not kernel.checked_by_coq(changed, "proved")
    assert not kernel.checked_by_coq(BY_ID["reliance-law/name"], "refuted")


def wrong_constant(text: str) -> str:
    return text.replace("^ 2", "^ 3", 1)


def wrong_sign(text: str) -> str:
    """The claim's opposite: the sides of its conclusion change places, and tau is below 0."""
    return re.sub(r"-> ([^>]*?) <= (\(1 / \d+\))\.$", r"-> - \1 <= - \2.", text, count=1, flags=re.M)


def wrong_bound(text: str) -> str:
    return re.sub(r"<= (\w+) <= [^>]*? ->", r"<= \1 <= 1000 ->", text, count=1)


def machine_numbers(text: str) -> str:
    """A step that computes with the processor's floats."""
    return text.replace("Proof. ", "Proof. assert (1 < sqrt 2) by interval. ")


CHANGES = [
    (wrong_constant, "Error"),
    (wrong_sign, "Error"),
    (wrong_bound, "Error"),
    (machine_numbers, "it rests on FloatAxioms."),
]


def test_the_readme_counts_what_coq_has_checked():
    shown = [entry["shows"] for entry in record()["claims"].values()]
    counts = shown.count("proved"), shown.count("refuted")
    folder = Path(theory.claims.__file__).parent
    words = "Coq has checked {} proved claims and {} refutations"
    assert words.format(*counts) in (folder / "README.md").read_text(encoding="utf-8")


@COQ
@pytest.mark.deep
def test_the_kernel_accepts_true_theorems_and_refuses_changed_ones(tmp_path, monkeypatch):
    """Without the comparison of statements, coqc alone has to see each change."""
    chosen = [(BY_ID[id], outcome) for id, outcome in KINDS.items()]
    assert all(result["file"] for result in write_theorems(tmp_path / "true", chosen))
    for result in accepted_by_kernel(tmp_path / "true", CLAIMS, quiet):
        assert result["refused"] is None
        assert result["theorems"]
        assert set(result["axioms"]) <= kernel.AXIOMS
    written = json.loads((tmp_path / "true" / kernel.RECORD).read_text())["claims"]
    assert written == {id: record()["claims"][id] for id in KINDS}
    true = (tmp_path / "true" / file_name("reliance-grows-with-correlation-name")).read_text()
    (tmp_path / "changed").mkdir()
    for id, (change, _) in zip(KINDS, CHANGES, strict=False):
        assert change(true) != true
        (tmp_path / "changed" / file_name(id)).write_text(change(true))
    monkeypatch.setattr(kernel, "_names", lambda text, claim: ["claim_0_0"])
    found = {result["claim"]: result["refused"] for result in accepted_by_kernel(tmp_path / "changed", CLAIMS, quiet)}
    for id, (_, reason) in zip(KINDS, CHANGES, strict=False):
        assert reason in found[id]


@pytest.fixture
def accepting(monkeypatch):
    """A coqc that accepts every file."""
    monkeypatch.setattr(kernel.shutil, "which", lambda name: name)
    monkeypatch.setattr(kernel, "_version", lambda coqc: "8.20.1")
    monkeypatch.setattr(kernel, "_compiled", lambda coqc, place, name: ("", None))


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
        lambda text: text.replace("Proof. ", "Proof. Admitted. ", 1),
        lambda text: text.replace("Proof. ", "Proof. - Definition Phi (x : R) := 0. ", 1),
        lambda text: text.replace("Proof. ", "Proof. {Definition Phi (x : R) := 0. ", 1),
        lambda text: text + "\nTheorem more : 0 = 0.\nProof. reflexivity. Qed.\n",
    ],
)
def test_a_file_with_another_statement_or_a_definition_is_refused_before_coqc_sees_it(tmp_path, change, accepting):
    assert refused(tmp_path, texts()["reliance-law/name"]) is None
    assert "something else than the claim" in refused(tmp_path, change(texts()["reliance-law/name"]))


@pytest.mark.parametrize("axiom", ["Shared.easy", "FloatAxioms.add_spec"])
def test_an_axiom_of_ones_own_or_of_machine_numbers_is_refused(tmp_path, accepting, monkeypatch, axiom):
    monkeypatch.setattr(kernel, "_compiled", lambda coqc, place, name: (f"Axioms:\n{axiom} : 0 = 1\n", None))
    assert refused(tmp_path, texts()["reliance-law/name"]) == f"it rests on {axiom}"


def test_without_coqc_the_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(kernel.shutil, "which", lambda name: None)
    with pytest.raises(RequestError, match="Debian packages coq and libcoq-interval"):
        accepted_by_kernel(tmp_path, CLAIMS, quiet)


def test_a_claim_without_a_theorem_has_a_reason(tmp_path):
    (found,) = write_theorems(tmp_path, [(BY_ID["wang-half-correlation/accuracy"], "proved")])
    assert (found["file"], found["reason"]) == (
        None,
        "it compares two roots, and neither constants nor squares show how",
    )
    assert {path.name for path in tmp_path.iterdir()} == {"Shared.v", "infonce_by_name.v"}


def test_a_polynomial_that_reaches_zero_is_not_shown_to_be_positive():
    x = variable("x")
    domain = domain_of({"x": (constant(0), constant(1))})
    for e, strict, seen in ((x, False, True), (x, True, False), (x + 1, True, True)):
        with nullcontext() if seen else pytest.raises(Unseen):
            domain.shown(plain(e, ["x"])[0], strict)


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo closed", ("closed\n", None)),
        ("echo no >&2; exit 1", ("", "no")),
        ("kill -KILL $$", ("", "coqc does not finish within 120 s")),
    ],
)
def test_the_exit_of_coqc_says_whether_it_accepts_a_file(tmp_path, script, found):
    coqc = tmp_path / "coqc"
    coqc.write_text(f"#!/bin/sh\n{script}\n")
    coqc.chmod(0o700)
    assert kernel._compiled(str(coqc), str(tmp_path), "claim.v") == found


def test_a_record_of_others_is_kept(tmp_path, accepting):
    """The kernel's own record is replaced."""
    path, text = tmp_path / kernel.RECORD, texts()["reliance-law/name"]
    path.write_text('{"mine": 1}')
    with pytest.raises(RequestError, match="was not written by soberclip check --verify --kernel"):
        refused(tmp_path, text)
    assert path.read_text() == '{"mine": 1}'
    path.write_text('{"coq": "8.19.0", "claims": {}}')
    assert refused(tmp_path, text) is None
    assert json.loads(path.read_text())["coq"] == "8.20.1"
