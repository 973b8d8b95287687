"""The best found trade of common against counter accuracy, and each head's place on it.

H heads answer the same photos. Head j has group accuracies (c_j, k_j). Some heads j are traced over group weights;
the concave hull of their points is a lower bound of the ideal curve of the embeddings. With the common group's weight
lambda, head i lacks
    R(lambda) = max_j lambda (c_j - c_i) + (1 - lambda) (k_j - k_i),
which is convex in lambda. Its minimiser p' is the relative equivalent correlation, its minimum r the shortfall: a
mixture of traced heads gains r on both groups at once, and the ideal classifier at least that. Where r < 0 head i is
better than the hull, and r = 0 stands for it. p' may move either way when a better head is found.

Errors. V is the covariance of all accuracies: over photos (classes are fixed; a class's accuracy is a binomial mean),
or over classes (drawn from a population). With s_j(lambda) the standard error of head j's lead over head i, and q a
quantile for both groups' accuracies at once, r lies between
    min over lambda of the best head's lead - q s   and   min over lambda of max_j (lead_j + q s_j).
The interval of p' holds the percentiles of p' for accuracies drawn from N(found, V). It is taken at a smaller tail than
r's, since a minimum over a hull scatters more than its draws say. The hull's last head is the one with the highest
accuracy found on one group. Draws repeat this choice. So an interval that reaches an end also holds all weights whose
best head may be as accurate on that group as the last one.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.special import chdtri, expit, ndtri, stdtrit

from simulator.accuracy import LEVEL

WEIGHTS = np.concatenate([[0.0], expit(np.linspace(-8, 8, 321)), [1.0]])
SIDES = np.stack([WEIGHTS, 1 - WEIGHTS])  # of common and counter accuracy
NORMAL = float(ndtri((1 + LEVEL) / 2))  # the quantile of a two-sided interval
SIMULTANEOUS = float(np.sqrt(chdtri(2, 1 - LEVEL)))  # the same for both groups' accuracies at once
DRAWS, TAIL = 400, 0.01  # of p'


def worth(photos: np.ndarray) -> np.ndarray | np.float64:
    """The number of photos of one class that would give a mean as certain as that over classes with so many photos."""
    return len(photos) ** 2 / (1 / photos).sum(axis=0)


@dataclass(frozen=True)
class Accuracies:
    """Group accuracies of H heads on the same photos, means over classes."""

    photos: Int[np.ndarray, "C 2"]
    by_class: Float[np.ndarray, "C 2 H"]
    covariance: Float[np.ndarray, "2 H 2 H"]  # of the means, over photos

    @property
    def mean(self) -> Float[np.ndarray, "2 H"]:
        return self.by_class.mean(axis=0)

    @property
    def worth(self) -> Float[np.ndarray, " 2"]:
        return worth(self.photos)

    def correct(self, i: int) -> Int[np.ndarray, "C 2"]:
        """Right answers of head i."""
        return np.rint(self.by_class[:, :, i] * self.photos).astype(int)

    def lead_error(self, i: int, j: int) -> Float[np.ndarray, " 2"]:
        """The standard error of head i's lead over head j, with one more lead and one more lag than were seen."""
        # Otherwise heads that never differ on these photos would be known to be equal (Agresti and Coull).
        V = np.array([self.covariance[g, :, g, :] for g in (0, 1)])
        return np.sqrt(np.maximum(V[:, i, i] + V[:, j, j] - 2 * V[:, i, j], 0) + 2 / self.worth**2)

    @property
    def over_classes(self) -> Float[np.ndarray, "2 H 2 H"]:
        """The covariance over classes, for normal quantiles in place of Student's."""
        C, flat = len(self.by_class), self.by_class.reshape(len(self.by_class), -1)
        wider = stdtrit(C - 1, (1 + LEVEL) / 2) / NORMAL
        return (wider**2 * np.cov(flat.T) / C).reshape(self.covariance.shape)


def accuracies(
    right: Shaped[np.ndarray, "N H"], label: Int[np.ndarray, " N"], common: Bool[np.ndarray, " N"]
) -> Accuracies:
    """Accuracies of each class and group, whose photos are independent. Every class needs two photos in each group."""
    C, H = int(label.max()) + 1, right.shape[1]
    photos, by_class, covariance = np.zeros((C, 2), dtype=int), np.zeros((C, 2, H)), np.zeros((2, H, 2, H))
    for y in range(C):
        for g, member in enumerate((common, ~common)):
            answers = right[(label == y) & member].astype(np.float32)
            n, mean = len(answers), answers.mean(axis=0, dtype=float)
            photos[y, g], by_class[y, g] = n, mean
            within = (answers.T @ answers).astype(float) / n - np.outer(mean, mean)
            covariance[g, :, g, :] += within / (n - 1) / C**2
    return Accuracies(photos, by_class, covariance)


def place(mean: Float[np.ndarray, "2 H"], traced: Int[np.ndarray, " J"], i: int) -> tuple[float, float]:
    """(p', r) of head i against the hull of the traced heads, for these exact accuracies."""
    regret = (SIDES.T @ (mean[:, traced] - mean[:, [i]])).max(axis=1)
    return float(_lowest(regret[None])[0]), max(float(regret.min()), 0.0)


class Place(NamedTuple):
    """A head's p' and r with their intervals."""

    correlation: float
    shortfall: float
    correlation_interval: tuple[float, float]
    shortfall_interval: tuple[float, float]


def places(
    mean: Float[np.ndarray, "2 H"],
    covariance: Float[np.ndarray, "2 H 2 H"],
    traced: Int[np.ndarray, " J"],
    heads: Int[np.ndarray, " I"],
    rng: np.random.Generator,
) -> list[Place]:
    """Where each of these heads stands against the hull of the traced heads."""
    values, vectors = np.linalg.eigh(covariance.reshape(mean.size, -1))
    root = vectors * np.sqrt(np.maximum(values, 0))
    drawn = mean + (rng.standard_normal((DRAWS, mean.size)) @ root.T).reshape(DRAWS, *mean.shape)
    hulls = np.array([(one.T @ SIDES).max(axis=0) for one in drawn[:, :, traced]])  # (R, L)
    found = []
    for i in heads.tolist():
        p, r = place(mean, traced, i)
        lead = SIDES.T @ (mean[:, traced] - mean[:, [i]])
        reach = SIMULTANEOUS * _lead_errors(covariance, traced, i)
        best = lead.argmax(axis=1)[:, None]
        least = float(np.take_along_axis(lead - reach, best, axis=1).min())
        most = float((lead + reach).max(axis=1).min())
        low, high = np.quantile(_lowest(hulls - drawn[:, :, i] @ SIDES), [TAIL, 1 - TAIL]).tolist()
        if high == 1:
            low = min(low, _tied(mean[0], covariance[0, :, 0, :], traced[best[:, 0]], -1).min())
        if low == 0:
            high = max(high, _tied(mean[1], covariance[1, :, 1, :], traced[best[:, 0]], 0).max())
        found.append(Place(p, r, (min(low, p), max(high, p)), (min(max(least, 0.0), r), max(most, r))))
    return found


def _tied(
    accuracy: Float[np.ndarray, " H"], V: Float[np.ndarray, "H H"], best: Int[np.ndarray, " L"], end: int
) -> np.ndarray:
    """Weights whose best head is not surely less accurate on one group than the best head at an end."""
    last = best[end]
    error = np.sqrt(np.maximum(V[last, last] + V[best, best] - 2 * V[last, best], 0))
    return WEIGHTS[accuracy[last] - accuracy[best] <= NORMAL * error]


def _lowest(regret: Float[np.ndarray, "R L"]) -> Float[np.ndarray, " R"]:
    """The weight at which each row is least; the middle, if it is least at several."""
    least = regret <= regret.min(axis=1, keepdims=True) + 1e-12
    first, last = least.argmax(axis=1), len(WEIGHTS) - 1 - least[:, ::-1].argmax(axis=1)
    return (WEIGHTS[first] + WEIGHTS[last]) / 2


def _lead_errors(covariance: np.ndarray, traced: np.ndarray, i: int) -> Float[np.ndarray, "L J"]:
    """Standard errors of the traced heads' leads over head i."""
    V = covariance - covariance[:, [i]]
    V = V - V[:, :, :, [i]]  # of accuracies minus head i's
    V_c, V_k, C = (V[g, traced, h, traced] for g, h in ((0, 0), (1, 1), (0, 1)))
    lam, other = WEIGHTS[:, None], 1 - WEIGHTS[:, None]
    return np.sqrt(np.maximum(lam**2 * V_c + other**2 * V_k + 2 * lam * other * C, 0))


def hull(mean: Float[np.ndarray, "2 H"], traced: Int[np.ndarray, " J"]) -> list[int]:
    """Traced heads on their concave hull, from the highest counter accuracy to the highest common accuracy."""
    return list(dict.fromkeys(traced[(SIDES.T @ mean[:, traced]).argmax(axis=1)].tolist()))
