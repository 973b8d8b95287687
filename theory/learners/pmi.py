"""The PMI's preference between the two prompts of a binary world with one attribute.

log p(x_I, p_+) > log p(x_I, p_-) iff g(x) = log N(x) - log N(-x) > 0. N is the part of the joint
density of image and p_+ that differs between the prompts. A block's state is its kind of caption
(`World.caption_kinds`), silence the last. N sums over the patterns of both blocks' states that tell
of a block in which the prompts differ, and over the classes (a_0, a_1) that the two blocks show.
The other patterns are equal for both and cancel. The label is summed out: E a_0 a_1 = D = D_inv
D_spu. Image and caption of a block share the variance v = g sigma^2 and have n_I = nu_I + (1 - g)
sigma^2 and n_T = nu_T + (1 - g) sigma^2 alone (g: the block's detail). With the determinant det = v
(n_I + n_T) + n_I n_T and S = sigma^2 + nu_I, a block with mean mu and prompt q contributes, given
the class a that it shows,
    told        exp(A x + a (u + B x) - c x^2),   A = v q/det, B = mu n_T/det, u = mu q n_I/det,
                                                  c = (v + n_T)/(2 det),
    silent      exp(a B x - c x^2),               B = mu/S, c = 1/(2 S),
times constants. Captions that show r times the block have q/r in place of q, and nu_T/r^2 in place
of nu_T. With alpha = sum_b A_b x_b, v = B x and tanh of all of them, a pattern m has
    N_m(x) - N_m(-x) = W_m (alpha E + O),   E = 1 + u_0 u_1 v_0 v_1 + D (u_0 u_1 + v_0 v_1),
    N_m(x) + N_m(-x) = W_m (E + alpha O),   O = u_0 v_0 + u_1 v_1 + D (u_0 v_1 + u_1 v_0),
    W_m = exp(const - c_0 x_0^2 - c_1 x_1^2) cosh(alpha) prod_b cosh(u_b) cosh(v_b).
So tanh(g/2) is a ratio of sums over patterns, precise where g is tiny, for instance where mu_inv
is: differences of log densities, about 1, would leave only rounding. Where large terms cancel in E
+ alpha O, they are compared as exponents.

Without noise in captions (nu_T = 0) a silent caption is exactly 0. Then a nonzero coordinate of a
prompt mentions its block, and a zero coordinate is silent if captions may be silent.
"""

from functools import reduce
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from simulator.prompts import Prompt
from simulator.world import World

# Exponents below this do not change a sum of at least 1, and exp is thirty times slower where it
# underflows.
NOTHING = -100.0
# of the largest exponent: where g is less steep, rounding of exponents would move its root by 1e-10
FLAT = 1e-6
SOUND = 0.1  # share of the W_m that must be left in the sum N(x) + N(-x) for a ratio of sums
LARGEST = 1 - 1e-15  # tanh(g/2) that is resolved
# 1 - tanh(g/2)^2 below which slopes are understated, so that Newton steps end in halvings
STEEP = 0.4


class Preference(NamedTuple):
    """g and its gradient at points x of W worlds, by the numbers of N for every block and state.

    x is in standard deviations of an image within its group, with signs that make the means `mean`
    not negative.
    """

    # Of both blocks' states, each block showing the class that explains its caption best; -inf if
    # absent. Sums of the docstring's constants and |u| would cancel where captions have little
    # noise.
    log_weight: Float[np.ndarray, "s s W"]
    lift: Float[np.ndarray, "2 s W"]  # A
    pull: Float[np.ndarray, "2 s W"]  # B
    prior: Float[np.ndarray, "2 s W"]  # u
    # c; one pattern's curve has no influence, but rounding would have: it is 0
    curve: Float[np.ndarray, "2 s W"]
    correlation: Float[np.ndarray, " W"]  # D
    mean: Float[np.ndarray, "2 W"]
    deviation: Float[np.ndarray, "2 s W"]  # of the exponentials
    exponentials: Float[np.ndarray, "5 C W"]  # in N: curves, slopes and constant of each

    @property
    def plain(self) -> Bool[np.ndarray, " W"]:
        """Whether one pattern of states explains the prompts."""
        return np.isfinite(self.log_weight).sum(axis=(0, 1)) == 1

    def of(self, worlds) -> "Preference":
        """At the worlds `worlds` (an index) alone; an index with None adds an axis of points."""
        index = (..., *worlds) if isinstance(worlds, tuple) else (..., worlds)
        # Contiguous, since sums over components that lie next to each other take four times longer.
        return Preference(*(np.ascontiguousarray(field[index]) for field in self))

    def exchanged(self, chosen: Bool[np.ndarray, " W"]) -> "Preference":
        """With both blocks exchanged in the chosen worlds."""
        blockwise = ("lift", "pull", "prior", "curve", "mean", "deviation")
        other = self._replace(
            **{name: getattr(self, name)[::-1] for name in blockwise},
            log_weight=self.log_weight.swapaxes(0, 1),
            exponentials=self.exponentials[[1, 0, 3, 2, 4]],
        )
        return Preference(
            *(np.where(chosen, new, old) for new, old in zip(other, self, strict=True))
        )

    def __call__(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(g, dg/dx, dg/dy) at block coordinates x and y."""
        g, along_x, along_y, largest = self._by_exponents(x, y)
        flat = np.hypot(along_x, along_y) < FLAT * (1 + largest)
        if flat.any():
            part, *points = self._points(flat, x, y)
            odd, even, size, slopes = part._balance(*points)
            sound = even > SOUND * size
            flat[flat] = sound
            even = even[sound]
            ratio = np.clip(odd[sound] / even, -LARGEST, LARGEST)
            g[flat] = 2 * np.arctanh(ratio)
            for along, (rise, rise_even) in zip((along_x, along_y), slopes, strict=True):
                along[flat] = (
                    2
                    * (rise[sound] - ratio * rise_even[sound])
                    / (even * np.maximum(1 - ratio**2, STEEP))
                )
        return g, along_x, along_y

    def positive(self, x: np.ndarray, y: np.ndarray) -> Bool[np.ndarray, "..."]:
        """Whether g > 0."""
        odd, even, size, _ = self._balance(x, y, slopes=False)
        result = odd > 0
        unsound = (even <= SOUND * size) & (np.abs(odd) < 1e-9 * size)
        if unsound.any():
            part, *points = self._points(unsound, x, y)
            result[unsound] = part._by_exponents(*points)[0] > 0
        return result

    def _points(self, chosen: Bool[np.ndarray, "..."], x: np.ndarray, y: np.ndarray):
        """The preference at the chosen points alone, and their coordinates."""
        lead, shape = self.correlation.ndim, chosen.shape
        points = (np.broadcast_to(t, shape)[chosen] for t in (x, y))
        fields = (
            np.broadcast_to(f, (*f.shape[: f.ndim - lead], *shape))[..., chosen] for f in self
        )
        return Preference(*fields), *points

    def _balance(self, x: np.ndarray, y: np.ndarray, slopes: bool = True):
        """N(x) - N(-x), N(x) + N(-x) and sum W_m, up to a factor; slopes of the first two along x
        and y.
        """
        D = self.correlation
        states = range(self.lift.shape[1])
        logs = []
        parts = []
        blocks = [[_block(self, b, state, t) for state in states] for b, t in enumerate((x, y))]
        for i, j in _patterns(self.log_weight) or [(0, 0)]:  # any, if there is no world
            A0, u0, v0, slope0, log0, factor0, rise0 = blocks[0][i]
            A1, u1, v1, slope1, log1, factor1, rise1 = blocks[1][j]
            log, factor, tanh, slope = _cosh(A0 * x + A1 * y)
            E = 1 + u0 * u1 * v0 * v1 + D * (u0 * u1 + v0 * v1)
            O = u0 * v0 + u1 * v1 + D * (u0 * v1 + u1 * v0)
            factor = factor * factor0 * factor1
            logs.append(self.log_weight[i, j] + log + log0 + log1)
            odd = tanh * E + O
            even = E + tanh * O
            terms = [factor, odd * factor, even * factor]
            both = (A0, u0, slope0, rise0, u1, v1), (A1, u1, slope1, rise1, u0, v0)
            for A, u, own, rise, other_u, other_v in both if slopes else ():
                dE = own * (u * other_u + D) * other_v
                dO = own * (u + D * other_u)
                bend = A * slope
                rise = rise + A * tanh
                terms.append((bend * E + tanh * dE + dO + rise * odd) * factor)
                terms.append((bend * O + tanh * dO + dE + rise * even) * factor)
            parts.append(terms)
        top = reduce(np.maximum, logs)
        weights = [np.exp(np.maximum(log - top, NOTHING)) for log in logs]
        size, odd, even, *rest = (
            sum(w * term for w, term in zip(weights, terms, strict=True))
            for terms in zip(*parts, strict=True)
        )
        return odd, even, size, (rest[:2], rest[2:])

    def _by_exponents(self, x: np.ndarray, y: np.ndarray):
        """(g, dg/dx, dg/dy, largest exponent), from log-sum-exps of both N(x) and N(-x).

        Rounding is a few eps of the largest exponent, about mean^2/nu; the slope of g is mean/nu.
        """
        curve_x, curve_y, slope_x, slope_y, constant = self.exponentials
        even = constant - curve_x * (x * x) - curve_y * (y * y)
        odd = slope_x * x + slope_y * y
        value = np.zeros(())
        share = []
        largest = np.abs(odd).max(axis=0)
        for sign in (1, -1):
            exponent = even + odd if sign > 0 else even - odd
            top = exponent.max(axis=0)
            largest = np.maximum(largest, np.abs(top))
            exponent = np.maximum(exponent - top, NOTHING)
            weight = np.exp(exponent, out=exponent)
            total = weight.sum(axis=0)
            value = value + sign * (top + np.log(total))
            share.append(np.divide(weight, total, out=weight))
        # d exponent/dx = +-slope - 2 curve x, averaged over the components
        both = share[0] + share[1]
        gap = share[0] - share[1]
        along_x = (both * slope_x).sum(axis=0) - 2 * x * (gap * curve_x).sum(axis=0)
        along_y = (both * slope_y).sum(axis=0) - 2 * y * (gap * curve_y).sum(axis=0)
        return value, along_x, along_y, largest


def prompt_preference(worlds: World, prompt: Prompt) -> Preference:
    """The preference in all worlds of a grid, in C order."""
    by_block = (
        worlds.mean,
        worlds.prompt(prompt),
        worlds.agreement,
        worlds.correlation,
        worlds.image_variance,
    )
    mean, q, (p_inv, p_spu), D, S = (x.reshape(-1, 2).T for x in by_block)  # (block, W)
    q = np.where(mean < 0, -q, q)
    mean = np.abs(mean)
    D = D.prod(axis=0)
    nu_T = worlds.nu_text.ravel()
    silence = worlds.caption_kinds.silence.reshape(-1, 2).T
    unit = np.sqrt(S)
    none = np.zeros_like(q)
    may_tell = (nu_T > 0) | (q != 0) | (silence == 0)
    states = []
    for chance, r in worlds.caption_kinds.every:
        if r:
            variances = worlds.variances(r)
            chance = np.where(may_tell, chance.reshape(-1, 2).T, 0.0)
            states.append(
                _state(mean, q / r, S, chance / abs(r), *(x.reshape(-1, 2).T for x in variances))
            )
    silent = np.where((nu_T > 0) | ((q == 0) & (silence > 0)), silence, 0.0)
    # the atom at 0 is never weighed against a caption that tells
    scale = np.where(nu_T > 0, nu_T, 1.0)
    with np.errstate(divide="ignore"):
        hides = np.log(silent) - q**2 / (2 * scale) - mean**2 / (2 * S) - np.log(scale * S) / 2
    states.append((none, mean / unit, none, none + 0.5, hides))
    lift, pull, prior, curve, log_weight = (
        np.stack(field, axis=1) for field in zip(*states, strict=True)
    )

    log_weight = log_weight[0, :, None] + log_weight[1]
    # whether the prompts differ in a block
    first, second = ((lift != 0) | (prior != 0)).any(axis=1)
    log_weight[:-1, -1, ~first] = log_weight[-1, :-1, ~second] = log_weight[-1, -1] = -np.inf
    log_weight[:-1, :-1, ~(first | second)] = -np.inf
    top = log_weight.max(axis=(0, 1))
    log_weight -= np.where(np.isfinite(top), top, 0.0)

    with np.errstate(divide="ignore"):
        log_pair = np.log(
            [p_inv * p_spu + (1 - p_inv) * (1 - p_spu), p_inv * (1 - p_spu) + (1 - p_inv) * p_spu]
        )
    curve, deviation = (
        np.where(np.isfinite(log_weight).sum(axis=(0, 1)) == 1, 0.0, curve),
        np.sqrt(0.5 / curve),
    )
    exponentials = _exponentials(log_weight, log_pair, lift, pull, prior, curve)
    return Preference(log_weight, lift, pull, prior, curve, D, mean / unit, deviation, exponentials)


def _state(mean, q, S, chance, shared, n_I, n_T) -> tuple[Float[np.ndarray, "2 W"], ...]:
    """A, B, u, c and the logarithm of the weight of both blocks, told by captions of this
    chance.
    """
    determinant = shared * (n_I + n_T) + n_I * n_T
    determinant = np.where(determinant > 0, determinant, 1.0)  # such a block is never told
    S_T = np.where(shared + n_T > 0, shared + n_T, 1.0)  # of captions that tell of the block
    peak = mean + shared / S_T * (np.abs(q) - mean)  # of an image, given the caption |q| of class +
    curve = (shared + n_T) * S / (2 * determinant)
    with np.errstate(divide="ignore"):
        says = (
            np.log(chance)
            - (np.abs(q) - mean) ** 2 / (2 * S_T)
            - peak**2 * curve / S
            - np.log(determinant) / 2
        )
    unit = np.sqrt(S)
    return (
        shared * q / determinant * unit,
        mean * n_T / determinant * unit,
        mean * q / determinant * n_I,
        curve,
        says,
    )


def _patterns(log_weight: Float[np.ndarray, "s s *w"]) -> list[tuple[int, int]]:
    """The states of both blocks that explain the prompts of some world."""
    return [
        (i, j) for i, j in np.ndindex(log_weight.shape[:2]) if np.isfinite(log_weight[i, j]).any()
    ]


def _exponentials(log_weight, log_pair, lift, pull, prior, curve) -> Float[np.ndarray, "5 C W"]:
    """Curves, slopes and constant of every exponential in N, of the patterns that explain the
    prompts of some world.

    `log_pair` is log P(a_0 = a_1), log P(a_0 != a_1).
    """
    rows = []
    for (i, j), a, c in product(_patterns(log_weight), (1, -1), (1, -1)):
        slopes = (lift[0, i] + a * pull[0, i], lift[1, j] + c * pull[1, j])
        u0 = prior[0, i]
        u1 = prior[1, j]
        constant = (
            log_weight[i, j] + log_pair[int(a != c)] + (a * u0 - np.abs(u0)) + (c * u1 - np.abs(u1))
        )
        rows.append((curve[0, i], curve[1, j], *slopes, constant))
    return np.reshape(rows, (len(rows), 5, log_weight.shape[-1])).swapaxes(0, 1)


def _cosh(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """log and factor of cosh x = exp(log) factor/2, tanh x and its slope."""
    log = np.abs(x)
    small = np.exp(-2 * log)
    factor = 1 + small
    return log, factor, np.tanh(x), 4 * small / factor**2


def _block(of: Preference, b: int, state: int, t: np.ndarray) -> tuple[np.ndarray, ...]:
    """A, tanh u, tanh v and its slope along t, log and factor of the block's part of W, and the
    slope of that log.
    """
    A = of.lift[b, state]
    B = of.pull[b, state]
    u = of.prior[b, state]
    c = of.curve[b, state]
    _, factor, tanh_u, _ = _cosh(u)
    log, more, tanh_v, slope = _cosh(B * t)
    return A, tanh_u, tanh_v, B * slope, log - c * t**2, factor * more, B * tanh_v - 2 * c * t
