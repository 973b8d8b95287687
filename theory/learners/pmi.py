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

    def of(self, worlds: np.ndarray | tuple) -> "Preference":
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
            part, at_x, at_y = self._points(flat, x, y)
            odd, even, size, *slopes = part._balance(at_x, at_y)
            sound = even > SOUND * size
            flat[flat] = sound
            even = even[sound]
            ratio = np.clip(odd[sound] / even, -LARGEST, LARGEST)
            g[flat] = 2 * np.arctanh(ratio)
            for along, (rise, rise_even) in zip((along_x, along_y), slopes, strict=True):
                steepness = even * np.maximum(1 - ratio**2, STEEP)
                along[flat] = 2 * (rise[sound] - ratio * rise_even[sound]) / steepness
        return g, along_x, along_y

    def positive(self, x: np.ndarray, y: np.ndarray) -> Bool[np.ndarray, "..."]:
        """Whether g > 0."""
        sums = self._balance(x, y, slopes=False)
        result = sums.odd > 0
        unsound = (sums.even <= SOUND * sums.size) & (np.abs(sums.odd) < 1e-9 * sums.size)
        if unsound.any():
            part, at_x, at_y = self._points(unsound, x, y)
            result[unsound] = part._by_exponents(at_x, at_y)[0] > 0
        return result

    def _points(
        self, chosen: Bool[np.ndarray, "..."], x: np.ndarray, y: np.ndarray
    ) -> tuple["Preference", np.ndarray, np.ndarray]:
        """The preference at the chosen points alone, and their coordinates."""
        lead = self.correlation.ndim
        shape = chosen.shape
        fields = []
        for field in self:
            own = field.shape[: field.ndim - lead]
            fields.append(np.broadcast_to(field, (*own, *shape))[..., chosen])
        chosen_x = np.broadcast_to(x, shape)[chosen]
        chosen_y = np.broadcast_to(y, shape)[chosen]
        return Preference(*fields), chosen_x, chosen_y

    def _balance(self, x: np.ndarray, y: np.ndarray, slopes: bool = True) -> "Balance":
        """Sums over the patterns, up to one factor; without `slopes` the last two are empty."""
        states = range(self.lift.shape[1])
        along_x = [self._block(0, state, x) for state in states]
        along_y = [self._block(1, state, y) for state in states]
        logs = []
        terms = []
        for i, j in _patterns(self.log_weight) or [(0, 0)]:  # any, if there is no world
            alpha = _cosh(along_x[i].lift * x + along_y[j].lift * y)
            logs.append(self.log_weight[i, j] + alpha.log + along_x[i].log + along_y[j].log)
            terms.append(_pattern_terms(alpha, along_x[i], along_y[j], self.correlation, slopes))

        largest = reduce(np.maximum, logs)
        sums = [np.zeros(())] * len(terms[0])
        for log, pattern in zip(logs, terms, strict=True):
            weight = np.exp(np.maximum(log - largest, NOTHING))
            for k, term in enumerate(pattern):
                sums[k] = sums[k] + weight * term
        size, odd, even, *rest = sums
        return Balance(odd, even, size, rest[:2], rest[2:])

    def _block(self, b: int, state: int, t: np.ndarray) -> "BlockTerms":
        """What block b in one state contributes to a pattern, at its coordinate t."""
        B = self.pull[b, state]
        c = self.curve[b, state]
        u = _cosh(self.prior[b, state])
        v = _cosh(B * t)
        return BlockTerms(
            lift=self.lift[b, state],
            u=u.tanh,
            v=v.tanh,
            v_slope=B * v.slope,
            log=v.log - c * t**2,
            factor=u.factor * v.factor,
            log_slope=B * v.tanh - 2 * c * t,
        )

    def _by_exponents(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
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
    mean = _by_block(worlds.mean)
    q = _by_block(worlds.prompt(prompt))
    S = _by_block(worlds.image_variance)
    q = np.where(mean < 0, -q, q)
    mean = np.abs(mean)
    unit = np.sqrt(S)

    lift, pull, prior, curve, says = _states(worlds, mean, q, S)
    log_weight = _pattern_weights(says, ((lift != 0) | (prior != 0)).any(axis=1))
    patterns = np.isfinite(log_weight).sum(axis=(0, 1))
    deviation = np.sqrt(0.5 / curve)
    curve = np.where(patterns == 1, 0.0, curve)

    p_inv, p_spu = _by_block(worlds.agreement)
    D = _by_block(worlds.correlation).prod(axis=0)
    equal = p_inv * p_spu + (1 - p_inv) * (1 - p_spu)
    unequal = p_inv * (1 - p_spu) + (1 - p_inv) * p_spu
    with np.errstate(divide="ignore"):
        log_pair = np.log([equal, unequal])
    exponentials = _exponentials(log_weight, log_pair, lift, pull, prior, curve)
    return Preference(log_weight, lift, pull, prior, curve, D, mean / unit, deviation, exponentials)


def _by_block(values: Float[np.ndarray, "*w 2"]) -> Float[np.ndarray, "2 W"]:
    return values.reshape(-1, 2).T


def _states(
    worlds: World,
    mean: Float[np.ndarray, "2 W"],
    q: Float[np.ndarray, "2 W"],
    S: Float[np.ndarray, "2 W"],
) -> list[Float[np.ndarray, "2 s W"]]:
    """A, B, u, c and the log weight of both blocks in every state, silence the last."""
    nu_T = worlds.nu_text.ravel()
    silence = _by_block(worlds.caption_kinds.silence)
    may_tell = (nu_T > 0) | (q != 0) | (silence == 0)
    states = []
    for chance, r in worlds.caption_kinds.every:
        if not r:
            continue
        shared, n_I, n_T = map(_by_block, worlds.variances(r))
        chance = np.where(may_tell, _by_block(chance), 0.0)
        states.append(_state(mean, q / r, S, chance / abs(r), shared, n_I, n_T))

    silent = np.where((nu_T > 0) | ((q == 0) & (silence > 0)), silence, 0.0)
    # the atom at 0 is never weighed against a caption that tells
    scale = np.where(nu_T > 0, nu_T, 1.0)
    none = np.zeros_like(q)
    with np.errstate(divide="ignore"):
        exponent = q**2 / (2 * scale)
        hides = np.log(silent) - exponent - mean**2 / (2 * S) - np.log(scale * S) / 2
    states.append((none, mean / np.sqrt(S), none, none + 0.5, hides))
    return [np.stack(field, axis=1) for field in zip(*states, strict=True)]


def _pattern_weights(
    says: Float[np.ndarray, "2 s W"], differs: Bool[np.ndarray, "2 W"]
) -> Float[np.ndarray, "s s W"]:
    """log W of both blocks' states, up to a constant of each world; -inf for a pattern that does
    not tell of a block in which the prompts differ.
    """
    log_weight = says[0, :, None] + says[1]
    first, second = differs
    log_weight[:-1, -1, ~first] = -np.inf
    log_weight[-1, :-1, ~second] = -np.inf
    log_weight[-1, -1] = -np.inf
    log_weight[:-1, :-1, ~(first | second)] = -np.inf
    top = log_weight.max(axis=(0, 1))
    return log_weight - np.where(np.isfinite(top), top, 0.0)


def _state(
    mean: Float[np.ndarray, "2 W"],
    q: Float[np.ndarray, "2 W"],
    S: Float[np.ndarray, "2 W"],
    chance: Float[np.ndarray, "2 W"],
    shared: Float[np.ndarray, "2 W"],
    n_I: Float[np.ndarray, "2 W"],
    n_T: Float[np.ndarray, "2 W"],
) -> tuple[Float[np.ndarray, "2 W"], ...]:
    """A, B, u, c and the logarithm of the weight of both blocks, described by captions of this
    chance.
    """
    determinant = shared * (n_I + n_T) + n_I * n_T
    determinant = np.where(determinant > 0, determinant, 1.0)  # such a block is never told
    S_T = np.where(shared + n_T > 0, shared + n_T, 1.0)  # of captions that tell of the block
    peak = mean + shared / S_T * (np.abs(q) - mean)  # of an image, given the caption |q| of class +
    unit = np.sqrt(S)
    A = shared * q / determinant * unit
    B = mean * n_T / determinant * unit
    u = mean * q / determinant * n_I
    c = (shared + n_T) * S / (2 * determinant)
    misfit = (np.abs(q) - mean) ** 2 / (2 * S_T)
    with np.errstate(divide="ignore"):
        says = np.log(chance) - misfit - peak**2 * c / S - np.log(determinant) / 2
    return A, B, u, c, says


def _patterns(log_weight: Float[np.ndarray, "s s *w"]) -> list[tuple[int, int]]:
    """The states of both blocks that explain the prompts of some world."""
    return [
        (i, j) for i, j in np.ndindex(log_weight.shape[:2]) if np.isfinite(log_weight[i, j]).any()
    ]


def _exponentials(
    log_weight: Float[np.ndarray, "s s W"],
    log_pair: Float[np.ndarray, "2 W"],
    lift: Float[np.ndarray, "2 s W"],
    pull: Float[np.ndarray, "2 s W"],
    prior: Float[np.ndarray, "2 s W"],
    curve: Float[np.ndarray, "2 s W"],
) -> Float[np.ndarray, "5 C W"]:
    """Curves, slopes and constant of every exponential in N, of the patterns that explain the
    prompts of some world.

    `log_pair` is log P(a_0 = a_1), log P(a_0 != a_1).
    """
    rows = []
    for (i, j), a, c in product(_patterns(log_weight), (1, -1), (1, -1)):
        slope_x = lift[0, i] + a * pull[0, i]
        slope_y = lift[1, j] + c * pull[1, j]
        u0 = prior[0, i]
        u1 = prior[1, j]
        constant = log_weight[i, j] + log_pair[int(a != c)]
        constant = constant + (a * u0 - np.abs(u0)) + (c * u1 - np.abs(u1))
        rows.append((curve[0, i], curve[1, j], slope_x, slope_y, constant))
    return np.reshape(rows, (len(rows), 5, log_weight.shape[-1])).swapaxes(0, 1)


class Cosh(NamedTuple):
    """cosh x = exp(log) factor/2, with tanh x and its slope."""

    log: np.ndarray
    factor: np.ndarray
    tanh: np.ndarray
    slope: np.ndarray


def _cosh(x: np.ndarray) -> Cosh:
    log = np.abs(x)
    small = np.exp(-2 * log)
    factor = 1 + small
    return Cosh(log, factor, np.tanh(x), 4 * small / factor**2)


class BlockTerms(NamedTuple):
    """A block's part of a pattern, by the letters above; slopes are along its coordinate."""

    lift: np.ndarray  # A
    u: np.ndarray  # tanh u
    v: np.ndarray  # tanh v
    v_slope: np.ndarray
    log: np.ndarray  # of its part of W_m
    factor: np.ndarray
    log_slope: np.ndarray


class Balance(NamedTuple):
    """Sums over patterns, up to one factor."""

    odd: np.ndarray  # N(x) - N(-x)
    even: np.ndarray  # N(x) + N(-x)
    size: np.ndarray  # sum of W_m
    along_x: list[np.ndarray]  # slopes of odd and even
    along_y: list[np.ndarray]


def _pattern_terms(
    alpha: Cosh, block_x: BlockTerms, block_y: BlockTerms, D: np.ndarray, slopes: bool
) -> list[np.ndarray]:
    """W_m, N_m(x) - N_m(-x) and N_m(x) + N_m(-x) over exp(log W_m); slopes of the last two along x,
    then along y.
    """
    u0, v0 = block_x.u, block_x.v
    u1, v1 = block_y.u, block_y.v
    E = 1 + u0 * u1 * v0 * v1 + D * (u0 * u1 + v0 * v1)
    O = u0 * v0 + u1 * v1 + D * (u0 * v1 + u1 * v0)
    odd = alpha.tanh * E + O
    even = E + alpha.tanh * O
    factor = alpha.factor * block_x.factor * block_y.factor
    terms = [factor, odd * factor, even * factor]
    if not slopes:
        return terms
    for own, other in ((block_x, block_y), (block_y, block_x)):
        dE = own.v_slope * (own.u * other.u + D) * other.v
        dO = own.v_slope * (own.u + D * other.u)
        d_tanh = own.lift * alpha.slope
        d_log = own.log_slope + own.lift * alpha.tanh
        terms.append((d_tanh * E + alpha.tanh * dE + dO + d_log * odd) * factor)
        terms.append((d_tanh * O + alpha.tanh * dO + dE + d_log * even) * factor)
    return terms
