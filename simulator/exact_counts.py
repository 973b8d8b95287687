"""Counts of groups among drawn pairs: exact in law, and the same numbers with every release of
numpy.

numpy draws a binomial count by inversion up to n min(p, 1 - p) = 30 and by BTPE beyond
(Kachitvichyanukul and Schmeiser, CACM 31, 1988). The printed bound adds two Stirling corrections
that must be subtracted. numpy up to 2.4 copies it (pull request 31238), so counts far from the mean
are too frequent, by about .1 % at n = 500, p = .45. Large counts are therefore split here until
they are small enough for inversion.
"""

import numpy as np
from jaxtyping import Float, Int

INVERTED = 30  # n min(p, 1 - p) up to which Generator.binomial inverts the distribution function


def binomial(
    n: Int[np.ndarray, "R G"], p: Float[np.ndarray, " G"], rng: np.random.Generator
) -> Int[np.ndarray, "R G"]:
    """Binomial counts: how many of n uniform numbers lie below p, for every n."""
    left = n.flatten()
    q = np.tile(p, len(n))
    count = np.zeros(n.size, dtype=n.dtype)
    at = np.flatnonzero(left * np.minimum(q, 1 - q) > INVERTED)
    while at.size:
        m, t = left[at], q[at]
        i = ((m + 1) * t).astype(m.dtype)  # m + 1, since m t may be an integer up to rounding
        b = rng.beta(i, m + 1 - i)
        inside = b <= t
        count[at] += np.where(inside, i, 0)
        left[at] = m = np.where(inside, m - i, i - 1)
        q[at] = t = np.where(inside, (t - b) / (1 - b), t / b)
        at = at[m * np.minimum(t, 1 - t) > INVERTED]
    return (count + rng.binomial(left, q)).reshape(n.shape)


def multinomial(
    n: int, weights: Float[np.ndarray, " G"], replicates: int, rng: np.random.Generator
) -> Int[np.ndarray, "R G"]:
    """Multinomial counts of G groups in n draws: first for each half of the groups, then for each
    quarter, ...
    """
    depth = (len(weights) - 1).bit_length()
    padded = np.pad(weights, (0, 2**depth - len(weights)))
    counts = np.full((replicates, 1), n)
    for level in range(depth):
        first, second = padded.reshape(2**level, 2, -1).sum(axis=2).T
        share = np.divide(first, first + second, out=np.zeros_like(first), where=first + second > 0)
        lower = binomial(counts, share, rng)
        counts = np.stack([lower, counts - lower], axis=2).reshape(replicates, -1)
    return counts[:, : len(weights)]
