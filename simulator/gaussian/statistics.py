"""Exact laws of linear CLIP trained on n pairs, at a cost that does not grow with n.

The linearised contrastive loss L = -<M, S> + rho/2 ||M||_F^2 has the minimiser M* = S/rho with S
the unbiased sample cross-covariance of the views. Accuracies need only D_I' S D_T q and the norm of
S D_T q. Their joint law follows from Gaussian means and Wishart scatters of the projected views
(`projected_critics`, O(l^3) per replicate). Narrow embeddings truncate S, so `cross_covariance`
draws all of it (O(d^3)). Neither draws a pair.

Letters: G groups, K classes, l latents, P prompts, R replicates; V the scatter of (D_I' x_I, D_T'
x_T).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from simulator.accuracy import Numbers, rounded
from simulator.exact_counts import multinomial
from simulator.gaussian.critic import LinearCritic, Projected, removed_captions, without_captions
from simulator.mixture import Mixture, PairedGroups
from simulator.prompts import Prompt
from simulator.quantities import check_count
from simulator.streams import numpy_stream
from simulator.world import World

# of the modes, by singular values
Strength = Callable[[Float[np.ndarray, "*r h"]], Float[np.ndarray, "*r h"]]

FIRST_BLOCK, LARGEST_BLOCK = 64, 1024  # replicates that are drawn at once
LARGEST_N = 10**12  # multinomial counts and their float64 square roots are exact well beyond it


def projected_critics(
    world: World, prompt: Prompt, n: int, replicates: int, seed: int, stream: str = "projected"
) -> Iterator[LinearCritic]:
    """Score vectors S D_T q of linear CLIP trained on n pairs, in blocks; more replicates do not
    change the first.
    """
    mixture = world.mixture().seen
    q = decision_prompts(world, prompt)
    for rng, size, used in replicate_blocks(mixture, n, replicates, seed, stream):
        rows = _scatter_rows(mixture, n, size, world.nu_image, world.nu_text, rng)
        V = rows.transpose(0, 2, 1) @ rows / (n - 1)
        l = len(mixture.variances)
        inside = q @ V[:, :l, l:].transpose(0, 2, 1)  # (R, P, l): u = V_IT q
        outside = world.nu_image * q @ V[:, l:, l:] @ q.T / (n - 1)
        further = world.dim_image - l  # coordinates outside the dictionary
        outside = _wishart_like(outside, further, rng) if further else np.zeros_like(outside)
        yield LinearCritic(inside[:used], outside[:used])


def projected_scatter(
    world: World, n: int, replicates: int, seed: int, stream: str = "scatter"
) -> Iterator[Float[np.ndarray, "R two_l two_l"]]:
    """Sample covariance (divisor n - 1) of the projected views (D_I' x_I, D_T' x_T), in blocks of
    replicates.
    """
    mixture = world.mixture().seen
    for rng, size, used in replicate_blocks(mixture, n, replicates, seed, stream):
        rows = _scatter_rows(mixture, n, size, world.nu_image, world.nu_text, rng)[:used]
        yield rows.transpose(0, 2, 1) @ rows / (n - 1)


def labelled_moments(
    world: World, n: int, replicates: int, seed: int, stream: str = "labelled"
) -> Iterator[tuple[Float[np.ndarray, "R c c"], Float[np.ndarray, "R c"]]]:
    """(mean of x x', mean of y x) of n labelled images of a two-class world, in blocks of
    replicates.

    Exact where the dictionary fills the view. With a table x has a 1 after its l coordinates, for
    the intercept.
    """
    # labels belong to their images
    mixture = replace(world.mixture().seen, mismatch=0.0, bare=0.0)
    l = world.latents
    if world.classes != 2 or world.dim_image != l:
        raise ValueError(
            f"classes = {world.classes}, dim_image = {world.dim_image}: labelled moments need 2"
            f" classes and dim_image = {l}, the number of latents"
        )
    sign = np.repeat(1 - 2 * mixture.labels, len(mixture.pairs))
    for rng, size, used in replicate_blocks(mixture, n, replicates, seed, stream):
        within, counts, means = _subgroup_statistics(
            mixture, n, size, world.nu_image, world.nu_text, rng
        )
        within = within[:used, :, :l]
        counts = counts[:used]
        means = means[:used, :, :l]
        share = counts / n
        if world.table is not None:
            within = np.pad(within, [(0, 0), (0, 0), (0, 1)])
            means = np.pad(means, [(0, 0), (0, 0), (0, 1)], constant_values=1.0)
        second = within.transpose(0, 2, 1) @ within / n + np.einsum(
            "rs,rsi,rsj->rij", share, means, means
        )
        yield second, np.einsum("rs,s,rsi->ri", share, sign, means)


def full_critics(
    world: World,
    prompt: Prompt,
    n: int,
    replicates: int,
    seed: int,
    stream: str = "full",
    *,
    strength: Strength | None = None,
    projected: Projected = False,
) -> Iterator[LinearCritic]:
    """Critics of `projected_critics` that need all of S, in `first_coordinates`: no law depends on
    dictionaries.

    If `projected`, embeddings of balanced towers lose the directions of `removed_captions`.
    """
    _check_request(n, replicates)
    q = decision_prompts(world, prompt)
    frames = first_coordinates(world)
    removed = removed_captions(world, projected)
    for r in range(replicates):
        (S,) = cross_covariance(world, n, 1, numpy_stream(seed, stream, r))
        yield covariance_critic(S, without_captions(S, q, frames[1], removed), frames, strength)


def first_coordinates(world: World) -> tuple[Float[np.ndarray, "dI l"], Float[np.ndarray, "dT l"]]:
    """The simplest dictionaries (D_I, D_T), the first l unit vectors, for laws that do not depend
    on them.
    """
    return np.eye(world.dim_image, world.latents), np.eye(world.text_width, world.latents)


def covariance_critic(
    S: Float[np.ndarray, "*R dI dT"],
    q: Float[np.ndarray, "... P l"],
    frames: tuple[Float[np.ndarray, "dI l"], Float[np.ndarray, "dT l"]],
    strength: Strength | None = None,
) -> LinearCritic:
    """The critics M = S; q may differ from critic to critic. With `strength`, M has it in place of
    S's singular values.

    Scores of rounding errors alone become zero.
    """
    prompts = q @ frames[1].T
    if strength is None:
        w = prompts @ np.swapaxes(S, -1, -2)
    else:
        left, values, right = np.linalg.svd(S, full_matrices=False)
        values = strength(values)
        w = (prompts @ np.swapaxes(right, -1, -2) * values[..., None, :]) @ np.swapaxes(
            left, -1, -2
        )
    largest = np.linalg.norm(prompts, axis=-1) * np.linalg.norm(S, axis=(-2, -1))[..., None]
    silent = rounded(np.linalg.norm(w, axis=-1), largest) == 0
    return LinearCritic.of_vectors(np.where(silent[..., None], 0.0, w), frames[0])


def cross_covariance(
    world: World, n: int, replicates: int, rng: np.random.Generator
) -> Float[np.ndarray, "R dI dT"]:
    """Draws of S, the unbiased sample cross-covariance of n pairs, in the dictionaries of
    `first_coordinates`.

    The latents' scatter occupies r = min(2l, n - 1) of the n - 1 centred rows. There the rotated
    views are R D' + noise. The other m rows are pure noise and enter through Xi_I' Xi_T = A G, with
    A lower triangular, A A' ~ Wishart_{d_I}(m) (Bartlett) and G a normal matrix. (A' G has the same
    singular values and the wrong rows.)
    """
    mixture = world.mixture().seen
    if mixture.bare:
        raise ValueError(
            f"bare = {mixture.bare:g}: narrow or projected embeddings of n pairs have no exact law"
            " beside bare captions, which have no view noise; draw the pairs, or set bare = 0"
        )
    l = len(mixture.variances)
    dI = world.dim_image
    dT = world.dim_text
    R = replicates
    noise = np.sqrt(world.nu_image), np.sqrt(world.nu_text)
    r = min(2 * l, n - 1)
    # (R, r, 2l), each Gram matrix the scatter of (z_I, z_T)
    latent = _triangles(_scatter_rows(mixture, n, R, 0.0, 0.0, rng))[:, :r]
    image = noise[0] * rng.standard_normal((R, r, dI))
    text = noise[1] * rng.standard_normal((R, r, dT))
    image[..., :l] += latent[..., :l]
    text[..., :l] += latent[..., l:]
    S = image.transpose(0, 2, 1) @ text
    if noise[0] * noise[1] > 0 and n - 1 > r:
        S += noise[0] * noise[1] * _noise_products(n - 1 - r, R, dI, dT, rng)
    return S / (n - 1)


def decision_prompts(world: World, prompt: Prompt) -> Float[np.ndarray, "P l"]:
    """Latent prompts of a decision: q_+ - q_- for two classes, all q_y otherwise."""
    q = world.prompts(prompt)
    return rounded(q[:1] - q[1:], np.abs(q).max(axis=0)) if world.classes == 2 else q


def _check_request(n: int, replicates: int) -> None:
    check_count("n", n, 2, LARGEST_N)
    check_count("replicates", replicates, 1)


def replicate_blocks(mixture: Mixture, n: int, replicates: int, seed: int, stream: str):
    """Yield (generator, block size, replicates used); blocks double, and depend on the numbers per
    replicate alone.
    """
    _check_request(n, replicates)
    numbers = sum(part.means.size for part in mixture.pairs)
    largest = max(1, min(LARGEST_BLOCK, 2**18 // numbers))
    done = 0
    block = 0
    size = min(FIRST_BLOCK, largest)
    while done < replicates:
        yield numpy_stream(seed, stream, block), size, min(size, replicates - done)
        done = done + size
        block = block + 1
        size = min(done, largest)


def _scatter_rows(
    mixture: Mixture, n: int, R: int, nu_image: Numbers, nu_text: Numbers, rng: np.random.Generator
) -> Float[np.ndarray, "R N two_l"]:
    """Rows whose Gram matrix is one draw of the centred scatter V of n projected pairs."""
    within, counts, means = _subgroup_statistics(mixture, n, R, nu_image, nu_text, rng)
    means -= np.einsum("rs,rsc->rc", counts / n, means)[:, None]
    means *= np.sqrt(counts)[..., None]
    return np.concatenate([within, means], axis=1)


def _subgroup_statistics(
    mixture: Mixture, n: int, R: int, nu_image: Numbers, nu_text: Numbers, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "R W two_l"], Int[np.ndarray, "R S"], Float[np.ndarray, "R S two_l"]]:
    """Rows of the scatter within subgroups, counts and means of the subgroups (`Mixture.pairs`).

    Given the counts k, a subgroup's mean is N([m; b m], Sig_b/k) and its scatter Wishart(k - 1,
    Sig_b), with Sig_b = [[sigma^2 + nu_I, g b sigma^2], [g b sigma^2, b^2 sigma^2 + nu_T]] in each
    coordinate, g its detail, b the multiple of it that the caption shows. Subgroups that share the
    mask b share Sig_b, so their scatters add up to one Wishart of the summed degrees of freedom.
    Means of empty subgroups are never used. If the caption belongs to another pair, g is 0. A bare
    caption has the mean of its label and no variance.
    """
    l = len(mixture.variances)
    pairs = mixture.pairs
    G = len(mixture.labels)
    P = len(pairs) // 2 if mixture.mismatch else len(pairs)
    # Pairs that match are counted group by group, all masks of a group together.
    places = [np.arange(G) * P + j for j in range(P)]
    S = G * P
    for part in pairs[P:]:
        places = [*places, S + np.arange(len(part.weights))]
        S = S + len(part.weights)
    weights = np.empty(S)
    for part, at in zip(pairs, places, strict=True):
        weights[at] = part.weights
    counts = multinomial(n, weights, R, rng)
    within = []
    means = np.empty((R, S, 2 * l))
    for part, at in zip(pairs, places, strict=True):
        factor = _cholesky(mixture.variances, part, nu_image, nu_text)
        count = counts[:, at]
        freedom = np.maximum(count - 1, 0).sum(axis=1)
        within.append(_correlate(_wishart_rows(freedom, 2 * l, rng), *factor))
        mean = _correlate(rng.standard_normal((R, len(at), 2 * l)), *factor)
        mean /= np.sqrt(np.maximum(count, 1))[..., None]
        means[:, at] = mean + part.means
    return np.concatenate(within, axis=1), counts, means


def _cholesky(
    variances: Float[np.ndarray, " l"], part: PairedGroups, nu_image: Numbers, nu_text: Numbers
):
    """(a11, a21, a22), the Cholesky factor of Sig_b coordinate by coordinate: [[a11, 0], [a21,
    a22]].
    """
    shared = part.mask**2 * variances
    g = part.detail
    a11 = np.sqrt(variances + nu_image)
    a21 = np.divide(part.mask * g * variances, a11, out=np.zeros(len(shared)), where=a11 > 0)
    # b^2 sigma^2 + nu_T - a21^2 without cancellation as nu_I -> 0:
    rest = shared * ((1 - g**2) * variances + nu_image)
    rest = np.divide(rest, a11**2, out=np.zeros(len(shared)), where=a11 > 0)
    return a11, a21, np.sqrt(part.noise * nu_text + rest)


def _correlate(x: Float[np.ndarray, "*s two_l"], a11, a21, a22) -> Float[np.ndarray, "*s two_l"]:
    """Give standard normal rows (first half, second half) the covariance Sig_b, coordinate by
    coordinate, in place.
    """
    first, second = np.split(x, 2, axis=-1)
    second *= a22
    second += a21 * first
    first *= a11
    return x


def _wishart_rows(
    freedom: Int[np.ndarray, " R"], dimension: int, rng: np.random.Generator
) -> Float[np.ndarray, "R dimension dimension"]:
    """Rows T with T'T ~ Wishart_dimension(freedom, I): Bartlett's triangles, or fewer rows of
    normals.
    """
    R = len(freedom)
    degrees = freedom[:, None] - np.arange(dimension)
    T = np.triu(rng.standard_normal((R, dimension, dimension)), k=1)
    diagonal = np.sqrt(2 * rng.standard_gamma(np.maximum(degrees, 1) / 2))
    T[:, np.arange(dimension), np.arange(dimension)] = diagonal
    few = freedom < dimension
    if few.any():
        free = np.arange(dimension)[:, None] < freedom[few, None, None]
        T[few] = rng.standard_normal((int(few.sum()), dimension, dimension)) * free
    return T


def _wishart_like(
    gram: Float[np.ndarray, "R P P"], freedom: int, rng: np.random.Generator
) -> Float[np.ndarray, "R P P"]:
    """One Wishart_P(freedom, gram) per replicate: the Gram matrix of noise rows with that
    covariance.
    """
    R, P, _ = gram.shape
    if P == 1:
        return gram * (2 * np.asarray(rng.standard_gamma(freedom / 2, size=R)))[:, None, None]
    T = _wishart_rows(np.full(R, freedom), P, rng)
    values, vectors = np.linalg.eigh(gram)
    half = T @ (np.sqrt(np.maximum(values, 0))[:, :, None] * vectors.transpose(0, 2, 1))
    return half.transpose(0, 2, 1) @ half


def _triangles(rows: Float[np.ndarray, "R N c"]) -> Float[np.ndarray, "R c c"]:
    """R with R'R = rows'rows per replicate, the same on every machine.

    A coordinate that all captions mention is in both latents. Its second column adds no rank, and
    gets no row: QR's would be rounding errors, which rotate the rows after it.
    """
    size = np.abs(np.diagonal(np.linalg.qr(rows, mode="r"), axis1=1, axis2=2))
    large = size > 1e-10 * size.max(axis=1, keepdims=True)
    triangles = np.zeros((len(rows), *[rows.shape[2]] * 2))
    for columns in np.unique(large, axis=0):
        same = (large == columns).all(axis=1)
        Q, _ = np.linalg.qr(rows[same][..., columns])
        triangles[same, : Q.shape[2]] = Q.transpose(0, 2, 1) @ rows[same]
    return triangles


def _noise_products(
    m: int, R: int, dI: int, dT: int, rng: np.random.Generator
) -> Float[np.ndarray, "R dI dT"]:
    """Xi_I' Xi_T for m rows of standard normals each."""
    # a tenth of the start-up time of `predict`, up to scipy 1.17
    from scipy.linalg.blas import dtrmm

    if m < dI:
        return rng.standard_normal((R, m, dI)).transpose(0, 2, 1) @ rng.standard_normal((R, m, dT))
    A = np.tril(rng.standard_normal((R, dI, dI)), k=-1)
    A[:, np.arange(dI), np.arange(dI)] = np.sqrt(
        2 * rng.standard_gamma((m - np.arange(dI)) / 2, (R, dI))
    )
    G = rng.standard_normal((R, dI, dT))
    # G' A' computed in Fortran order is (A G)' without a copy: A.T is upper triangular to BLAS.
    return np.array([dtrmm(1.0, a.T, g.T, side=1, lower=0).T for a, g in zip(A, G, strict=True)])
