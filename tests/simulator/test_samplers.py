"""Groups, sampled sets of pairs, and the pairs that sampling costs."""

import numpy as np
import pytest
from stattest import assert_mean

from simulator.pixels.views import Pixels
from simulator.samplers import SAMPLERS, EmptyGroup, chosen, group_counts, group_numbers
from simulator.world import Attribute, World

WORLD = World(p_spu=0.85, dim_image=2, dim_text=2)
THREE = World(p_spu=0.8, classes=3, dim_image=9, dim_text=9, attribute=(Attribute(p=0.9),))
TABLE = World(table=[[0.3, 0.0, 0.2, 0.1], [0.1, 0.1, 0.0, 0.2]], dim_image=9, dim_text=9)
TIED = World(classes=3, views=Pixels(tied=(0, 1)))  # the third class has no background of its own
BALANCING = [name for name, sampler in SAMPLERS.items() if sampler.balances]


def drawn_groups(world: World, n: int, **options) -> np.ndarray:
    pairs = world.draw(n, **options)
    return group_numbers(pairs.labels, pairs.backgrounds, world.background_count).numpy()


@pytest.mark.parametrize(
    ("world", "n"), [(WORLD, 100_000), (THREE, 100_000), (TABLE, 100_000), (TABLE, 2**14)]
)
def test_shares_are_those_of_drawn_pairs(world, n):
    """Six standard deviations are exceeded once in 5e8. Sobol points err by two pairs per cell at
    most.
    """
    shares = world.joint_law().ravel()
    even = n == 2**14
    found = np.bincount(
        drawn_groups(world, n, points="sobol" if even else "random"), minlength=len(shares)
    )
    assert shares.sum() == pytest.approx(1, abs=1e-15)
    assert np.all(
        np.abs(found - n * shares)
        <= (2 * (shares > 0) if even else 6 * np.sqrt(n * shares * (1 - shares)))
    )


N = 3000


@pytest.fixture(scope="module", params=[WORLD, TABLE], ids=["plain", "table"])
def made(request):
    """Function: sampler and seed -> rows and weights of one set of pairs; and its groups."""
    groups = drawn_groups(request.param, N)
    return (
        lambda name, seed=0: chosen(
            SAMPLERS[name], groups, request.param, np.random.default_rng(seed)
        ),
        groups,
    )


def test_subsampling_keeps_as_many_of_every_group_as_the_smallest_has(made):
    of, groups = made
    rows, weights = of("subsampled")
    count = np.bincount(groups)
    assert weights is None
    assert np.bincount(groups[rows]).tolist() == np.where(count, count[count > 0].min(), 0).tolist()
    assert (np.diff(rows) > 0).all(), "no pair twice, in order"
    assert set(rows) != set(of("subsampled", 1)[0]), "random pairs, not the first ones"


def test_groups_that_there_are_weigh_the_same_and_balanced_rows_are_in_expectation_weights(made):
    """Row i is drawn w_i times in expectation: 400 sets of 3000, six deviations for each of 3000
    means.
    """
    of, groups = made
    _, weights = of("reweighted")
    assert np.bincount(groups, weights)[np.unique(groups)] == pytest.approx(
        N / len(np.unique(groups))
    )
    visits = sum(np.bincount(of("balanced", seed)[0], minlength=N) for seed in range(400)) / 400
    assert (np.abs(visits - weights) < 6 * np.sqrt(weights / 400)).all()


@pytest.mark.parametrize(
    ("world", "groups", "missing", "rare", "share"),
    [
        (World(p_spu=0.999), [0, 0, 3, 3, 1], "label 1 and background 0", 2, 0.0005),
        (TABLE, [0, 2, 3, 4, 7], "label 1 and background 1", 3, 0.1),
        (TIED.replace(p_spu=0.9), [0, 2, 3, 4, 5, 6, 7, 8], "label 0 and background 1", 4, 0.1 / 6),
    ],
)
def test_a_group_without_a_pair_is_named_with_the_size_that_has_one(
    world, groups, missing, rare, share
):
    """By a union bound, a rare group is absent once in a hundred times."""
    with pytest.raises(
        EmptyGroup, match=f"n = {len(groups)}: no pair has {missing}; n = [0-9]+ has"
    ) as error:
        group_counts(np.array(groups), world)
    n = int(str(error.value).split("; n = ")[1].split()[0])
    assert rare * (1 - share) ** n <= 0.01 < rare * (1 - share) ** (n - 1)


@pytest.mark.parametrize("name", BALANCING)
def test_balancing_a_certain_background_is_refused(name):
    for p, which in ((1.0, "counter"), (0.0, "common")):
        for ask in (SAMPLERS[name].law, SAMPLERS[name].effective):
            with pytest.raises(EmptyGroup, match=f"p_spu = {p:g}: .* {which} "):
                ask(World(p_spu=p))
    assert SAMPLERS["drawn"].law(World(p_spu=1.0)) == World(p_spu=1.0)


@pytest.mark.parametrize(
    ("name", "passes"), [("reweighted", 1), ("subsampled", 1), ("balanced", 1), ("balanced", 2)]
)
def test_effective_pairs_are_those_of_a_mean(name, passes):
    """n times the variance of the mean of a number that varies within groups only; 1000 sets of
    1000 pairs.
    """
    world = World(p_spu=0.9)
    sampler = SAMPLERS[name]
    n = 1000
    rng = np.random.default_rng(5)
    squares = np.empty(1000)
    for k in range(len(squares)):
        groups = rng.choice(4, n, p=world.joint_law().ravel())
        value = rng.standard_normal(n)
        total = 0.0
        for _ in range(passes):
            rows, weights = chosen(sampler, groups, world, rng)
            total += np.average(value[rows], weights=weights) / passes
        squares[k] = n * total**2
    # Random group sizes change the variance by two percent, an omitted pass (1 in 2.8) by .25.
    assert_mean(
        squares, 1 / sampler.effective(world, passes), effect=0.24, what=f"{name}, {passes}"
    )


GRID = World(p_spu=[0.2, 0.9], classes=[[2], [3], [6]], views=Pixels(tied=(0, 1)))


@pytest.mark.parametrize("worlds", [GRID, TABLE.ravel()], ids=["tied", "table"])
@pytest.mark.parametrize("name", BALANCING)
def test_the_groups_that_training_shows_are_balanced(name, worlds):
    """Kish's number and the smallest group, from the shares; in the law the groups that training
    shows are equal.
    """
    sampler = SAMPLERS[name]
    found = np.broadcast_to(sampler.effective(worlds), worlds.shape)
    law = sampler.law(worlds)
    for place in np.ndindex(worlds.shape):
        shares = worlds[place].joint_law().ravel()
        shown = shares[shares > 0]
        G = len(shown)
        squares = (1 / shown).mean() / len(shown)
        anew = {
            1: 1 / (squares + 1),
            2.5: 1 / (squares + 0.4),
            0.1: 1 / (0.1 * squares + 1),
            np.inf: G * shown.min(),
        }
        for passes, rows_drawn in anew.items():  # fresh pairs of a balanced law count as reduced
            known = {
                "subsampled": G * shown.min(),
                "reweighted": 1 / squares,
                "balanced": rows_drawn,
            }[name]
            assert sampler.effective(worlds[place], passes) == pytest.approx(known)
        assert found[place] == sampler.effective(worlds[place])
        assert law[place].joint_law().ravel() == pytest.approx((shares > 0) / G, abs=1e-15)
        assert law[place].usual_backgrounds() == worlds[place].usual_backgrounds(), (
            "common stays common"
        )
        if worlds is GRID:
            assert law[place] == worlds[place].replace(p_spu=1 / worlds[place].classes)


def test_a_prompt_of_two_usual_backgrounds_is_the_mean_of_both():
    one, other, both = (
        TABLE.ravel()[0].replace(common=[first, [3]]) for first in ([0], [1], [0, 1])
    )
    assert both.prompts("background") == pytest.approx(
        (one.prompts("background") + other.prompts("background")) / 2
    )


def test_contradicted_captions_of_a_table_name_all_backgrounds():
    law = SAMPLERS["contradicted"].captioned(TABLE)
    assert law.background_law() == pytest.approx(np.full((2, 4), 1 / 4))
    assert law.joint_law().sum(axis=1) == pytest.approx(TABLE.joint_law().sum(axis=1))
    assert law.usual_backgrounds() == TABLE.usual_backgrounds()
