"""Samplers: what is done with drawn pairs before a learner sees them. The table of mitigations that touch data alone.

The group of a pair is its label y with the class a that its background shows, number K y + a of G = K^2. Under the
training law the K groups y = a have share p/K each and the others (1 - p)/(K (K - 1)); groups of a class that pixels
give no background of its own have 1/K^2 each.

drawn          pairs as they come
balanced       rows drawn anew every epoch, with replacement, every group as often
subsampled     every group cut once to the size of the smallest (Idrissi et al. 2022, "SUBG")
reweighted     pair i counts n/(G n_g), so that every group weighs as much
contradicted   the background of every caption swapped for one drawn uniformly from all classes

Balanced, subsampled and reweighted groups have one population, the training law at p = 1/K: the background says nothing
about the label, and all else (p_inv, further attributes) is as it was, being independent of it given the label. What
they cost are pairs, see `Sampler.effective`. Of an endless stream of pairs "balanced" and "subsampled" keep those that
make the groups equal, which is to draw from that law.

A sampler of one's own is one object, and `register` makes its name a `Recipe.sampler`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from simulator.accuracy import Numbers
from simulator.naming import entered
from simulator.prompts import PROMPTS, asked
from simulator.world import World, Worlds

Groups = Int[np.ndarray, " n"]
CERTAINTY = 0.99  # with which a set of the size that a sentence names has a pair of every group


class EmptyGroup(ValueError):
    """A fixed set, or a law, has no pair of some group; the sentence says which, and how many pairs would."""


@dataclass(frozen=True)
class Sampler:
    """What is done with drawn pairs."""

    name: str
    rows: Callable[[Groups, int, np.random.Generator], Int[np.ndarray, " m"]] | None = None
    anew: bool = False
    weights: Callable[[Float[np.ndarray, " G"]], Float[np.ndarray, " G"]] | None = None
    swaps: bool = False
    prompts: tuple[str, ...] | None = None

    @property
    def balances(self) -> bool:
        """Whether all groups come to weigh the same."""
        return self.rows is not None or self.weights is not None

    def answers(self, prompt: str | None) -> bool:
        """Whether `law` says what learners become that are asked so; None: by no prompt, for those that read none."""
        return prompt is None or self.prompts is None or prompt in self.prompts

    def law(self, worlds: World | Worlds) -> World | Worlds:
        """The worlds whose population a learner sees: at p_spu = 1/K where groups are balanced."""
        if not self.balances:
            return worlds
        refuse_certain(worlds)
        return _at_chance(worlds)

    def captioned(self, worlds: World | Worlds) -> World | Worlds:
        """The worlds with the law of captions given the label, whose means are the mean prompt."""
        return _at_chance(worlds) if self.swaps else self.law(worlds)

    def effective(self, worlds: World | Worlds, passes: float = 1.0) -> Numbers:
        """Effective pairs that a drawn pair leaves, in (0, 1]; n/effective pairs must be drawn for n of them.

        Effective for what varies within groups, beside as many pairs of the balanced law that are gone through as
        often. What varies between groups comes on top there and costs weighted and cut sets nothing, so that in all
        they need less, by how much depends on what is learned.

        Weighted pairs count as (sum w)^2/sum w^2 (Kish 1965, section 11.7), over the law 1/mean of w^2. Of a label with
        a background of its own w^2 has mean (1/p + (K - 1)^2/(1 - p))/K^2, of one without it is 1. Rows drawn with
        replacement have the weighted mean for their expectation and scatter about it as independent rows do: their
        variance is that of weights and 1/passes more, beside 1/passes of pairs not all of which are seen. Cutting all
        groups to the smallest leaves K min(p, (1 - p)/(K - 1)) of the pairs, for p > 1/K all counter pairs among them;
        an endless stream is cut so whenever rows are chosen.
        """
        if not self.balances:
            return 1.0
        refuse_certain(worlds)
        p, K = worlds.p_spu, np.asarray(worlds.classes)
        if self.rows is not None and (not self.anew or np.isinf(passes)):
            return K * np.minimum(p, (1 - p) / (K - 1))
        tied = 1.0 if worlds.views is None or worlds.views.tied is None else len(worlds.views.tied) / K
        squares = tied * (1 / p + (K - 1) ** 2 / (1 - p)) / K**2 + 1 - tied
        return 1 / (squares if self.rows is None else (squares + 1 / passes) / max(1.0, 1 / passes))


def _at_chance(worlds: World | Worlds) -> World | Worlds:
    if isinstance(worlds, World):
        return worlds.model_copy(update={"p_spu": 1 / worlds.classes})
    chance, _ = np.broadcast_arrays(1 / np.asarray(worlds.classes), worlds.p_spu)  # a grid keeps its shape
    return worlds.replace(p_spu=chance)


def refuse_certain(worlds: World | Worlds) -> None:
    """Refuse to balance groups of which some have no share."""
    p = np.asarray(worlds.p_spu)
    for certain, which, near in ((1.0, "counter", "below 1"), (0.0, "common", "above 0")):
        if np.any(p == certain):
            raise EmptyGroup(
                f"p_spu = {certain:g}: there are no {which} pairs to balance the others with; any p_spu {near} has some"
            )


def group_numbers(labels, backgrounds, classes: int):
    """K y + a of every pair."""
    return labels * classes + backgrounds[..., 0]


def group_shares(world: World) -> Float[np.ndarray, " G"]:
    """Share of every group under the training law."""
    return world.background_law().ravel() / world.classes


def group_counts(groups: Groups, world: World) -> Int[np.ndarray, " G"]:
    """Pairs of every group in a fixed set."""
    K = world.classes
    count = np.bincount(groups, minlength=K * K)
    if count.all():
        return count
    refuse_certain(world)
    y, a = divmod(int(np.argmin(count)), K)
    shares = group_shares(world)
    share = shares.min()
    rare = np.isclose(shares, share, rtol=1e-9).sum()  # groups of the least share: their chances of absence add up
    least = int(np.ceil(np.log((1 - CERTAINTY) / rare) / np.log1p(-share)))
    raise EmptyGroup(
        f"n = {len(groups)}: no pair has label {y} and background {a}; of {least} pairs every group has one with "
        f"probability {CERTAINTY}"
    )


def _balanced_rows(groups: Groups, G: int, rng: np.random.Generator) -> Int[np.ndarray, " n"]:
    order, count = np.argsort(groups, kind="stable"), np.bincount(groups, minlength=G)
    chosen = rng.integers(G, size=len(groups))
    return order[np.cumsum(count)[chosen] - count[chosen] + rng.integers(count[chosen])]


def _subsampled_rows(groups: Groups, G: int, rng: np.random.Generator) -> Int[np.ndarray, " m"]:
    order = rng.permutation(len(groups))
    least = np.bincount(groups, minlength=G).min()
    return np.sort(np.concatenate([order[groups[order] == g][:least] for g in range(G)]))


def _inverse_shares(shares: Float[np.ndarray, " G"]) -> Float[np.ndarray, " G"]:
    return 1 / (len(shares) * shares)


def chosen(
    sampler: Sampler, groups: Groups, world: World, rng: np.random.Generator
) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, " m"] | None]:
    """(rows, what each counts) that a sampler makes of a set of pairs, once; None: all the same."""
    everyone = np.arange(len(groups))
    if not sampler.balances:
        return everyone, None
    counts = group_counts(groups, world)
    rows = everyone if sampler.rows is None else sampler.rows(groups, len(counts), rng)
    return rows, None if sampler.weights is None else sampler.weights(counts / len(groups))[groups]


SAMPLERS: dict[str, Sampler] = {}


def register(sampler: Sampler) -> Sampler:
    """Enter a sampler into the table and return it."""
    return entered(SAMPLERS, sampler, "a sampler")


register(Sampler("drawn"))
register(Sampler("balanced", rows=_balanced_rows, anew=True))
register(Sampler("subsampled", rows=_subsampled_rows))
# Positives of weight w against negatives as they come: off the PMI by a function of the caption, whose mean is the same
# for all classes, but not its log-mean-exp beside the scores (simulator.towers.losses).
register(
    Sampler(
        "reweighted",
        weights=_inverse_shares,
        prompts=tuple(name for name in PROMPTS if asked(name).pool != "log-mean-exp"),
    )
)
# simulator.gaussian.resampling
register(Sampler("contradicted", swaps=True, prompts=("name",)))
