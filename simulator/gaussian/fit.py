"""Linear learners fitted to drawn pairs: `simulator.fit("linear", pairs)`.

Linear CLIP in closed form, M = S/rho (Wang et al., section 6), and the supervised learners of
`simulator.gaussian.supervised`. All are linear critics, so their accuracy under the test law needs no test set.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from simulator.accuracy import Accuracy
from simulator.gaussian import supervised
from simulator.gaussian.critic import LinearCritic, group_accuracy
from simulator.gaussian.pairs import DrawnPairs
from simulator.gaussian.statistics import covariance_critic, decision_prompts
from simulator.naming import check_known
from simulator.pixels.pairs import DrawnPixels
from simulator.prompts import PROMPTS, Prompt
from simulator.quantities import check_integer
from simulator.world import World

ESTIMATORS = ("linear", *supervised.LEARNERS)


@dataclass(frozen=True)
class Fitted:
    """A linear critic fitted to pairs, with the world that it is tested in.

    Attributes
    ----------
    estimator : str
        One of ESTIMATORS.
    world : World
        The training law of the pairs; the test law is its `test_law()`.
    frames : (D_I, D_T)
        Dictionaries of the pairs.
    weights : array
        S, (d_I, d_T), for "linear"; score vectors, one row (w_+ - w_-) for two classes and K rows otherwise, (P, d_I),
        for the others.
    embed_dim : int or None
        Rank that "linear" keeps of S.
    """

    estimator: str
    world: World
    frames: tuple[np.ndarray, np.ndarray]
    weights: Float[np.ndarray, "rows columns"]
    embed_dim: int | None = None

    def critic(self, prompt: Prompt | None = None) -> LinearCritic:
        """The fitted critic; "linear" is scaled by rho, which changes no decision.

        Parameters
        ----------
        prompt
            One of `simulator.prompts.LINEAR`.
            For "linear", "name" unless given. The others read no captions and take none.

        Raises
        ------
        ValueError
            For a prompt that the estimator does not have.
        """
        if self.estimator == "linear":
            q = decision_prompts(self.world, PROMPTS[0] if prompt is None else prompt)
            return covariance_critic(self.weights, q, self.frames, self.embed_dim)
        if prompt is not None:
            raise ValueError(f"prompt = {prompt!r} has no meaning for estimator {self.estimator!r}; leave it out")
        return LinearCritic.of_vectors(self.weights, self.frames[0])

    def accuracy(self, prompt: Prompt | None = None) -> Accuracy:
        """Accuracy under the test law: exact for two classes, see `critic.group_accuracy` for more.

        Parameters
        ----------
        prompt
            As of `critic`.

        Raises
        ------
        ValueError
            As `critic`.
        """
        (both,) = group_accuracy(self.critic(prompt), self.world.mixture(), self.world.nu_image)
        return Accuracy(*both.tolist())


def fit(estimator: str, pairs: DrawnPairs | DrawnPixels, *, embed_dim: int | None = None) -> Fitted:
    """Fit a linear learner to drawn pairs.

    Parameters
    ----------
    estimator : str
        "linear": linear CLIP at the minimum of its loss, M = S/rho with S the unbiased sample cross-covariance.
        "logistic", "least-squares", "max-margin": supervised on images and labels, without intercept.
    pairs : DrawnPairs
        From `World.draw` of a Gaussian world.
    embed_dim : int, optional
        Width of the embedding of "linear": the rank kept of S, all of it unless given.

    Returns
    -------
    Fitted

    Raises
    ------
    ValueError
        For an unknown estimator, pairs of pixels, embed_dim where it has no meaning or below 1, and "linear" on a
        single pair.
    SeparabilityError
        For logistic regression on separable pairs, and max-margin on pairs that are not.

    >>> world = World(p_spu=0.95, mu_spu=2.0, dim_image=8, dim_text=8)
    >>> found = fit("linear", world.draw(1000, seed=0))
    >>> found.accuracy("name").drop > 0.3
    True
    """
    check_known("estimator", estimator, ESTIMATORS)
    if isinstance(pairs, DrawnPixels):
        raise ValueError(
            "pairs of pixels have no linear critic whose accuracy a formula knows; simulator.train learns them"
        )
    images, texts = (x.double().cpu().numpy() for x in (pairs.images, pairs.texts))
    if estimator == "linear":
        if embed_dim is not None:
            check_integer("embed_dim", embed_dim)
            if embed_dim < 1:
                raise ValueError(f"embed_dim = {embed_dim} is below 1; the nearest valid value is 1")
        return Fitted(estimator, pairs.world, pairs.frames, sample_covariance(images, texts), embed_dim)
    if embed_dim is not None:
        raise ValueError(f"embed_dim = {embed_dim} has no meaning for estimator {estimator!r}; leave it out")
    rule = supervised.fit(estimator, images, pairs.labels.cpu().numpy(), pairs.world.classes)
    return Fitted(estimator, pairs.world, pairs.frames, rule)


def sample_covariance(
    images: Float[np.ndarray, "n dI"], texts: Float[np.ndarray, "n dT"], weights: Float[np.ndarray, " n"] | None = None
) -> Float[np.ndarray, "dI dT"]:
    """S, the unbiased sample cross-covariance; for weighted pairs, of the weighted law."""
    n = len(images)
    if n < 2:
        raise ValueError(f"n = {n} pair has no sample covariance; the nearest valid value is 2")
    if weights is None:
        return (images - images.mean(axis=0)).T @ (texts - texts.mean(axis=0)) / (n - 1)
    x, t = weights[:, None] * images, weights[:, None] * texts
    return x.T @ texts / n - (np.outer(x.sum(axis=0), t.sum(axis=0)) - x.T @ t) / (n * (n - 1))
