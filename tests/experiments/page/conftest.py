"""Fixtures: a verdict, its page, and one browser for all tests, which skip without a browser."""

from dataclasses import replace

import pytest
from browsers import FLAGS, chromium

from experiments.court.trial import judge
from experiments.page.report import render
from theory.docket.catalogue import CLAIMS

PROVEN = {
    "outcome": "proved",
    "reason": (
        "the closed form is proved over the whole domain to within tau by bounds on 1234 boxes that"
        " fill it"
    ),
    "exact": False,
    "boxes": 1234,
    "bounded": 2467,
    "counterexample": None,
    "least_violation": None,
    "seconds": 0.25,
    "check_seconds": 1.5,
}
REFUTED = PROVEN | {
    "outcome": "refuted",
    "reason": "certainly",
    "boxes": 0,
    "counterexample": {"p_spu": 0.5},
}


@pytest.fixture(scope="session")
def verdict():
    claim = next(c for c in CLAIMS if c.id == "xue-data-model-1/counter")
    return replace(judge(claim, quick=True), meaning="Train on other data.")


def page_of(sections, verdicts, **given):
    """The page of these sections and verdicts."""
    usual = {"provenance": {"python": "3"}, "proofs": "proofs", "seed": 0, "seconds": 1}
    return render(sections=sections, verdicts=verdicts, **(usual | given))


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    if chromium() is None:
        pytest.skip("no Chromium here that playwright could drive")
    from playwright.sync_api import sync_playwright

    with (
        sync_playwright() as p,
        p.chromium.launch(executable_path=chromium(), args=FLAGS) as running,
    ):
        yield running
