"""Tests are tested: known kinds of fault, planted one at a time in a copy of the sources, must turn a test red.

The first seven are the faults that were found in published code nearest to ours in subject: a dropped coordinate, a
missing absolute value, n for root n, a wrong gradient, an ignored scale, a forgotten mu_spu, swapped prompts.
"""

import shutil
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from reruns import Reruns

ROOT = Path(__file__).parent.parent


class Fault(NamedTuple):
    """Replace `old` by `new` once in a file; `test` is the one that must notice."""

    file: str
    old: str
    new: str
    test: str


FAULTS = {
    "hyperparameters chosen by the test": Fault(
        "experiments/lab/finetuning/run.py",
        'trials.trial(self.world, "validation", self.asked.seed)',
        'trials.trial(self.world, "test", self.asked.seed)',
        "experiments/lab/finetuning/test_run.py::test_no_test_label_is_read_for_the_choice",
    ),
    "the last weights tested, not the best": Fault(
        "experiments/lab/finetuning/run.py",
        """if choose([*(r["validation"] for r in rows), row["validation"]]) == len(rows):""",
        "if row is not None:",
        "experiments/lab/finetuning/test_run.py::test_a_run_that_was_cut_short_goes_on_to_the_same_numbers",
    ),
    "a grid that goes on from the last point's weights": Fault(
        "experiments/lab/finetuning/run.py",
        "        tuning.restore(self.model, None, self.untouched)  # a head is new for every training\n",
        "",
        "experiments/lab/finetuning/test_run.py::test_a_run_that_was_cut_short_goes_on_to_the_same_numbers",
    ),
    "the pretrained temperature left out of the head": Fault(
        "simulator/towers/finetuning.py",
        "losses.supervised(head(scale * I)[None]",
        "losses.supervised(head(I)[None]",
        "simulator/towers/test_finetuning.py::test_a_heads_loss_is_plain_cross_entropy",
    ),
    "captions that mention every background": Fault(
        "simulator/towers/finetuning.py",
        "torch.where(picked.mentioned[:, b], code, K)",
        "code",
        "simulator/towers/test_finetuning.py::test_pairs_are_the_worlds_and_captions_say_what_they_mention",
    ),
    "a law's means taken for the true ones": Fault(
        "experiments/counteranimal/gaussian.py",
        "np.sqrt(1 - law.error)",
        "np.sqrt(1 - 0 * law.error)",
        "experiments/counteranimal/test_gaussian.py::test_an_uncertain_mean_leaves_the_expectation_right",
    ),
    "a sequence of points read on from wherever it stands": Fault(
        "simulator/gaussian/nets.py",
        "if sequence.num_generated != first:",
        "if False:",
        "simulator/gaussian/test_nets.py::test_a_point_is_the_same_in_whatever_order_and_by_whomever_it_is_read",
    ),
    "two numbers of a pair on one coordinate": Fault(
        "simulator/gaussian/nets.py",
        "slice(end - count, end)",
        "slice(max(0, end - count - 1), end)",
        "simulator/gaussian/test_nets.py::test_every_field_has_coordinates_of_its_own",
    ),
    "a batch of points in their sequence's own order": Fault(
        "simulator/gaussian/nets.py",
        "return rng.permutation(",
        "return np.asarray(",
        "simulator/gaussian/test_nets.py::test_a_small_batch_is_no_net",
    ),
    "noise along a dictionary on top of what lies there already": Fault(
        "simulator/gaussian/nets.py",
        "(eta - zeta @ D)",
        "eta",
        "simulator/gaussian/test_nets.py::test_a_views_noise_is_the_points_along_its_dictionary_and_independent_across",
    ),
    "rows drawn with replacement as good as weights": Fault(
        "simulator/samplers.py",
        "squares + 1 / passes",
        "squares",
        "simulator/test_samplers.py::TestLaw::test_effective_pairs_are_those_of_a_mean",
    ),
    "a gap to a twin that is the run itself": Fault(
        "experiments/lab/train.py",
        "ensemble._replace(recipe=recipe)",
        "ensemble",
        "experiments/lab/test_gap.py::test_gaps_are_taken_to_twins_trained_for_them",
    ),
    "an end judged at a checkpoint's rough points": Fault(
        "experiments/lab/train.py",
        "fine=until is not None",
        "fine=False",
        "experiments/lab/test_gap.py::test_until_is_judged_at_the_points_of_the_result",
    ),
    "groups that are weighed by losses and have no pair": Fault(
        "simulator/towers/training.py",
        "    if recipe.objective.raised:",
        "    if False:",
        "simulator/towers/test_group_dro.py::test_groups_without_a_pair_are_refused_before_any_work",
    ),
    "points moved out of their cells": Fault(
        "simulator/gaussian/nets.py",
        "within / LONGEST",
        "within / size",
        "simulator/gaussian/test_nets.py::test_any_block_is_a_net",
    ),
    "objects on both sides of a law's split": Fault(
        "experiments/counteranimal/gaussian.py",
        "objects = len(np.unique(photos.cluster)) < len(photos.cluster)",
        "objects = False",
        "experiments/counteranimal/test_gaussian.py::test_halves_are_strata_and_keep_objects_whole",
    ),
    "a law's errors without their noise taken out": Fault(
        "experiments/counteranimal/fidelity.py",
        "mean, spread = v.sum() + true,",
        "mean, spread = true + 1e-12,",
        "experiments/counteranimal/test_fidelity.py::test_bounds_of_squares_cover",
    ),
    "a law with backgrounds of each class's own": Fault(
        "experiments/counteranimal/gaussian.py",
        "np.eye(len(cells)) if own_effects else",
        "np.eye(len(cells)) if True else",
        "experiments/counteranimal/test_gaussian.py::test_the_fit_is_least_squares",
    ),
    "the GRIM test's halves rounded one way": Fault(
        "experiments/published/grim.py",
        "    possible[-((n - twice) // (2 * n))] = True  # and down\n",
        "",
        "experiments/published/test_grim.py::test_shares_against_every_number_of_right_answers",
    ),
    "what others printed in a family's line": Fault(
        "experiments/counteranimal/comparison.py",
        "rows = [result.row for result in results if result.comparable]",
        "rows = [result.row for result in results]",
        "experiments/published/test_since.py::test_they_move_no_line_and_are_measured_against_none",
    ),
    "pairs of models in another mean than their rows": Fault(
        "experiments/counteranimal/pairs.py",
        "**paired(a.classes, b.classes, seed, mean=mean)",
        "**paired(a.classes, b.classes, seed)",
        "experiments/counteranimal/test_pairs.py::test_pairs_follow_the_mean_of_the_rows",
    ),
    "objects paired by name across classes": Fault(
        "experiments/counteranimal/pairs.py",
        "zip(o.class_index.tolist(), o.name, strict=True)",
        "zip(o.name, strict=True)",
        "experiments/counteranimal/test_pairs.py::test_objects_are_paired_by_class_and_name",
    ),
    "names over names": Fault(
        "experiments/counteranimal/placing.py",
        "np.vstack([marks, taken])",
        "marks",
        "experiments/counteranimal/test_placing.py::test_sixty_points_on_a_line_keep_their_names_apart",
    ),
    "models at 0 or 1 dropped from the figure": Fault(
        "experiments/counteranimal/plot.py",
        "    for inside in (True, False):",
        "    for inside in (True,):",
        "experiments/counteranimal/test_compared.py::test_accuracies_of_0_and_1_are_drawn_on_the_edge",
    ),
    "average of weights whose start counts": Fault(
        "simulator/towers/optimisers.py",
        "weight = (eta + 1) / (eta + count.double())",
        "weight = (eta + 1) / (eta + 1 + count.double())",
        "simulator/towers/test_optimisers.py::test_an_average_is_the_weighted_mean_of_all_iterates",
    ),
    "SOAP's step left in turned coordinates": Fault(
        "simulator/towers/optimisers.py",
        "turned(step, {side: Q.mT for side, Q in axes.items()})",
        "step",
        "simulator/towers/test_optimisers.py::test_soap_equals_the_algorithm_of_its_paper",
    ),
    "diverged models left out of a verdict": Fault(
        "experiments/court/trained.py",
        'values = [far if k in lost else value for k, value in enumerate(row["models"])]',
        'values = [value for k, value in enumerate(row["models"]) if k not in lost]',
        "experiments/court/test_trained.py::test_a_model_that_diverged_counts_against_the_claim",
    ),
    "dropped coordinate": Fault(
        "simulator/gaussian/critic.py",
        "(u**2) @ mixture.variances +",
        "(u[:, :-1] ** 2) @ mixture.variances[:-1] +",
        "simulator/gaussian/test_critic.py::test_two_classes_against_a_grid_of_quantiles",
    ),
    "missing absolute value": Fault(
        "theory/claims/claim.py",
        "return np.abs(value - b)",
        "return value - b",
        "theory/claims/test_claim.py::test_violation_of_every_relation",
    ),
    "n for root n": Fault(
        "experiments/inference.py",
        "np.std(values, axis=-1, ddof=1) / np.sqrt(R)",
        "np.std(values, axis=-1, ddof=1) / R",
        "experiments/test_inference.py::test_t_bounds_are_scipys",
    ),
    "wrong gradient": Fault(
        "simulator/gaussian/supervised.py",
        "gradient = -((weights * wrong) @ signed) / n",
        "gradient = -((weights * (1 - wrong)) @ signed) / n",
        "simulator/gaussian/test_supervised_fit.py::test_logistic_regression_has_no_gradient_left",
    ),
    "ignored scale": Fault(
        "simulator/gaussian/pairs.py",
        "law.scale[:, None, :, None] * noise",
        "noise",
        "simulator/gaussian/test_pairs.py::test_moments_are_those_of_the_mixture",
    ),
    "mu_spu forgotten in a mean": Fault(
        "theory/population.py",
        "mu_D = worlds.mean * worlds.correlation",
        "mu_D = worlds.mean[..., :1] * worlds.correlation",
        "theory/test_population.py::test_block_covariance_is_the_mixtures_on_class_differences",
    ),
    "prompts swapped": Fault(
        "simulator/prompts.py",
        '"its mean caption", _MEAN',
        '"its mean caption", _NAME',
        "simulator/test_prompts.py::test_single_captions_are_means_over_groups",
    ),
    "mu_spu forgotten in the fast path": Fault(
        "theory/population.py",
        "return alpha * alpha + si2, alpha * beta * D, beta",
        "return alpha * alpha + si2, alpha * D, beta",
        "theory/test_accuracy.py::test_known_answers",
    ),
    "dictionary taken for the first coordinates": Fault(
        "simulator/gaussian/critic.py",
        "inside = w @ frame\n        beyond = w - inside @ frame.T",
        "inside = w[..., : frame.shape[1]]\n        beyond = w * (np.arange(w.shape[-1]) >= frame.shape[1])",
        "simulator/gaussian/test_fit.py::test_closed_form_clip_on_many_pairs_is_the_populations",
    ),
    "prompts averaged before normalising": Fault(
        "simulator/towers/evaluation.py",
        "return each.mean(2) if",
        "return scored(recipe, embed(recipe, parameters, 'text', texts.mean(2))) if",
        "simulator/towers/test_captions.py::test_pooled_scores_are_those_of_the_definition",
    ),
    "prompts of another dictionary": Fault(
        "simulator/gaussian/statistics.py",
        "prompts = q @ frames[1].T",
        "prompts = q @ np.eye(len(q.T), len(frames[1]))",
        "simulator/gaussian/test_fit.py::test_closed_form_clip_on_many_pairs_is_the_populations",
    ),
    "fraction of a pair": Fault(
        "simulator/quantities.py",
        "if not isinstance(value, Integral) or isinstance(value, bool):",
        "if value != value:",
        "simulator/gaussian/test_fit.py::test_a_notebook_without_the_shape_checker",
    ),
    "covariance with divisor n": Fault(
        "simulator/gaussian/fit.py",
        "(texts - texts.mean(axis=0)) / (n - 1)",
        "(texts - texts.mean(axis=0)) / n",
        "simulator/gaussian/test_fit.py::test_the_covariance_of_weighted_pairs_by_its_sums",
    ),
    "parameter renamed, not in its docstring": Fault(
        "simulator/gaussian/fit.py",
        "    pairs : DrawnPairs\n",
        "    drawn : DrawnPairs\n",
        "test_docstrings.py::test_a_public_name_is_documented",
    ),
    "error that no docstring tells of": Fault(
        "simulator/gaussian/critic.py",
        "    Raises\n    ------\n    ValueError\n        Unless the critic",
        "    Notes\n    -----\n    ValueError\n        Unless the critic",
        "test_docstrings.py::test_a_public_name_is_documented",
    ),
    "field without a word": Fault(
        "simulator/gaussian/critic.py",
        "    outside\n        Gram",
        "    beyond\n        Gram",
        "test_docstrings.py::test_a_public_name_is_documented",
    ),
    "docstring that drifts from its declaration": Fault(
        "simulator/world.py",
        "        Probability that a caption mentions the object.",
        "        Probability that a caption mentions nothing.",
        "test_docstrings.py::test_a_docstring_repeats_the_declaration",
    ),
    "one net for every class": Fault(
        "simulator/gaussian/critic.py",
        "zip(range(K), gaussian_nets(K - 1, power, seed), strict=False)",
        "((k, gaussian_points(K - 1, power, seed)) for k in range(K))",
        "simulator/gaussian/test_critic.py::test_many_classes_against_an_integral_in_25_digits",
    ),
    "margins in the units of the images": Fault(
        "simulator/gaussian/supervised.py",
        "longest = np.linalg.norm(signed, axis=1).max()",
        "longest = 1.0 if signed.any() else 0.0",
        "simulator/gaussian/test_supervised_fit.py::test_maximum_margin_does_not_depend_on_units",
    ),
    "object always the label's": Fault(
        "simulator/mixture.py",
        "means=(mean[:, None] * class_means(K)[codes[:, 1:]])",
        "means=(mean[:, None] * class_means(K)[np.insert(codes[:, 2:], 0, codes[:, 0], axis=1)])",
        "simulator/gaussian/test_statistics.py::test_projected_law_is_that_of_drawn_pairs",
    ),
    "object chosen by chance in the test law": Fault(
        "simulator/mixture.py",
        "test = np.where(match, world.p_inv, (1 - world.p_inv) / (K - 1))[:, 0]",
        "test = np.full(len(codes), 1 / K)",
        "simulator/test_mixture.py::test_test_weights_are_the_training_weights_of_the_test_law",
    ),
    "object drawn with its label's agreement": Fault(
        "simulator/gaussian/pairs.py",
        "[..., 0] < agreement[..., 0]",
        "[..., 0] < agreement[..., 1]",
        "simulator/gaussian/test_pairs.py::test_moments_are_those_of_the_mixture",
    ),
    "captions as noisy as images": Fault(
        "simulator/world.py",
        "is None else self.sigma_xi_text\n        return sigma * sigma / self",
        "is None else self.sigma_xi\n        return sigma * sigma / self",
        "simulator/test_world.py::test_blocks_and_mixture_hold_the_same_numbers",
    ),
    "grid that can be written into": Fault(
        "simulator/world.py",
        "array.flags.writeable = False",
        "pass",
        "simulator/test_world.py::test_grids_are_frozen_with_all_that_they_hold",
    ),
    "transposed Bartlett factor": Fault(
        "simulator/gaussian/statistics.py",
        "G.T, side=1, lower=0)",
        "G.T, side=1, lower=0, trans_a=1)",
        "simulator/gaussian/test_statistics.py::test_the_row_test_sees_a_transposed_bartlett_factor",
    ),
    "one degree of freedom too many": Fault(
        "simulator/gaussian/statistics.py",
        "np.maximum(counts[:, :, j] - 1, 0)",
        "counts[:, :, j]",
        "simulator/gaussian/test_statistics.py::test_projected_law_is_that_of_drawn_pairs",
    ),
    "silent class on a zero score": Fault(
        "simulator/gaussian/critic.py",
        "np.where((gap == 0) & (deviation == 0), 0.0, gap / deviation)",
        "np.where((gap == 0) & (deviation == 0), np.inf, gap / deviation)",
        "simulator/gaussian/test_critic.py::test_a_critic_that_is_always_zero_guesses",
    ),
    "streams that share numbers": Fault(
        "simulator/streams.py",
        "spawn_key=(word, index)",
        "spawn_key=(index,)",
        "simulator/test_streams.py::test_seed_name_and_index_each_select_a_stream",
    ),
    "32 bits of a seed": Fault(
        "simulator/streams.py",
        "np.random.default_rng(_sequence(seed, name, index))",
        "np.random.default_rng(int(_sequence(seed, name, index).generate_state(1, np.uint64)[0] >> 1) % 2**32)",
        "simulator/test_streams.py::test_streams_are_wider_than_32_bits",
    ),
    "normals that never reach one tail": Fault(
        "simulator/streams.py",
        ".add_(0.5).mul_(2.0 ** (1 - b))",
        ".mul_(2.0 ** (1 - b))",
        "simulator/test_streams.py::test_float32_normals_are_quantiles_of_their_words",
    ),
    "a large count split one number too early": Fault(
        "simulator/multinomial.py",
        "np.where(found, m - i, i - 1)",
        "np.where(found, m - i, i)",
        "simulator/test_multinomial.py::test_large_counts_have_the_binomial_law",
    ),
    "binary correlation for K classes": Fault(
        "simulator/world.py",
        "self.agreement - (1 - self.agreement) / (np.asarray(self.classes)[..., None] - 1)",
        "2 * self.agreement - 1",
        "theory/test_population.py::test_block_covariance_is_the_mixtures_on_class_differences",
    ),
    "text noise forgotten in a density": Fault(
        "theory/density.py",
        "determinant = variance * (nu_I + nu_T) + nu_I * nu_T",
        "determinant = variance * (nu_I + nu_T)",
        "theory/test_density.py::test_factorised_density_is_the_mixtures",
    ),
    "no nodes where captions put an image": Fault(
        "theory/learners/line.py",
        "np.concatenate([grid, near], axis=-1)",
        "np.concatenate([grid, grid], axis=-1)",
        "theory/learners/test_infonce.py::test_every_change_of_sign_along_a_line_is_found",
    ),
    "no lines where captions put an image": Fault(
        "theory/learners/contour.py",
        "near = np.where(narrow, ",
        "near = np.where(narrow & False, ",
        "theory/learners/test_infonce.py::test_nearly_every_boundary_is_followed_on_the_first_grid",
    ),
    "object taken for the label": Fault(
        "theory/learners/curve.py",
        "(1 - p_inv) * (1 - accuracy[..., ::-1])",
        "(1 - p_inv) * accuracy[..., ::-1]",
        "theory/learners/test_infonce.py::test_the_law_of_objects_and_captions_matches_cells",
    ),
    "silent captions that add no variance": Fault(
        "theory/learners/gaussian.py",
        "pi * (1 - pi) * np.diagonal",
        "0 * np.diagonal",
        "theory/learners/test_gaussian.py::test_it_is_the_precision_matrix_of_both_views",
    ),
    "sign slip in a printed formula": Fault(
        "theory/published.py",
        "(si**2 + 2 - 2 * mu * p) / R",
        "(si**2 + 2 + 2 * mu * p) / R",
        "theory/test_published.py::test_theorem_62_as_tabulated",
    ),
    "object that never errs in a Bayes rule": Fault(
        "theory/learners/bayes.py",
        "shown = p[:, 0]\n",
        "shown = 0 * p[:, 0] + 1\n",
        "theory/learners/test_bayes.py::test_bayes_where_objects_may_disagree_with_labels",
    ),
    "evidence that does not saturate": Fault(
        "theory/learners/bayes.py",
        "np.where(within, h, np.inf)",
        "np.where(within, size, size)",
        "theory/learners/test_bayes.py::test_sampled_bayes_where_objects_may_disagree",
    ),
    "other classes' objects forgotten": Fault(
        "theory/learners/bayes.py",
        "log_sum_of_others(others) + _log_gap(lead)",
        "-np.inf + _log_gap(lead)",
        "theory/learners/test_bayes.py::test_sampled_bayes_where_objects_may_disagree",
    ),
    "interval of one replicate": Fault(
        "theory/quadrature.py",
        "replicates.std(axis=0, ddof=1) / np.sqrt(R)",
        "replicates.std(axis=0, ddof=1)",
        "theory/learners/test_bayes.py::test_the_interval_measures_the_scatter_over_seeds",
    ),
    "logistic weights without the object's": Fault(
        "theory/learners/logistic.py",
        "np.where(signs[:, None] == 1, p, 1 - p).prod(axis=-1).T",
        "np.where(signs[:, None] == 1, p, 1 - p)[..., 1:].prod(axis=-1).T",
        "theory/learners/test_logistic.py::test_the_gradient_vanishes",
    ),
    "softmax patterns without the object's": Fault(
        "theory/learners/logistic.py",
        "codes, weights = class_patterns(worlds.agreement, K)",
        "codes, weights = class_patterns(np.append(1.0, worlds.agreement[1:]), K)",
        "theory/learners/test_logistic.py::test_without_noise_each_block_is_worth_its_log_odds",
    ),
    "variance of a block that disagrees forgotten": Fault(
        "theory/learners/least_squares.py",
        " + mean**2 * (1 - correlation**2) / K",
        "",
        "theory/learners/test_least_squares.py::test_least_squares_is_regression_on_the_groups",
    ),
    "root of a sum of squares that cancels": Fault(
        "theory/theorems.py",
        "np.where(gap > 0, c2 / large, np.divide(large, c2))",
        "np.divide(np.hypot(gap, c2) - gap, c2)",
        "theory/test_theorems.py::test_t7_keeps_its_digits",
    ),
    "view noise in the peak of the spread forgotten": Fault(
        "theory/theorems.py",
        "g * (2 * a + v) - 1.5",
        "g * (2 * a) - 1.5",
        "theory/test_theorems.py::test_t10_counter_accuracy_peaks_once",
    ),
    "point estimate taken for a bound": Fault(
        "experiments/court/decide.py",
        "worst.low > tau",
        "worst.high > tau",
        "experiments/court/test_decide.py::test_rule_of_decision",
    ),
    "distance of the nearer end taken for a lower bound": Fault(
        "experiments/court/decide.py",
        "np.maximum(0.0, np.maximum(inner.low - target, target - inner.high))",
        "np.minimum(np.abs(inner.low - target), np.abs(inner.high - target))",
        "experiments/court/test_decide.py::test_the_violation_of_the_mean_lies_between_its_bounds",
    ),
    "atoms taken for normal values": Fault(
        "experiments/inference.py",
        "        if self.normal:",
        "        if True:",
        "experiments/test_inference.py::test_a_sample_takes_the_sharpest_bound_that_holds",
    ),
    "later point outside the domain": Fault(
        "experiments/court/points.py",
        "good = good & claim.contains(claim.moved(here, claim.along, later))",
        "good = good & True",
        "experiments/court/test_points.py::test_a_monotone_relation_compares_two_points_inside_the_domain",
    ),
    "undefined point taken for a violation": Fault(
        "experiments/court/search.py",
        "np.argmax(np.where(np.isnan(values), -np.inf, values))",
        "np.argmax(values)",
        "experiments/court/test_points.py::test_undefined_points_are_left_out_and_counted",
    ),
    "share of trainings compared with the bound of one": Fault(
        "experiments/court/points.py",
        "        return claim.share, True",
        "        pass",
        "experiments/court/test_points.py::test_a_share_is_judged_by_its_trainings",
    ),
    "trainings that just fail counted as right": Fault(
        "experiments/court/routes.py",
        "worlds) <= claim.allowed",
        "worlds) <= 2 * claim.allowed",
        "experiments/court/test_points.py::test_a_share_counts_trainings",
    ),
    "population's width where n is finite": Fault(
        "experiments/court/routes.py",
        "return each if finite(claim) else",
        "return each if False else",
        "experiments/court/test_points.py::test_finite_n_keeps_the_width_of_its_views",
    ),
    "one bad claim takes the verdicts of the others": Fault(
        "experiments/court/docket.py",
        "return refusal(trial, str(error), seed)",
        "raise",
        "experiments/court/test_docket.py::test_one_bad_claim_leaves_the_others_their_verdicts",
    ),
    "file written in place": Fault(
        "experiments/files.py",
        "        write(temporary)",
        "        write(path)",
        "experiments/test_files.py::test_text_and_json_arrive_whole",
    ),
    "file written over": Fault(
        "experiments/files.py",
        "temporary.replace(path)",
        '__import__("shutil").copyfile(temporary, path)',
        "experiments/test_files.py::test_a_reader_of_the_old_file_keeps_it_whole",
    ),
    "umask ignored": Fault(
        "experiments/files.py",
        "temporary.chmod(mode)",
        "temporary.chmod(0o644)",
        "experiments/test_files.py::test_files_are_as_private_as_their_user_wants",
    ),
    "another verb's file taken for one's own": Fault(
        "experiments/files.py",
        "if writer != verb:",
        "if writer is None:",
        "experiments/test_files.py::test_no_verb_writes_over_another_s_work",
    ),
    "somebody's folder replaced": Fault(
        "experiments/files.py",
        "- (made or set()))",
        "- {path.name for path in output.iterdir() if (output / REPORT).exists()})",
        "experiments/test_files.py::test_a_report_replaces_only_what_it_made",
    ),
    "boundary between two cells guessed": Fault(
        "experiments/page/plot/boundary.py",
        "return np.where(result.success, root, np.nan)",
        "return (low + high) / 2",
        "experiments/page/plot/test_boundary.py::test_every_point_of_the_line_is_a_root_off_the_grid",
    ),
    "line along an edge where nothing changes sides": Fault(
        "experiments/page/plot/boundary.py",
        "return np.where(level & (around != 0), np.sign(around), sign)",
        "return -np.where(level & (around != 0), np.sign(around), -sign)",
        "experiments/page/plot/test_boundary.py::test_no_line_where_a_and_b_are_equal_without_changing_sides",
    ),
    "interval of a drop too narrow": Fault(
        "experiments/page/plot/asked.py",
        "if word in FALLING else",
        "if word not in FALLING else",
        "experiments/page/plot/test_composed.py::test_sampled_theory_keeps_its_interval_and_words_widen_it",
    ),
    "colours of each panel's own": Fault(
        "experiments/page/plot/maps.py",
        "norm=colours,",
        "norm=Colours(picture._replace(panels=(panel,))),",
        "experiments/page/plot/test_drawn.py::test_maps_show_the_cells_with_one_scale_of_colours",
    ),
    "map turned on its side": Fault(
        "experiments/page/plot/maps.py",
        "value = panel.series[0].data.value.values.T",
        "value = panel.series[0].data.value.values.T[::-1]",
        "experiments/page/plot/test_drawn.py::test_maps_show_the_cells_with_one_scale_of_colours",
    ),
    "somebody's picture written over": Fault(
        "experiments/page/plot/written.py",
        "if path.exists() and not _is_ours(path, verb):",
        "if False:",
        "experiments/page/plot/test_written.py::test_a_file_of_somebody_else_stays",
    ),
    "a boundary along the edge believed": Fault(
        "theory/learners/contour.py",
        "sound & ~_runs_along_the_edge(g, x, y)",
        "sound",
        "theory/learners/test_infonce.py::test_a_boundary_that_runs_along_the_grid_s_edge_is_not_lost",
    ),
    "letters of a drawing that are looked for under its own name": Fault(
        "experiments/page/drawing.py",
        "own.discard(found[1])",
        "own.add(found[1])",
        "experiments/page/test_report.py::test_drawings_of_one_page_share_letters_and_no_other_id",
    ),
    "claims under the question of their family before their own": Fault(
        "experiments/court/questions.py",
        '(claim, claim.partition("/")[0])',
        '(claim.partition("/")[0], claim)',
        "experiments/court/test_questions.py::test_an_id_goes_before_its_family",
    ),
    "page without escaping": Fault(
        "experiments/page/report.py",
        "autoescape=True",
        "autoescape=False",
        "experiments/page/test_report.py::test_page_escapes_what_it_is_given",
    ),
    "the other learner ahead": Fault(
        "experiments/page/ahead.py",
        "gap = ours - theirs",
        "gap = -ours + theirs",
        "experiments/page/test_report.py::test_leads_are_differences_of_single_predictions",
    ),
    "a design's own axis kept below another": Fault(
        "experiments/lab/request.py",
        "if _field(name) not in gone",
        "if True",
        "experiments/lab/test_design.py::test_what_lies_on_top_sets_a_field_or_varies_it",
    ),
    "fraction of a pair rounded": Fault(
        "experiments/command/words.py",
        "or number != number.to_integral_value()",
        "",
        "experiments/command/test_main.py::test_wrong_requests",
    ),
    # Towers and their training.
    "uncentred covariance in the loss": Fault(
        "simulator/towers/losses.py",
        "centred = I - I.mean(1, keepdim=True)",
        "centred = I",
        "simulator/towers/test_losses.py::test_linearised_is_the_double_sum",
    ),
    "softmax over captions alone": Fault(
        "simulator/towers/losses.py",
        "(logits.logsumexp(2) + logits.logsumexp(1)) / 2",
        "logits.logsumexp(2)",
        "simulator/towers/test_losses.py::test_infonce_is_two_cross_entropies",
    ),
    "exponentials that underflow": Fault(
        "simulator/towers/tiles.py",
        "torch.float32: 80.0",
        "torch.float32: 1e9",
        "simulator/towers/test_tiles.py::TestSafety::test_the_naive_shift_fails_where_ours_holds",
    ),
    "rounded cosines of matched pairs": Fault(
        "simulator/towers/tiles.py",
        "diagonal.copy_(matched[rows])",
        "pass",
        "simulator/towers/test_tiles.py::TestSafety::test_matched_logits_are_exact_with_rounded_products",
    ),
    "gradient of the scale forgotten": Fault(
        "simulator/towers/tiles.py",
        "upstream * dT, upstream * dscale",
        "upstream * dT, 0 * upstream * dscale",
        "simulator/towers/test_tiles.py::TestParity::test_infonce_in_float64",
    ),
    "loss averaged over processes (open_clip issue 616)": Fault(
        "simulator/towers/distributed.py",
        "dist.all_reduce(x)\n    return x",
        "dist.all_reduce(x)\n    return x / group.size",
        "simulator/towers/test_distributed.py::test_processes_reach_the_weights_of_one",
    ),
    "gathered rows without a gradient": Fault(
        "simulator/towers/distributed.py",
        "summed(ctx.group, upstream)[:, first",
        "upstream[:, first",
        "simulator/towers/test_distributed.py::test_processes_reach_the_weights_of_one",
    ),
    "Ctrl-C heard by one process alone": Fault(
        "simulator/towers/distributed.py",
        "return bool(maximum(group, torch.tensor([int(flag)], device=device)))",
        "return flag",
        "simulator/towers/test_distributed.py::test_processes_reach_the_weights_of_one",
    ),
    "SigLIP's bias not set for the batch": Fault(
        "simulator/towers/objectives.py",
        "-math.log(recipe.batch_size - 1)",
        "0.0",
        "simulator/towers/test_layers.py::test_conventions_of_scale_and_bias",
    ),
    "scale without a ceiling": Fault(
        "simulator/towers/layers.py",
        "clamp(0.0, math.log(LARGEST_SCALE))",
        "clamp(0.0)",
        "simulator/towers/test_layers.py::test_conventions_of_scale_and_bias",
    ),
    "scale not kept in bounds after a step": Fault(
        "simulator/towers/objectives.py",
        "return clamp_scale(new)",
        "return new",
        "simulator/towers/test_training.py::test_a_learned_scale_stays_where_clip_keeps_it",
    ),
    "second derivatives of a tiled loss in silence": Fault(
        "simulator/towers/tiles.py",
        'return *once("tiled_infonce", gradients, (upstream, *ctx.saved_tensors[:3])), None',
        "return *gradients, None",
        "simulator/towers/test_tiles.py::test_second_derivatives_are_refused_by_name",
    ),
    "a law for a fixed temperature": Fault(
        "simulator/towers/objectives.py",
        "self.sampler is None or recipe.temperature is not None",
        "self.sampler is None",
        "simulator/towers/test_objectives.py::test_what_towers_become",
    ),
    "objective that sees the wrong backgrounds": Fault(
        "simulator/towers/training.py",
        "backgrounds=batch.backgrounds,",
        "backgrounds=batch.labels[..., None],",
        "simulator/towers/test_objectives.py::test_perfect_captions_are_two_plain_cross_entropies",
    ),
    "runs of an earlier format misread": Fault(
        "simulator/towers/checkpoints.py",
        "if found != FORMAT:",
        "if False:",
        "experiments/lab/test_train.py::test_a_run_of_an_earlier_format_is_refused_by_name",
    ),
    "interval of models, not of their mean": Fault(
        "simulator/towers/trained.py",
        "variance.sum(-1) / (n - 1) / n",
        "variance.sum(-1) / (n - 1)",
        "simulator/towers/test_trained.py::test_accuracy_is_the_mean_over_models_with_its_t_interval",
    ),
    "one stream for all models": Fault(
        "simulator/towers/layers.py",
        'f"init/{name}", k)',
        'f"init/{name}", 0)',
        "simulator/towers/test_layers.py::test_a_model_begins_the_same_in_any_ensemble",
    ),
    "diverged models go on": Fault(
        "simulator/towers/training.py",
        "torch.where(per_model(going, value), value, old[name])",
        "value",
        "simulator/towers/test_training.py::test_a_diverged_model_is_frozen_and_marked_and_the_others_go_on",
    ),
    "pairs used twice": Fault(
        "simulator/towers/training.py",
        "step * size + part[0], step",
        "part[0], 0 * step",
        "simulator/towers/test_training.py::test_fresh_batches_are_the_stream_cut_at_batch_boundaries",
    ),
    "key of a counter-based stream that stays": Fault(
        "simulator/counters.py",
        "k0, k1 = k0 + WEYL[0] & WORD, k1 + WEYL[1] & WORD",
        "pass",
        "simulator/test_counters.py::test_philox_gives_the_known_answers",
    ),
    "rows of a batch written over": Fault(
        "simulator/towers/training.py",
        "over = None if pieces else held",
        "over = held",
        "simulator/towers/test_training.py::test_fresh_batches_are_the_stream_cut_at_batch_boundaries",
    ),
    "first moment that does not turn with its coordinates": Fault(
        "simulator/towers/optimisers.py",
        "new[first] = turned(state[first], turns)",
        "new[first] = state[first]",
        "simulator/towers/test_optimisers.py::test_soap_equals_the_algorithm_of_its_paper",
    ),
    "groups swapped in an evaluation": Fault(
        "simulator/towers/evaluation.py",
        "m.group_average(result[:, k])",
        "m.group_average(result[:, k])[..., ::-1]",
        "simulator/towers/test_evaluation.py::test_points_agree_with_the_exact_accuracy_of_linear_towers",
    ),
    "class means from training pairs": Fault(
        "simulator/towers/evaluation.py",
        'block(ensemble, "class-means", 0)',
        'block(ensemble, "train", 0)',
        "simulator/towers/test_evaluation.py::test_class_means_come_from_pairs_of_their_own",
    ),
    "worst ridge chosen": Fault(
        "simulator/towers/evaluation.py",
        "left_out.nan_to_num(torch.inf).argmin(0)",
        "left_out.nan_to_num(torch.inf).argmax(0)",
        "simulator/towers/test_evaluation.py::TestRecovery::test_identity_towers_recover_latents_up_to_view_noise",
    ),
    "evaluation on training streams": Fault(
        "simulator/towers/evaluation.py",
        'f"evaluation/{k}"',
        'f"train/{k}"',
        "simulator/towers/test_evaluation.py::test_evaluation_images_are_no_training_images",
    ),
    # Real models and photos.
    "micro mean called macro": Fault(
        "experiments/counteranimal/metrics.py",
        'if mean == "macro":',
        'if mean == "micro":',
        "experiments/counteranimal/test_metrics.py::test_means_are_what_their_names_say",
    ),
    "intervals of photos, not of classes": Fault(
        "experiments/counteranimal/metrics.py",
        "resamples(len(counts.complete.index), replicates, rng)",
        "resamples(len(counts.complete.index), replicates, rng) * 0 + 1",
        "experiments/counteranimal/test_metrics.py::test_intervals_cover",
    ),
    "features of other weights reused": Fault(
        "experiments/counteranimal/identity.py",
        '"weights": weights,',
        '"weights": "",',
        "experiments/counteranimal/test_identity.py::test_one_weight_makes_another_model",
    ),
    "configuration left out of a key": Fault(
        "experiments/counteranimal/identity.py",
        '"model": structure([module, *encode]),',
        "",
        "experiments/counteranimal/test_identity.py::test_other_heads_with_the_same_weights_are_another_model",
    ),
    "functions described by their names": Fault(
        "experiments/counteranimal/identity.py",
        'raise Undescribed(f"{module or',
        'return (f"{module or',
        "experiments/counteranimal/test_identity.py::test_code_of_unknown_version_is_not_described",
    ),
    "a model that has changed is taken for the one remembered": Fault(
        "experiments/counteranimal/loaded.py",
        "if self._loaded.key != self.key:",
        "if False:",
        "experiments/counteranimal/test_asking.py::test_a_model_that_is_no_longer_what_was_remembered_is_refused",
    ),
    "the worst group by an interval of its own": Fault(
        "experiments/counteranimal/breakdown.py",
        "bounds = binomial_bounds(k, n, (1 - LEVEL) / 2 / len(names))",
        "bounds = binomial_bounds(k, n, (1 - LEVEL) / 2)",
        "experiments/counteranimal/test_breakdown.py::test_the_interval_of_the_worst_covers_the_least_accuracy",
    ),
    "a shard that is cut off read to where it ends": Fault(
        "experiments/counteranimal/photos/shards.py",
        "if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):",
        "if False:",
        "experiments/counteranimal/photos/test_layouts.py::test_wrong_shards",
    ),
    "no number taken for rank 1": Fault(
        "experiments/counteranimal/scoring.py",
        "answered = np.isfinite(scores).all(axis=1)",
        "answered = np.ones(len(scores), dtype=bool)",
        "experiments/counteranimal/test_encoding.py::test_scores_that_are_not_finite_are_no_answer",
    ),
    "features without a number kept": Fault(
        "experiments/counteranimal/encoding.py",
        "finite = np.isfinite(features).all(axis=1)",
        "finite = np.ones(len(features), dtype=bool)",
        "experiments/counteranimal/test_encoding.py::test_features_without_a_number_are_not_kept",
    ),
    "random weights where a folder has none": Fault(
        "experiments/counteranimal/transformers_models.py",
        'lacking = sorted(report["missing_keys"])',
        "lacking = []",
        "experiments/counteranimal/test_models.py::test_a_folder_without_some_weights_is_refused",
    ),
    "any format opened": Fault(
        "simulator/pixels/decoding.py",
        "Image.open(source, formats=FORMATS)",
        "Image.open(source)",
        "simulator/pixels/test_decoding.py::test_a_postscript_file_named_as_a_photo_is_not_run",
    ),
    "test objects in training": Fault(
        "simulator/pixels/pictures.py",
        "return (self.parts == PARTS.index(part)).nonzero()[:, 0]",
        "return (self.parts >= 0).nonzero()[:, 0]",
        "simulator/pixels/test_pairs.py::test_training_validation_and_test_share_no_scan",
    ),
    "every class with a colour of its own": Fault(
        "simulator/pixels/pairs.py",
        "if world.views.tied is not None:",
        "if world.views.tied == ():",
        "simulator/pixels/test_pairs.py::test_realised_correlations_are_the_requested_ones",
    ),
    "reversed to what it was": Fault(
        "simulator/pixels/trials.py",
        "= (1 - np.eye(len(tied))) / (len(tied) - 1)",
        "= np.eye(len(tied))",
        "simulator/pixels/test_trials.py::test_weights_are_laws_with_the_stated_marginals",
    ),
    "coverage cut, not rounded": Fault(
        "simulator/pixels/render.py",
        "out=made[:m]).add_(0.5)",
        "out=made[:m])",
        "experiments/benchmarks/test_pixels.py::test_noise_before_noise",
    ),
    "a paired test that misses the table seen": Fault(
        "experiments/inference.py",
        "law[law <= seen * (1 + 1e-7)]",
        "law[law < seen]",
        "experiments/counteranimal/test_paired.py::test_one_answer_a_column_is_the_binomial_test",
    ),
    "intervals that shrink to a point": Fault(
        "experiments/inference.py",
        "return second if first is None else (min(first[0], second[0]), max(first[1], second[1]))",
        "return first or (1.0, 1.0)",
        "experiments/counteranimal/test_metrics.py::test_four_right_photos_do_not_make_certainty",
    ),
    "the line's interval alone": Fault(
        "experiments/counteranimal/comparison.py",
        "both = of_line if of_model is None else combined(value, of_line, of_model)",
        "both = of_line",
        "experiments/counteranimal/test_comparison.py::test_the_interval_is_of_line_and_model",
    ),
    "another model's class table": Fault(
        "experiments/counteranimal/comparison.py",
        "if len(counts.complete.index) and np.allclose(",
        "if len(counts.complete.index) or np.allclose(",
        "experiments/counteranimal/test_comparison.py::test_a_list_of_results_does_not_share_one_class_table",
    ),
    "too few permutations for Holm": Fault(
        "experiments/counteranimal/discovery.py",
        "return max(PERMUTATIONS, round(2 * classes / ALPHA) - 1)",
        "return PERMUTATIONS",
        "experiments/counteranimal/test_discovery.py::test_an_effect_among_501_classes_can_be_found",
    ),
    "error rate of a published claim ignored": Fault(
        "experiments/published/claims.py",
        "Terms(ALPHA if error_rate is None else error_rate, seed)",
        "Terms(ALPHA, seed)",
        "experiments/published/test_claims.py::test_a_verdict_obeys_the_error_rate_and_the_seed",
    ),
    "line fitted on plain axes": Fault(
        "experiments/lines.py",
        "x, y = stretch(common, axis), stretch(counter, axis)",
        "x, y = common, counter",
        "experiments/test_lines.py::test_a_straight_line_is_found",
    ),
    "bounds rounded to nearest": Fault(
        "theory/proofs/intervals.py",
        "return np.fmin(x + (np.abs(x) * HALF_STEP + TINIEST), np.inf)",
        "return np.fmin(x, np.inf)",
        "theory/proofs/test_intervals.py::test_arithmetic_encloses_the_exact_result",
    ),
    "box dropped by the prover": Fault(
        "theory/proofs/boxes.py",
        "done.append(block[closed])",
        "done.append(block[closed][1:])",
        "theory/proofs/test_certificate.py::test_boxes_of_the_prover_are_each_a_share_of_the_cube",
    ),
    "wrong derivative": Fault(
        "theory/proofs/expression.py",
        "return one / node.args[1], -node / node.args[1]",
        "return one / node.args[1], node / node.args[1]",
        "theory/proofs/test_expression.py::test_derivatives_are_those_of_a_computer_algebra_system",
    ),
    "a term of a slope dropped": Fault(
        "theory/proofs/expression.py",
        "adjoint[argument] = adjoint[argument] + part if argument in adjoint else part",
        "adjoint[argument] = part",
        "theory/proofs/test_enclosures.py::test_what_formulas_and_slopes_are_lies_in_their_enclosures",
    ),
    "refused certificate written": Fault(
        "experiments/court/proving.py",
        'if certificates is not None and document["outcome"] == proof.outcome:',
        "if certificates is not None:",
        "experiments/court/test_proving.py::test_a_certificate_that_the_checker_refuses_is_not_written",
    ),
    "somebody's file among the certificates removed": Fault(
        "experiments/files.py",
        'for path in folder.rglob("*")}',
        "for path in folder.iterdir()}",
        "experiments/page/test_report.py::test_what_somebody_put_beside_the_certificates_is_kept",
    ),
    "half of the way from a box's centre": Fault(
        "theory/proofs/boxes.py",
        "reach = up(reach + np.maximum(up(gain), 0.0))",
        "reach = up(reach + np.maximum(up(gain) / 4, 0.0))",
        "theory/proofs/test_certificate.py::test_what_is_true_passes",
    ),
    "overlapping taken for covering": Fault(
        "theory/proofs/checker.py",
        "(step.sum(axis=1) == 1) & (index[1:] > index[:-1]).any(axis=1)",
        "(step.sum(axis=1) <= 1)",
        "theory/proofs/test_checker.py::test_filling_is_exact",
    ),
    "bound of a box believed": Fault(
        "theory/proofs/checker.py",
        "return not len(bound)",
        "return True",
        "theory/proofs/test_certificate.py::test_forged_boxes_are_caught",
    ),
    "product of balls by two of its four ends": Fault(
        "theory/proofs/checker.py",
        "UNION(*(UNION(x * LOWER(b), x * UPPER(b)) for x in (LOWER(a), UPPER(a))))",
        "UNION(LOWER(a) * LOWER(b), UPPER(a) * UPPER(b))",
        "theory/proofs/test_enclosures.py::test_what_formulas_and_slopes_are_lies_in_their_enclosures",
    ),
    "slopes that cancel believed": Fault(
        "theory/proofs/checker.py",
        "return within & (FINITE(whole) & FINITE(origin)).astype(bool), weight",
        "return within, weight",
        "theory/proofs/test_checker.py::test_a_derivative_says_nothing_where_its_formula_is_undefined",
    ),
    "root that may vanish taken for positive": Fault(
        "theory/proofs/squaring.py",
        '"negative" if strict or met[r] else',
        '"negative" if met[r] else',
        "theory/proofs/test_soundness.py::test_a_root_that_vanishes_is_not_below_zero",
    ),
    "conditions of a root that cancels dropped": Fault(
        "theory/proofs/squaring.py",
        "met.setdefault(parts[0][NO_ROOTS], False)",
        "pass",
        "theory/proofs/test_soundness.py::test_a_root_that_vanishes_is_not_below_zero",
    ),
    "fixed fields rounded": Fault(
        "theory/proofs/statements.py",
        "return constant(value) if isinstance(value, float) else value",
        "return value",
        "theory/proofs/test_soundness.py::test_fixed_fields_are_exact",
    ),
    "tau with the wrong sign": Fault(
        "theory/proofs/statements.py",
        "return Inequality(a - b, tau)",
        "return Inequality(a - b, -tau)",
        "theory/proofs/test_certificate.py::test_boxes_of_the_prover_are_each_a_share_of_the_cube",
    ),
    "tau of accuracies taken for one of scores": Fault(
        "theory/proofs/statements.py",
        "PROBIT = Fraction(5, 2)",
        "PROBIT = Fraction(13, 2)",
        "theory/proofs/test_certificate.py::test_the_scale_of_scores_allows_no_more_than_tau",
    ),
    "squared without knowing signs": Fault(
        "theory/proofs/squaring.py",
        "*_all(_below(A, False), _below(_minus(B), False), _below(_minus(excess), strict)),",
        "*_all(_below(_minus(B), False), _below(_minus(excess), strict)),",
        "theory/proofs/test_squaring.py::test_every_way_is_sound",
    ),
    "towers of another seed taken for a claim's own": Fault(
        "experiments/court/trained.py",
        "    models: int\n    seed: int\n",
        "    models: int\n    seed: int = field(compare=False)\n",
        "experiments/court/test_trained.py::test_towers_of_two_claims_are_trained_once",
    ),
    "weights of groups not normalised": Fault(
        "simulator/samplers.py",
        "return 1 / (len(shares) * shares)",
        "return 1 / shares",
        "simulator/test_samplers.py::TestASetOfPairs::test_weights_give_every_group_as_much_and_have_mean_one",
    ),
    "group of another background": Fault(
        "simulator/samplers.py",
        "return labels * classes + backgrounds[..., 0]",
        "return labels * classes + (backgrounds[..., 0] + 1) % classes",
        "simulator/test_samplers.py::test_a_group_is_a_label_with_the_class_of_the_first_background",
    ),
    "padding scored as a label's tokens": Fault(
        "experiments/counteranimal/lvlm/scoring.py",
        "padding_value=IGNORED",
        "padding_value=0",
        "experiments/counteranimal/lvlm/test_scoring.py::test_scores_are_the_librarys_loss",
    ),
    "a batch of answers that goes on from the one before": Fault(
        "experiments/counteranimal/lvlm/scoring.py",
        "copied = copy.deepcopy(kept)",
        "copied = kept",
        "experiments/counteranimal/lvlm/test_scoring.py::test_scores_are_the_librarys_loss",
    ),
    "a label's loss summed over its tokens": Fault(
        "experiments/counteranimal/lvlm/scoring.py",
        " / np.array([len(ids) for ids in answers])",
        "",
        "experiments/counteranimal/lvlm/test_scoring.py::test_scores_are_the_librarys_loss",
    ),
    "prompt and tokenizer both begin a text": Fault(
        "experiments/counteranimal/lvlm/prompt.py",
        "return not (first and text.startswith(first))",
        "return True",
        "experiments/counteranimal/lvlm/test_prompt.py::test_a_text_begins_once",
    ),
    "a label named within another's name": Fault(
        "experiments/counteranimal/lvlm/free.py",
        "(s, e) != (start, end)",
        "False",
        "experiments/counteranimal/lvlm/test_free.py::test_examples",
    ),
    "scores kept whatever labels compete": Fault(
        "experiments/counteranimal/lvlm/labelled.py",
        "return self.marks[photo.class_index]",
        'return ""',
        "experiments/counteranimal/lvlm/test_asking.py::test_what_is_kept_depends_on_labels_photo_question_model_and_precision",
    ),
    "positions in half precision": Fault(
        "experiments/counteranimal/lvlm/language.py",
        "self.module.to(runtime.device)",
        "self.module.to(runtime.device, dtype)",
        "experiments/counteranimal/lvlm/test_loading.py::test_half_precision_holds_the_weights_and_not_the_positions",
    ),
    "models numbered anew in every process": Fault(
        "simulator/towers/side_by_side.py",
        "models=ensemble.models[rows]",
        "models=ensemble.models[: rows.stop - rows.start]",
        "simulator/towers/test_side_by_side.py::test_states_are_those_of_one_process",
    ),
    "an inverse that several threads get wrong": Fault(
        "simulator/towers/evaluation.py",
        "torch.cholesky_inverse(found.L) for found in factors",
        "torch.linalg.inv(K + r * one) for r in RIDGES",
        "simulator/towers/test_evaluation.py::test_weights_of_several_large_kernels_do_not_notice_threads",
    ),
    "weights files that execute": Fault(
        "experiments/counteranimal/weights.py",
        'map_location="cpu", weights_only=not trust_pickle',
        'map_location="cpu", weights_only=False',
        "experiments/counteranimal/test_models.py::test_code_in_weights_is_refused",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_fits_its_source(name):
    """Here and not in the deep runs, where who edits a line hears of it half an hour too late."""
    fault = FAULTS[name]
    assert (ROOT / fault.file).read_text(encoding="utf-8").count(fault.old) == 1
    assert fault.old != fault.new


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The sources once more: every fault is planted there and taken out again, so compiled files serve the next."""
    folder = tmp_path_factory.mktemp("copy")
    for part in ("simulator", "theory", "experiments", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.fixture(scope="module")
def rerun(copy):
    """pytest in the copy."""
    with closing(Reruns(copy)) as reruns:
        yield reruns


@pytest.mark.deep
@pytest.mark.parametrize("name", FAULTS)
def test_planted_fault_is_caught(name, copy, rerun):
    fault = FAULTS[name]
    source = copy / fault.file
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    try:
        how = ("-x", "-n", "0", "-p", "no:cacheprovider", "--hypothesis-profile=unshrunk")
        status, output = rerun(*how, f"tests/{fault.test}")
    finally:
        source.write_text(text, encoding="utf-8")
    assert status == 1, f"{name}: not caught, status {status}\n{output[-4000:]}"
    assert "failed" in output
    assert " error" not in output.splitlines()[-1], "a fault must fail a test, not the collection"
