"""Samplers: mitigations that change drawn pairs before a learner is trained on them.

The group of a pair is its label y and its background a; its number is A y + a. Training shows G
groups. Without a table A = K and G = K^2: the K groups y = a have share p/K each and the others (1
- p)/(K (K - 1)). Groups of classes without a background of their own (`Pixels.tied`) have 1/K^2
each. Samplers balance the groups that training shows.

drawn          pairs unchanged
balanced       rows drawn with replacement every epoch, all groups equally often
subsampled     every group reduced once to the size of the smallest (Idrissi et al. 2022, "SUBG")
reweighted     pair i has weight n/(G n_g), so that all groups weigh the same
contradicted   the background that a caption names is replaced by one drawn uniformly from all

Balanced, subsampled and reweighted pairs have the same population, the training law at p = 1/K, or
with a table of 1/G per group. Fresh "balanced" and "subsampled" pairs are drawn from it. A sampler
of your own is one object; `register` makes it a `Recipe.sampler`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from simulator.accuracy import Numbers
from simulator.naming import add_row
from simulator.prompts import PROMPTS, prompt_row
from simulator.world import World

Groups = Int[np.ndarray, " n"]
# what the pairs of a batch share: nothing, their background, or their class
Batches = Literal["mixed", "same-background", "same-class"]
BATCHES: tuple[Batches, ...] = get_args(Batches)
CERTAINTY = 0.99  # messages name a set size that has a pair of every group with this probability


class EmptyGroup(ValueError):
    """A fixed set, or a law, has no pair of some group."""


@dataclass(frozen=True)
class Sampler:
    """A row of the table.

    rows(groups, rng) chooses rows of a fixed set: once, or every epoch if `anew`. weights(shares)
    gives each group a weight. `swaps` marks contradicted captions. `law` holds for `prompts`; None
    means all.
    """

    name: str
    rows: Callable[[Groups, np.random.Generator], Int[np.ndarray, " m"]] | None = None
    anew: bool = False
    weights: Callable[[Float[np.ndarray, " G"]], Float[np.ndarray, " G"]] | None = None
    swaps: bool = False
    prompts: tuple[str, ...] | None = None

    @property
    def balances(self) -> bool:
        """Whether all groups weigh the same afterwards."""
        return self.rows is not None or self.weights is not None

    def answers(self, prompt: str | None) -> bool:
        """Whether `law` holds for this prompt; None stands for learners that read no captions."""
        return prompt is None or self.prompts is None or prompt in self.prompts

    def law(self, worlds: World) -> World:
        """The worlds whose law the sampled pairs follow: p_spu = 1/K, or equal shares, if groups
        are balanced.
        """
        if not self.balances:
            return worlds
        check_shares(worlds)
        if worlds.table is None:
            return _at_chance(worlds)
        present = np.array(worlds.table) > 0
        return worlds.replace(
            table=present / np.count_nonzero(present), common=worlds.usual_backgrounds()
        )

    def captioned(self, worlds: World) -> World:
        """The worlds with the sampled captions' law given the label; its means are the average
        caption.
        """
        if not self.swaps:
            return self.law(worlds)
        if worlds.table is None:
            return _at_chance(worlds)
        of_class = np.sum(worlds.table, axis=1, keepdims=True)
        A = len(worlds.table[0])
        return worlds.replace(table=np.tile(of_class / A, A), common=worlds.usual_backgrounds())

    def effective(self, worlds: World, passes: float = 1.0) -> Numbers:
        """Effective pairs per drawn pair, in (0, 1]; n effective pairs need n/effective drawn ones.

        Only variation within groups is compared, with pairs of the balanced law used equally often.
        Variation between groups is smaller in weighted and reduced sets, so they need fewer pairs
        than this says.

        Weighted pairs count as (sum w)^2/sum w^2 (Kish 1965, section 11.7), in expectation
        1/mean(w^2). For a label with a background of its own mean(w^2) is (1/p + (K - 1)^2/(1 -
        p))/K^2, for one without it is 1. Rows drawn with replacement scatter about the weighted
        mean as independent rows do, which adds 1/passes to that variance. With a table mean(w^2) is
        the mean of 1/(G share) over the groups. Reducing all groups to the smallest leaves K min(p,
        (1 - p)/(K - 1)) of the pairs, or G times the smallest share of a table; for p > 1/K it
        keeps all counter pairs. Samplers that choose rows reduce fresh pairs in this way.
        """
        if not self.balances:
            return 1.0
        check_shares(worlds)
        if worlds.table is not None:
            shares = np.array([share for row in worlds.table for share in row if share])
            least = len(shares) * shares.min()
            squares = (1 / shares).mean() / len(shares)
        else:
            p = np.asarray(worlds.p_spu)
            K = np.asarray(worlds.classes)
            least = K * np.minimum(p, (1 - p) / (K - 1))
            tied: Numbers = 1.0
            if worlds.views is not None:
                tied = np.reshape([len(worlds.views.tied_of(int(k))) / k for k in K.flat], K.shape)
            squares = tied * (1 / p + (K - 1) ** 2 / (1 - p)) / K**2 + 1 - tied
        if self.rows is not None and (not self.anew or np.isinf(passes)):
            return least
        return 1 / (squares if self.rows is None else (squares + 1 / passes) / max(1.0, 1 / passes))


def _at_chance(worlds: World) -> World:
    # a grid keeps its shape
    return worlds.replace(p_spu=np.broadcast_to(1 / np.asarray(worlds.classes), worlds.shape))


def check_shares(worlds: World) -> None:
    """Raise EmptyGroup if a group that is to be balanced has share zero; a table may have empty
    cells.
    """
    if worlds.table is not None:
        return
    p = np.asarray(worlds.p_spu)
    for certain, which, near in ((1.0, "counter", "below 1"), (0.0, "common", "above 0")):
        if np.any(p == certain):
            raise EmptyGroup(
                f"p_spu = {certain:g}: there are no {which} pairs, so groups cannot be balanced;"
                f" choose p_spu {near}"
            )


def check_mismatch(sampler: Sampler, worlds: World) -> None:
    """Raise ValueError if mismatched captions are to be contradicted for three classes or more."""
    if sampler.swaps and np.any(
        (np.asarray(worlds.classes) > 2) & (np.asarray(worlds.mismatch) > 0)
    ):
        raise ValueError(
            "captions of three or more classes are contradicted by the background of their own"
            " image, which a mismatched caption does not have; choose mismatch = 0, or two classes"
        )


def group_numbers(labels, backgrounds, background_count: int):
    """A y + a of every pair."""
    return labels * background_count + backgrounds[..., 0]


def group_counts(groups: Groups, world: World) -> Int[np.ndarray, " G"]:
    """Pairs of every group in a fixed set."""
    shares = world.joint_law().ravel()
    count = np.bincount(groups, minlength=len(shares))
    if count.all():
        return count
    check_shares(world)
    missing = np.flatnonzero((count == 0) & (shares > 0))
    if not missing.size:
        return count
    y, a = divmod(int(missing[0]), world.background_count)
    share = shares[shares > 0].min()
    # groups of the least share; union bound over them
    rare = np.isclose(shares, share, rtol=1e-9).sum()
    least = int(np.ceil(np.log((1 - CERTAINTY) / rare) / np.log1p(-share)))
    raise EmptyGroup(
        f"n = {len(groups)}: no pair has label {y} and background {a}; n = {least} has all groups"
        f" with probability {CERTAINTY}"
    )


def _balanced_rows(groups: Groups, rng: np.random.Generator) -> Int[np.ndarray, " n"]:
    order = np.argsort(groups, kind="stable")
    count = np.bincount(groups)
    present = np.flatnonzero(count)
    chosen = present[rng.integers(len(present), size=len(groups))]
    return order[np.cumsum(count)[chosen] - count[chosen] + rng.integers(count[chosen])]


def _subsampled_rows(groups: Groups, rng: np.random.Generator) -> Int[np.ndarray, " m"]:
    order = rng.permutation(len(groups))
    present, count = np.unique(groups, return_counts=True)
    return np.sort(np.concatenate([order[groups[order] == g][: count.min()] for g in present]))


def _inverse_shares(shares: Float[np.ndarray, " G"]) -> Float[np.ndarray, " G"]:
    present = shares > 0
    return np.divide(
        1, np.count_nonzero(present) * shares, out=np.zeros_like(shares), where=present
    )


def chosen(
    sampler: Sampler, groups: Groups, world: World, rng: np.random.Generator
) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, " m"] | None]:
    """One choice of (rows, weights) from a set of pairs; weights are None if all are 1."""
    everyone = np.arange(len(groups))
    if not sampler.balances:
        return everyone, None
    counts = group_counts(groups, world)
    rows = everyone if sampler.rows is None else sampler.rows(groups, rng)
    return rows, None if sampler.weights is None else sampler.weights(counts / len(groups))[groups]


SAMPLERS: dict[str, Sampler] = {}


def register(sampler: Sampler) -> Sampler:
    """Add a sampler to the table and return it."""
    return add_row(SAMPLERS, sampler, "a sampler")


register(Sampler("drawn"))
register(Sampler("balanced", rows=_balanced_rows, anew=True))
register(Sampler("subsampled", rows=_subsampled_rows))
# Weighted positives with unweighted negatives shift the PMI by a function of the caption. Its mean
# is the same for all classes, its log-mean-exp with the scores is not (simulator.towers.losses).
register(
    Sampler(
        "reweighted",
        weights=_inverse_shares,
        prompts=tuple(name for name in PROMPTS if prompt_row(name).pool != "log-mean-exp"),
    )
)
# simulator.gaussian.pairs.contradicted says why its law holds for the typical appearance alone.
register(Sampler("contradicted", swaps=True, prompts=("name",)))
