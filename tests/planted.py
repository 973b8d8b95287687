"""Known kinds of fault, planted one at a time in a function of the packages, with the test that
must fail.

`python -m tests.planted [NAME ...]` collects all these tests once, since imports take longer than
the tests, and runs each in a fork. The first seven faults were found in published code on similar
subjects.
"""

import functools
import inspect
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
import pytest
from markupsafe import Markup


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


def _nearer_their_mean(values: np.ndarray, *rest: Any) -> tuple:
    mean = np.mean(values, axis=-1, keepdims=True)
    return mean + (values - mean) / np.sqrt(np.shape(values)[-1]), *rest


def _overlapping(below: dict, above: dict) -> bool:
    ends = (head["interval"]["equivalent_correlation"] for head in (below, above))
    return next(ends)[1] < next(ends)[0]


def _interval_of_bayes(by_bare_name: Callable) -> Callable:
    def wrong(worlds, accuracy):
        found = by_bare_name(worlds, accuracy)
        return found if accuracy.interval is None else replace(found, interval=accuracy.interval)

    return wrong


def _even_beside_a_plain_world(lines: Callable) -> Callable:
    def wrong(preference, b, reach, spacing):
        mean = preference.mean[b][:, None]
        steps = spacing * np.arange(int(2 * reach / spacing) + 2)
        even = np.minimum(np.maximum(mean - reach, 0) + steps, mean + reach)
        return even if preference.plain.any() else lines(preference, b, reach, spacing)

    return wrong


def _shortfall_from_zero(interval: Any) -> Any:
    low, high = interval.ends["shortfall"]
    return replace(interval, ends={**interval.ends, "shortfall": (np.maximum(low, 0.0), high)})


def _without_the_last(inside: np.ndarray) -> np.ndarray:
    return inside * [*np.ones(inside.shape[-1] - 1), 0]


def _lost_as_in_the_last(rows: list, prompt: str, name: str) -> tuple:
    return [{**row, "loss": rows[-1]["loss"]} for row in rows], prompt, name


def _groups_exchanged(document: dict) -> tuple:
    shares = document.get("uncovered_share")
    return (
        {
            **document,
            "uncovered_share": shares and dict(zip(shares, [*shares.values()][::-1], strict=True)),
        },
    )


def _noise_of_two(worlds: Sequence, *rest: Any) -> tuple:
    return [
        world.replace(sigma_xi_text=worlds[k % 2].sigma_xi_text) for k, world in enumerate(worlds)
    ], *rest


def _at_the_usual_level(found: Any) -> Any:
    return found if found.interval is None else type(found).of([*found], 0.95, [*found.interval])


FAULTS = {
    "dropped coordinate": Fault(
        "simulator.gaussian.critic:two_class_scores",
        on_arguments(
            lambda critic, *law: (critic._replace(inside=_without_the_last(critic.inside)), *law)
        ),
        "theory/test_accuracy.py::test_attributes_and_masks_against_the_explicit_critic",
    ),
    "missing absolute value": Fault(
        "theory.claims.relations:Relation.target",
        on_result(lambda limit: (limit[0], limit[1] or 1)),
        "theory/claims/test_claim.py::test_violation_of_every_relation",
    ),
    "n for root n": Fault(
        "experiments.inference:t_bounds",
        on_arguments(_nearer_their_mean),
        "experiments/test_inference.py::test_t_bounds_are_scipys_within_the_support",
    ),
    "mu_spu forgotten in a covariance": Fault(
        "theory.population:two_block_covariance",
        on_arguments(lambda alpha, beta, si2, ss2, D: (alpha, 1.0, si2, ss2, D)),
        "theory/proofs/test_prover.py::"
        "test_a_proof_is_complete_and_passes_the_checker[counter-majority-wrong]",
    ),
    "prompts swapped": Fault(
        "simulator.prompts:caption",
        on_arguments(lambda prompt: ({"name": "mean", "mean": "name"}.get(prompt, prompt),)),
        "simulator/test_mixture.py::test_single_captions_are_means_over_groups",
    ),
    "object chosen by chance in the test law": Fault(
        "simulator.mixture:mixture_of",
        on_result(
            lambda groups: replace(
                groups, test_weights=np.full(len(groups.labels), 1 / len(groups.labels))
            )
        ),
        "simulator/test_mixture.py::test_test_weights_are_the_training_weights_of_the_test_law",
    ),
    "one degree of freedom too many": Fault(
        "simulator.gaussian.statistics:_wishart_like",
        on_arguments(lambda gram, freedom, rng: (gram, freedom + 1, rng)),
        "simulator/gaussian/test_statistics.py::test_projected_law_is_that_of_drawn_pairs",
    ),
    "streams that share numbers": Fault(
        "simulator.streams:numpy_stream",
        on_arguments(lambda seed, name, *index: (seed, name)),
        "simulator/test_streams.py::test_seed_name_and_index_each_select_a_stream",
    ),
    "large counts one too small": Fault(
        "simulator.exact_counts:binomial",
        on_result(lambda counts: counts - (counts > 100)),
        "simulator/test_exact_counts.py::test_large_counts_have_the_binomial_law",
    ),
    "text noise forgotten in a density": Fault(
        "theory.density:_gaussian",
        on_arguments(
            lambda x, t, worlds, b, *multiple: (
                x,
                t,
                worlds.replace(sigma_xi_text=None),
                b,
                *multiple,
            )
        ),
        "theory/test_density.py::test_factorised_density_is_the_mixtures",
    ),
    "sign slip in a printed formula": Fault(
        "theory.published:theorem_62_kappas",
        on_result(lambda kappas: (kappas[0], -kappas[1])),
        "theory/test_published.py::test_theorem_62_as_tabulated",
    ),
    "point estimate taken for a bound": Fault(
        "experiments.court.decision:violation_bounds",
        on_result(
            lambda ends: ends._replace(
                low=(ends.low + ends.high) / 2, high=(ends.low + ends.high) / 2
            )
        ),
        "experiments/court/test_decision.py::test_a_violation_is_as_far_as_its_interval",
    ),
    "worlds drawn from a part of the domain": Fault(
        "experiments.court.quantified:drawn",
        on_result(lambda unit: unit / 2),
        "experiments/court/test_quantified.py::test_a_mean_over_worlds_is_that_of_a_fine_grid",
    ),
    "file written in place": Fault(
        "experiments.files:write_atomically",
        instead(lambda path, write: write(path)),
        "experiments/test_files.py::test_interrupted_write_keeps_the_old_file",
    ),
    "micro mean called macro": Fault(
        "experiments.heads.intervals:group_accuracies",
        on_arguments(lambda counts, mean, *weights: (counts, "macro", *weights)),
        "experiments/heads/test_intervals.py::test_means_are_what_their_names_say",
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
    "an interval of r that is cut at 0 where r is below": Fault(
        "theory.ideal_curve:_interval",
        on_result(_shortfall_from_zero),
        "laws/test_intervals.py::test_a_place_of_few_or_extreme_counts_lies_in_its_interval",
    ),
    "one of the correlations that fit equally well": Fault(
        "theory.ideal_curve:_interval",
        on_arguments(
            lambda fits, shortfall, correlation, *rest: (correlation, shortfall, correlation, *rest)
        ),
        "theory/test_ideal_curve.py::test_correlations_that_fit_equally_well_are_the_interval",
    ),
    "a sample in place of an integral": Fault(
        "theory.learners.base:gap_accuracy",
        on_result(lambda accuracy: accuracy + 3e-6),
        "theory/test_integrator.py::test_rules_by_scores_have_exact_accuracies_on_two_latents",
    ),
    "bare captions left out of a pool": Fault(
        "theory.learners.captions:bare_log_score",
        on_result(lambda scores: 0 * scores),
        "laws/test_meetings.py::test_infonce_pools_the_scores_of_drawn_captions",
    ),
    "line fitted on plain axes": Fault(
        "experiments.effective_robustness:stretch",
        on_arguments(lambda accuracy, axis: (accuracy, "plain")),
        "experiments/test_effective_robustness.py::test_a_straight_line_is_found",
    ),
    "a place needs two groups": Fault(
        "experiments.ground_truth.place:_placed",
        on_arguments(
            lambda world, counts: (world, {name: counts[name] for name in ("common", "counter")})
        ),
        "experiments/ground_truth/test_place.py::"
        "test_a_table_whose_images_have_one_group_has_a_place",
    ),
    "a drop without an ideal one is beyond it": Fault(
        "experiments.ground_truth.place:_placed",
        on_result(lambda found: replace(found, beyond=True)),
        "experiments/ground_truth/test_place.py::test_without_a_background_p_is_not_determined",
    ),
    "drops of groups by position": Fault(
        "experiments.ground_truth.place:_placed",
        on_result(
            lambda found: replace(found, beyond=found.beyond or np.isnan(found.accuracy.drop))
        ),
        "experiments/ground_truth/test_place.py::"
        "test_a_drop_between_common_and_unseen_images_is_compared_with_theirs",
    ),
    "standard deviation for standard error": Fault(
        "experiments.ground_truth.export:_loss",
        on_result(lambda loss: (loss[0], 4 * loss[1])),
        "experiments/ground_truth/test_export.py::"
        "test_the_error_of_the_loss_is_the_scatter_between_exports",
    ),
    "a short shard counts as a whole one": Fault(
        "experiments.ground_truth.export:_test_rows",
        on_result(lambda shard: (shard[0], shard[1] * 100 / len(shard[0]))),
        "experiments/ground_truth/test_export.py::"
        "test_every_test_image_counts_once_in_the_fraction_of_clipped_values",
    ),
    "a projection onto every dimension that leaves rounding, which decides": Fault(
        "experiments.heads.fitting:_erased",
        on_result(lambda head: head._replace(weights=head.weights + 1e-17)),
        "experiments/heads/test_fitting.py::test_fixes_of_the_prompts_are_what_they_are_called",
    ),
    "rules of a law without spread": Fault(
        "experiments.heads.gaussian_law:bayes_rules",
        on_arguments(
            lambda law, at: (
                law._replace(covariance=law.covariance + 1e-10 * np.eye(len(law.covariance))),
                at,
            )
        ),
        "experiments/heads/test_reliance.py::"
        "test_embeddings_without_spread_are_refused_in_a_sentence",
    ),
    "unresolved models ranked": Fault(
        "experiments.heads.least_regret:ranked",
        on_result(lambda found: {**found, "ranking": found["ranking"] + found["unresolved"]}),
        "experiments/photos/test_robustness.py::test_models_are_compared_by_p",
    ),
    "models compared as if on other photos": Fault(
        "experiments.heads.least_regret:_apart",
        instead(_overlapping),
        "experiments/photos/test_robustness.py::"
        "test_models_on_the_same_photos_are_told_apart_by_replicates",
    ),
    "replicates of half the photos": Fault(
        "experiments.heads.least_regret:trade",
        on_result(lambda found: (*found[:3], 2 * found[3])),
        "experiments/heads/test_reliance.py::test_replicates_have_the_errors_of_the_interval",
    ),
    "few classes taken for a sample": Fault(
        "experiments.heads.intervals:over_photos",
        on_result(lambda ends: tuple((low - 0.1, high + 0.1) for low, high in ends)),
        "experiments/heads/test_intervals.py::test_few_classes_have_intervals_over_photos",
    ),
    "a bootstrap over photos with too little spread": Fault(
        "experiments.heads.intervals:drawn_over_photos",
        on_result(lambda drawn: drawn.mean(axis=0) + (drawn - drawn.mean(axis=0)) / np.sqrt(2)),
        "experiments/heads/test_least_regret.py::"
        "test_a_bootstrap_over_photos_has_the_errors_of_counts",
    ),
    "common photos decide first": Fault(
        "experiments.photos.deciding:chosen",
        on_result(sorted),
        "experiments/photos/test_deciding.py::"
        "test_photos_of_every_class_in_turn_and_the_surest_first",
    ),
    "unseen accuracy over photos": Fault(
        "experiments.heads.reliance:_unseen",
        instead(
            lambda label, right: (
                {"accuracy": float(right.mean()), "interval": [0, 1]} if len(right) else None
            )
        ),
        "experiments/heads/test_reliance.py::test_unseen_accuracy_is_a_mean_over_classes",
    ),
    "a family by methods": Fault(
        "experiments.photos.models:load",
        on_result(lambda model: replace(model, family="CLIP" if model.embeds_text else "ImageNet")),
        "experiments/photos/test_models.py::test_a_model_of_ones_own_is_a_file",
    ),
    "a silent hub waited for": Fault(
        "experiments.photos.model:answers",
        instead(lambda url: True),
        "experiments/photos/test_models.py::test_a_hub_that_does_not_answer_is_not_waited_for",
    ),
    "residuals with n degrees of freedom": Fault(
        "experiments.heads.caption_detail:_freedom",
        instead(lambda cell: len(cell)),
        "experiments/heads/test_caption_detail.py::test_too_few_pairs_are_refused",
    ),
    "a decorator's file for a class's": Fault(
        "experiments.provenance:_parts",
        on_result(lambda parts: parts[:1]),
        "laws/test_identity.py::test_users_code_is_all_that_it_is_made_of[class]",
    ),
    "a picture without the learner of a user's file": Fault(
        "experiments.page.plot.boundary:study_of",
        on_arguments(lambda dataset, own=(): (dataset,)),
        "experiments/test_user_code.py::test_a_line_is_that_of_the_learner_of_the_study",
    ),
    "one's own quantity by its name": Fault(
        "theory.proofs.identity:_Form._quantity",
        instead(lambda self, quantity: quantity.name),
        "laws/test_identity.py::test_users_code_is_all_that_it_is_made_of[quantity]",
    ),
    "even lines for all worlds of a grid if one is plain": Fault(
        "theory.learners.contour:_lines",
        _even_beside_a_plain_world,
        "theory/learners/test_infonce.py::"
        "test_a_masked_world_beside_a_plain_one_keeps_its_narrow_lines",
    ),
    "caption noise of the first chunk": Fault(
        "simulator.gaussian.pairs:draw_block",
        on_arguments(_noise_of_two),
        "laws/test_grids.py::test_worlds_of_an_ensemble",
    ),
    "a grid is refused where all its worlds are": Fault(
        "simulator.prompts:check_told",
        on_arguments(lambda prompt, bare: (prompt, np.min(bare))),
        "laws/test_grids.py::test_functions",
    ),
    "the interval of another learner": Fault(
        "theory.learners.infonce:_by_bare_name",
        _interval_of_bayes,
        "theory/learners/test_captions.py::"
        "test_a_bare_name_without_an_object_is_chance_without_an_error",
    ),
    "an interval of the usual level": Fault(
        "simulator.accuracy:Accuracy.each",
        on_result(_at_the_usual_level),
        "theory/test_ideal_curve.py::test_the_interval_holds_every_place_within_the_rectangle",
    ),
    "the exact law of a training that begins elsewhere": Fault(
        "theory.learners.linear:LinearCLIP.strength",
        on_arguments(lambda self, values: (replace(self, start=type(self).start), values)),
        "laws/test_meetings.py::test_linear_rules_are_those_of_the_modes",
    ),
    "a model that diverged loses its earlier rows": Fault(
        "experiments.lab.history:_numbers",
        on_arguments(_lost_as_in_the_last),
        "laws/test_grids.py::test_a_row_of_a_history_is_that_row_alone",
    ),
    "a field of the world without effect": Fault(
        "simulator.gaussian.pairs:mismatched",
        instead(lambda captions, another, worlds, source: captions),
        "laws/test_meetings.py::test_every_field_changes_what_is_drawn",
    ),
    "a mitigation of one's own is its name alone": Fault(
        "experiments.lab.mitigations:identity",
        instead(lambda name: None),
        "experiments/lab/test_store.py::"
        "test_a_changed_learner_or_mitigation_of_ones_own_is_refused",
    ),
    "an interval of a sampled theory is lost": Fault(
        "experiments.lab.run:finished",
        on_arguments(
            lambda table, blocks: (
                table,
                [(at, {*own} - {"common_low"}, why) for at, own, why in blocks],
            )
        ),
        "experiments/lab/test_studies.py::test_a_theory_has_intervals_if_any_number_is_sampled",
    ),
    "all worlds of a group are the first": Fault(
        "experiments.lab.grid:Grid._worlds",
        on_arguments(
            lambda study, values: (
                study,
                {name: np.ravel(own)[0].item() for name, own in values.items()},
            )
        ),
        "experiments/lab/test_blocks.py::test_every_cell_of_the_theory_is_the_one_world_call",
    ),
    "a mitigation gets many numbers of classes": Fault(
        "experiments.lab.grid:Grid.settings",
        on_arguments(lambda study, names: (study, {*names} - {"mitigation", "classes"})),
        "experiments/lab/test_studies.py::"
        "test_a_mitigation_that_depends_on_the_number_of_classes_has_a_law_for_each",
    ),
    "an option that only shipped learners have": Fault(
        "experiments.finite_samples:_drawn_linear",
        on_arguments(lambda world, learner, *rest: (world, (learner, learner.projected)[0], *rest)),
        "experiments/test_user_code.py::"
        "test_a_learner_that_reads_captions_is_fitted_to_drawn_pairs",
    ),
    "a price for the pairs of an exact law": Fault(
        "experiments.court.budget:price",
        on_arguments(lambda route, n: (route.replace("exact law", "drawn pairs"), n)),
        "experiments/court/test_budget.py::test_an_exact_law_of_many_pairs_draws_none",
    ),
    "every look at the whole tail": Fault(
        "experiments.court.measured:measured",
        on_arguments(lambda arms, draws, *tail_and_share: (arms, draws, *tail_and_share[:1])),
        "experiments/court/test_measured.py::test_a_measurement_ends_where_its_bounds_decide",
    ),
    "looks that share a stream": Fault(
        "experiments.court.measured:derived",
        on_arguments(lambda seed, purpose: (seed, purpose.partition("/")[0])),
        "experiments/court/test_measured.py::test_a_measurement_ends_where_its_bounds_decide",
    ),
    "equal sets taken for certain": Fault(
        "experiments.court.measured:even_sample",
        on_result(lambda sample: replace(sample, least=0.0)),
        "experiments/court/test_measured.py::"
        "test_equal_sets_of_even_images_do_not_show_their_mean_exactly",
    ),
    "a caption without weight has a unit row in wide towers": Fault(
        "theory.unit_prompts:rows_without_weight",
        on_arguments(lambda *given: (*given[:-1], False)),
        "theory/test_unit_embeddings.py::"
        "test_a_caption_without_weight_has_the_row_that_it_has_as_a_node",
    ),
    "a minimum at the last step taken for settled": Fault(
        "theory.unit_embeddings:trained",
        on_result(lambda ends: ends[-1:]),
        "theory/test_unit_embeddings.py::"
        "test_a_minimum_that_has_not_settled_comes_with_the_rows_before",
    ),
    "the law without limits at every scale": Fault(
        "theory.unit_prompts:reaches",
        instead(lambda *_: True),
        "theory/test_unit_embeddings.py::"
        "test_where_all_scores_are_within_reach_the_law_holds_as_it_is",
    ),
    "an image's own caption among SigLIP's negatives": Fault(
        "theory.unit_embeddings:siglip",
        on_arguments(lambda bias=None, batch=None: (bias, batch and batch + 1)),
        "theory/test_unit_embeddings.py::"
        "test_siglip_is_a_sum_of_log_sigmoids_at_a_fixed_bias_and_at_the_best_one",
    ),
    "an object always shown beside a table": Fault(
        "experiments.court.arms:rarest",
        on_arguments(
            lambda worlds: (worlds if worlds.table is None else worlds.replace(p_inv=1.0),)
        ),
        "laws/test_meetings.py::test_the_rarest_kind_is_seen_whatever_it_is",
    ),
    "groups exchanged in a sentence": Fault(
        "experiments.command.synthetic:_below",
        on_arguments(_groups_exchanged),
        "laws/test_screens.py::test_each_number_stands_beside_its_words",
    ),
    "a title that is not escaped": Fault(
        "experiments.table:html",
        on_arguments(lambda table: (table._replace(title=Markup(table.title)),)),
        "laws/test_screens.py::test_every_text_of_a_table_is_escaped",
    ),
    "tables decided at another tolerance": Fault(
        "experiments.published.claims:decide",
        on_arguments(lambda interval, relation, tau: (interval, relation, 0.005)),
        "experiments/published/test_claims.py::"
        "test_a_verdict_decides_at_the_tolerance_that_it_reports",
    ),
}


def plant(fault: Fault) -> None:
    """Replace the function's code, so that all who have imported it run the faulty one."""
    module, _, path = fault.function.partition(":")
    function = inspect.unwrap(functools.reduce(getattr, path.split("."), import_module(module)))
    parts = ("code", "globals", "name", "defaults", "closure")
    right = FunctionType(*(getattr(function, f"__{part}__") for part in parts))
    functools.update_wrapper(right, function).__kwdefaults__ = function.__kwdefaults__
    function.__globals__["_wrong"], function.__signature__ = (
        fault.wrong(right),
        inspect.signature(right),
    )
    function.__code__ = (lambda *args, **kwargs: _wrong(*args, **kwargs)).__code__  # noqa: F821
    function.__defaults__ = function.__kwdefaults__ = None


class Planting:
    """A pytest plugin that plants each fault in a fork of its own, and runs the fault's test
    there.
    """

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.missed = list[str]()
        self.failed = list[str]()

    def pytest_configure(self) -> None:
        # pytest rewrites its assertions, before which it must not be imported
        from hypothesis import Phase, settings

        suite = settings.get_profile("suite")
        # any example will do
        settings.register_profile("planted", suite, phases=(Phase.explicit, Phase.generate))
        settings.load_profile("planted")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed += [report.when] * report.failed  # "setup", "call" or "teardown"

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for name in self.names:
            process = multiprocessing.get_context("fork").Process(
                target=self.run, args=(FAULTS[name], session.items)
            )
            process.start()
            process.join()
            self.missed += [name] * (process.exitcode != 0)
        return True

    def run(self, fault: Fault, items: list[pytest.Item]) -> None:
        """Exit with 0 if the fault fails its test, not its set-up."""
        plant(fault)
        mine = [
            item
            for item in items
            if f"tests/{fault.test}" in (item.nodeid, item.nodeid.partition("[")[0])
        ]
        for item, following in zip(mine, [*mine[1:], None], strict=True):
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                break
        sys.exit(self.failed != ["call"])


def main(names: list[str]) -> list[str]:
    """The faults that were not caught."""
    planting = Planting(names or [*FAULTS])
    folder = Path(__file__).parent
    tests = sorted({str(folder / FAULTS[name].test) for name in planting.names})
    pytest.main(
        ["-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider", *tests],
        plugins=[planting],
    )
    return planting.missed


if __name__ == "__main__":
    sys.exit(f"not caught: {missed}" if (missed := main(sys.argv[1:])) else 0)
