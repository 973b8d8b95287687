"""Results show themselves in one line, and in notebooks as a table without markup of their own;
their intervals.
"""

import numpy as np
import pytest
from scipy import stats

from experiments import study
from experiments.verdict import Verdict
from simulator import Recipe, World, fit, train
from simulator.accuracy import Accuracy, mean_interval
from simulator.summary import ROWS, html_table
from theory.ideal_curve import Equivalent

WORLD = World(p_spu=0.8, dim_image=2, dim_text=2)
FEW = {"width": 2, "depth": 1, "embed_dim": 2, "batch_size": 4, "steps": 1, "warmup": 0}
SHOWN = {  # one line: the result
    "World(p_spu=0.8, dim_image=2, dim_text=2)": lambda: WORLD,
    "World(shape=(3, 2), p_spu=0.5 to 0.9, mu_spu=1 to 3)": lambda: World(
        p_spu=[0.5, 0.9], mu_spu=[[1.0], [2], [3]]
    ),
    "Accuracy(common=0.9 (0.8 to 1), counter=0.5 (0 to 1))": lambda: Accuracy.of(
        (0.9, 0.5), 0.95, [(0.8, 1), (0, 1)]
    ),
    "Accuracy(shape=(2,), common=0.9, counter=0.25)": lambda: Accuracy(
        0.9, np.array([0.25, np.nan])
    ),
    "Equivalent(correlation=0.621, shortfall=0)": lambda: Equivalent(0.621, -1e-9),
    "Verdict(claim='<b>', verdict='supported', measured=0.4301)": lambda: Verdict(
        claim="<b>",
        source="me",
        statement="<b>",
        verdict="supported",
        measured=0.43012,
        seconds=1.0,
    ),
    "Study(axes='p_spu 3', learners='linear, bayes', prompts='name', routes='theory', cells=6)": (
        lambda: study(axes={"p_spu": "0.5:1:3"}, learners=["linear", "bayes"])
    ),
    f"Fitted(estimator='linear', world={WORLD!r})": lambda: fit("linear", WORLD.draw(9)),
    "Towers(loss='infonce', towers='mlp', steps=1, worlds=1, models=2, diverged=0)": lambda: train(
        WORLD, Recipe(**FEW), models=2
    ),
}


@pytest.mark.parametrize("line", SHOWN)
def test_a_result_shows_itself(line):
    result = SHOWN[line]()
    assert repr(result) == str(result) == line
    table = result._repr_html_()
    assert table.startswith("<table><caption>")
    assert "<b>" not in table


def test_the_line_of_a_world_makes_it_again():
    assert eval(repr(WORLD)) == WORLD


def test_long_tables_say_how_many_rows_follow():
    table = html_table("numbers", ["a"], ([k] for k in range(ROWS + 1234)))
    assert table.count("<td>") == ROWS
    assert table.endswith("<p>and 1,234 more rows</p>")


# Accuracies by group, and intervals of means over replicates, against scipy.


def test_the_worst_group_is_the_smallest_of_those_that_there_are():
    """Of three worlds, the table of the first has no counter group, and that of the second no
    unseen group.
    """
    groups = ([0.9, 0.9, 0.3], [np.nan, 0.5, 0.4], [0.7, np.nan, 0.6])
    assert Accuracy.of(map(np.array, groups)).worst.tolist() == [0.7, 0.5, 0.3]


def test_an_interval_is_students_over_the_finite_replicates_within_the_support():
    values = np.array(
        [[0.3, 0.5, 0.4, 0.7], [0.3, np.nan, 0.4, 0.7], [0.2, np.nan, np.nan, np.nan], [np.nan] * 4]
    )
    mean, error, low, high = mean_interval(values, 0.9, (0.2, 0.7))
    for k in (0, 1):
        own = values[k][np.isfinite(values[k])]
        assert (mean[k], error[k]) == pytest.approx((own.mean(), stats.sem(own)))
        # (.12, .82) of the second row
        whole = stats.t.interval(0.9, len(own) - 1, own.mean(), stats.sem(own))
        assert (low[k], high[k]) == pytest.approx(np.clip(whole, 0.2, 0.7))
    assert mean[2] == 0.2
    assert np.isnan([mean[3], *error[2:], *low[2:], *high[2:]]).all()
