"""Known kinds of fault, planted one at a time in a function of the packages, with the test that must fail.

`python -m tests.planted [NAME ...]` runs each in a fork of one process, since imports take longer than the tests. A
function is replaced before another module imports it, so that `from module import function` finds the faulty one. The
first seven faults were found in published code on similar subjects.
"""

import functools
import multiprocessing
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

# Imported before the forks, since all tests need them; no pytest plugins, whose assertions are rewritten on import.
LIBRARIES = ("torch", "scipy.stats", "matplotlib.pyplot", "xarray", "pydantic", "cyclopts")


class Fault(NamedTuple):
    """`function` (module:name) is replaced by `wrong(function)`; `test` must fail."""

    function: str
    wrong: Callable[[Callable], Callable]
    test: str


def on_result(change: Callable[[Any], Any]) -> Callable[[Callable], Callable]:
    """A fault that changes what the function returns."""

    def wrong(function: Callable) -> Callable:
        return functools.wraps(function)(lambda *args, **kwargs: change(function(*args, **kwargs)))

    return wrong


def on_arguments(change: Callable[..., tuple]) -> Callable[[Callable], Callable]:
    """A fault that changes the positional arguments."""

    def wrong(function: Callable) -> Callable:
        return functools.wraps(function)(lambda *args, **kwargs: function(*change(*args), **kwargs))

    return wrong


def instead(other: Callable) -> Callable[[Callable], Callable]:
    """A fault that replaces the function."""
    return lambda function: functools.wraps(function)(other)


def _spread_of_single_values(t_bounds: Callable) -> Callable:
    """n in place of root n."""

    def wrong(values, tail):
        low, high = t_bounds(values, tail)
        middle, n = (low + high) / 2, np.shape(values)[-1]
        return type(t_bounds(values, tail))(middle + (low - middle) / np.sqrt(n), middle + (high - middle) / np.sqrt(n))

    return wrong


def _signed_violation(violation: Callable) -> Callable:
    """A missing absolute value."""

    def wrong(self, value, worlds):
        return value - self.prediction(worlds) if self.relation.name == "=" else violation(self, value, worlds)

    return wrong


def _in_place(write_atomically: Callable) -> Callable:
    return lambda path, write: write(path)


def _dropped_coordinate(two_class_scores: Callable) -> Callable:
    def wrong(critic, mixture, nu):
        inside = critic.inside.copy()
        inside[..., -1] = 0
        return two_class_scores(critic._replace(inside=inside), mixture, nu)

    return wrong


def _same_index(numpy_stream: Callable) -> Callable:
    return lambda seed, name, index=0: numpy_stream(seed, name)


def _point_estimate(violation_bounds: Callable) -> Callable:
    def wrong(*args, **kwargs):
        low, high = violation_bounds(*args, **kwargs)
        return type(violation_bounds(*args, **kwargs))((low + high) / 2, (low + high) / 2)

    return wrong


def _macro(group_accuracies: Callable) -> Callable:
    return lambda counts, mean, weights=None: group_accuracies(counts, "macro", weights)


FAULTS = {
    "dropped coordinate": Fault(
        "simulator.gaussian.critic:two_class_scores",
        _dropped_coordinate,
        "simulator/gaussian/test_critic.py::test_two_classes_against_a_grid_of_quantiles",
    ),
    "missing absolute value": Fault(
        "theory.claims.claim:Claim.violation",
        _signed_violation,
        "theory/claims/test_claim.py::test_violation_of_every_relation",
    ),
    "n for root n": Fault(
        "experiments.inference:t_bounds",
        _spread_of_single_values,
        "experiments/test_inference.py::test_t_bounds_are_scipys",
    ),
    "mu_spu forgotten in a covariance": Fault(
        "theory.population:two_block_covariance",
        on_arguments(lambda alpha, beta, si2, ss2, D: (alpha, 1.0, si2, ss2, D)),
        "theory/proofs/test_prover.py::test_a_proof_is_complete_and_passes_the_checker",
    ),
    "prompts swapped": Fault(
        "simulator.prompts:caption",
        on_arguments(lambda prompt: ({"name": "mean", "mean": "name"}.get(prompt, prompt),)),
        "simulator/test_prompts.py::test_single_captions_are_means_over_groups",
    ),
    "object chosen by chance in the test law": Fault(
        "simulator.mixture:mixture_of",
        on_result(lambda groups: replace(groups, test_weights=np.full(len(groups.labels), 1 / len(groups.labels)))),
        "simulator/test_mixture.py::test_test_weights_are_the_training_weights_of_the_test_law",
    ),
    "one degree of freedom too many": Fault(
        "simulator.gaussian.statistics:_wishart_like",
        on_arguments(lambda gram, freedom, rng: (gram, freedom + 1, rng)),
        "simulator/gaussian/test_statistics.py::test_projected_law_is_that_of_drawn_pairs",
    ),
    "streams that share numbers": Fault(
        "simulator.streams:numpy_stream",
        _same_index,
        "simulator/test_streams.py::test_seed_name_and_index_each_select_a_stream",
    ),
    "large counts one too small": Fault(
        "simulator.exact_counts:binomial",
        on_result(lambda counts: counts - (counts > 100)),
        "simulator/test_exact_counts.py::test_large_counts_have_the_binomial_law",
    ),
    "text noise forgotten in a density": Fault(
        "theory.density:_gaussian",
        on_arguments(lambda x, t, worlds, b, *multiple: (x, t, worlds.replace(sigma_xi_text=None), b, *multiple)),
        "theory/test_density.py::test_factorised_density_is_the_mixtures",
    ),
    "sign slip in a printed formula": Fault(
        "theory.published:theorem_62_kappas",
        on_result(lambda kappas: (kappas[0], -kappas[1])),
        "theory/test_published.py::test_theorem_62_as_tabulated",
    ),
    "point estimate taken for a bound": Fault(
        "experiments.court.decision:violation_bounds",
        _point_estimate,
        "experiments/court/test_decision.py::test_the_violation_of_the_mean_lies_between_its_bounds",
    ),
    "worlds drawn from a part of the domain": Fault(
        "experiments.court.quantified:drawn",
        on_result(lambda unit: unit / 2),
        "experiments/court/test_quantified.py::test_a_mean_over_worlds_is_that_of_a_fine_grid",
    ),
    "file written in place": Fault(
        "experiments.files:write_atomically",
        _in_place,
        "experiments/test_files.py::test_interrupted_write_keeps_the_old_file",
    ),
    "micro mean called macro": Fault(
        "experiments.counteranimal.metrics:group_accuracies",
        _macro,
        "experiments/counteranimal/test_metrics.py::test_means_are_what_their_names_say",
    ),
    "bounds rounded to nearest": Fault(
        "theory.proofs.intervals:up",
        instead(lambda x: x),
        "theory/proofs/test_intervals.py::test_arithmetic_encloses_the_exact_result",
    ),
    "any boxes taken for a cover": Fault(
        "theory.proofs.checker:halves",
        on_result(lambda ends: (ends[0], np.minimum(ends[1], 0.75))),
        "theory/proofs/test_checker.py::test_a_tree_is_checked_box_by_box",
    ),
    "a price for the pairs of an exact law": Fault(
        "experiments.court.budget:price",
        on_arguments(lambda route, n: (route.replace("exact law", "drawn pairs"), n)),
        "experiments/court/test_budget.py::test_an_exact_law_of_many_pairs_draws_none",
    ),
    "equal sets taken for certain": Fault(
        "experiments.court.measured:even_sample",
        on_result(lambda sample: replace(sample, least=0.0)),
        "experiments/court/test_measured.py::test_equal_sets_of_even_images_do_not_show_their_mean_exactly",
    ),
    "an object always shown beside a table": Fault(
        "experiments.court.arms:rarest",
        on_arguments(lambda worlds: (worlds if worlds.table is None else worlds.replace(p_inv=1.0),)),
        "experiments/court/test_domain.py::test_rarest_kind",
    ),
    "tables decided at another tolerance": Fault(
        "experiments.published.claims:decide",
        on_arguments(lambda interval, relation, tau: (interval, relation, 0.005)),
        "experiments/published/test_claims.py::test_a_verdict_decides_at_the_tolerance_that_it_reports",
    ),
    "line fitted on plain axes": Fault(
        "experiments.effective_robustness:stretch",
        on_arguments(lambda accuracy, axis: (accuracy, "plain")),
        "experiments/test_effective_robustness.py::test_a_straight_line_is_found",
    ),
}


class Planted:
    """A pytest plugin with a fault; keeps the phases that failed: "setup", "call" or "teardown"."""

    def __init__(self, fault: Fault) -> None:
        self.fault, self.failed = fault, list[str]()

    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings  # pytest rewrites its assertions, before which it must not be imported

        suite = settings.get_profile("suite")
        settings.register_profile("planted", suite, phases=(Phase.explicit, Phase.generate))  # any example will do
        settings.load_profile("planted")
        module, _, path = self.fault.function.partition(":")
        *owners, name = path.split(".")
        owner = functools.reduce(getattr, owners, import_module(module))
        setattr(owner, name, self.fault.wrong(getattr(owner, name)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed += [report.when] * report.failed


def run(fault: Fault) -> None:
    """Exit with 0 if the fault fails its test, not its collection or set-up."""
    planted, test = Planted(fault), Path(__file__).parent / fault.test
    options = ["-o", "addopts=--import-mode=importlib", "-x", "-p", "no:cacheprovider", str(test)]
    status = pytest.main(options, plugins=[planted])
    sys.exit(not (status == pytest.ExitCode.TESTS_FAILED and planted.failed == ["call"]))


def main(names: list[str]) -> list[str]:
    """The faults that were not caught."""
    for library in LIBRARIES:
        import_module(library)
    missed = []
    for name in names or FAULTS:
        process = multiprocessing.get_context("fork").Process(target=run, args=(FAULTS[name],))
        process.start()
        process.join()
        missed += [name] * (process.exitcode != 0)
    return missed


if __name__ == "__main__":
    sys.exit(f"not caught: {missed}" if (missed := main(sys.argv[1:])) else 0)
