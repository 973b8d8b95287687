"""InfoNCE and SigLIP tile by tile: the B x B logits are never stored, forward or backward.

Unit embeddings keep logits l_ij = s cos_ij below s, so one exponential serves rows and columns:
    E = exp(l - s), r = E 1, c = E' 1, loss = mean(log r + log c)/2 + s - mean(diagonal of l),
    d loss/d l = E (1/r_i + 1/c_j)/(2B) - identity/B.
Weights of pairs multiply the terms of their means: 1/r_i, 1/c_i and the identity's entry i by w_i.
The backward pass recomputes the tiles of E: memory O(B h + tile), four products in place of three.

E underflows if s (1 - max cos) of a row or column reaches 87 in float32 (708 in float64). A row's
largest cosine is at least that of its own pair, so the smallest matched cosine gives a bound.
Beyond the limit sums are shifted row by row and column by column, with two exponentials per entry.
SigLIP's gradient is accumulated in the forward pass.

Rows may be a process's share of the batch (`simulator.towers.distributed`); its loss is then a
share, too. Precision: float32 products give the loss to about 1e-6. bfloat16 products round cosines
to 2^-9 of their size. Matched cosines are always computed in full precision.
"""

import math
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch.nn import functional as F

from simulator.towers.distributed import ALONE, Group, combined

# Rows and columns of a tile on a CPU: 256 x 256 float32 are 256 KB, so a tile and its results fit a
# core's second-level cache, and the process keeps their memory. It would return 1 MB to the system,
# which clears it for the next tile.
CPU_TILE = (256, 256)
# An accelerator needs few and large launches: 8192 x 8192 float32 are 256 MB.
DEVICE_TILE = (8192, 8192)

# Largest s (1 - cos): the normaliser stays a factor e^7 above the smallest normal number, so its
# important terms are normal too.
LARGEST_SHIFT = {torch.float32: 80.0, torch.float64: 700.0}

Rows = Float[torch.Tensor, "E rows h"]
PerModel = Float[torch.Tensor, " E"]


class Problem(NamedTuple):
    """Arguments of a tiled loss that are not differentiated."""

    product: torch.dtype  # precision of the products
    first: int  # column that matches the first row of I
    group: Group  # processes that hold shares of the batch


def tiled_infonce(I: Rows, T: Rows, scale: PerModel, **options) -> PerModel:
    """`losses.infonce` for unit embeddings without the B x B matrix; options as in `_per_model`."""
    return _per_model(_InfoNCE, I, T, scale, **options)


def tiled_siglip(I: Rows, T: Rows, scale: PerModel, bias: PerModel, **options) -> PerModel:
    """`losses.siglip` for unit embeddings without the B x B matrix; options as in `_per_model`."""
    return _per_model(_SigLIP, I, T, scale, bias, **options)


def _per_model(
    loss: type[torch.autograd.Function],
    I: Rows,
    T: Rows,
    *numbers: PerModel,
    weights: Float[torch.Tensor, "E B"] | None = None,
    product: torch.dtype | None = None,
    group: Group = ALONE,
) -> PerModel:
    """A loss model by model; I may be this process's share of the rows, and `product` is the
    precision of products.
    """
    problem = Problem(product or I.dtype, group.rank * I.shape[1], group)
    # multiplication by 1 changes no bit
    weights = T.new_ones(T.shape[:2]) if weights is None else weights
    return torch.stack(
        [loss.apply(*own, problem)[0] for own in zip(I, T, *numbers, weights, strict=True)]
    )


def _matched(I: torch.Tensor, T: torch.Tensor, first: int) -> torch.Tensor:
    """Cosines of matched pairs, (b,), in full precision."""
    return (I * T[first : first + len(I)]).sum(1)


def _diagonal(tile: torch.Tensor, a: slice, b: slice, first: int) -> tuple[torch.Tensor, slice]:
    """The matched entries inside a tile (a view, perhaps empty), and their rows of I."""
    offset = first + a.start - b.start  # the tile's column that matches its row 0
    if not -len(tile) < offset < tile.shape[1]:
        return tile[0, :0], slice(0, 0)
    diagonal = tile.diagonal(offset)
    start = a.start + max(-offset, 0)
    return diagonal, slice(start, start + len(diagonal))


def _tiles(i: torch.Tensor, t: torch.Tensor, matched: torch.Tensor, problem: Problem):
    """Yield tiles of s cos from scaled embeddings i, with their rows and columns; matched pairs
    keep full precision.
    """
    height, width = CPU_TILE if t.device.type == "cpu" else DEVICE_TILE
    for k, j in product(range(0, len(i), height), range(0, len(t), width)):
        a = slice(k, min(k + height, len(i)))
        b = slice(j, min(j + width, len(t)))
        tile = torch.mm(i[a], t[b].T).to(matched.dtype)
        diagonal, rows = _diagonal(tile, a, b, problem.first)
        # Rounded here alone, a cosine of 1 would turn a loss of 1e-9 into 1e-3 at s = 100.
        diagonal.copy_(matched[rows])
        yield tile, a, b


def _add_products(dI, dT, G, i, t, a: slice, b: slice, problem: Problem) -> None:
    """Add a tile G of d loss/d l to both gradients, without matched entries: products would round
    small differences.
    """
    G = G.to(problem.product)
    _diagonal(G, a, b, problem.first)[0].zero_()
    dI[a] += torch.mm(G, t[b])
    dT[b] += torch.mm(G.T, i[a])


def _add_diagonal(dI, dT, own: torch.Tensor, I: torch.Tensor, T: torch.Tensor, first: int) -> None:
    """Add the matched entries `own` (b,) of d loss/d l to both gradients."""
    matched = slice(first, first + len(I))
    dI.addcmul_(own[:, None], T[matched])
    dT[matched].addcmul_(own[:, None], I)


def _check_first_derivative() -> None:
    """Raise if the gradient is to be differentiated: torch, and its once_differentiable, would be
    wrong in silence.
    """
    if torch.is_grad_enabled():
        raise NotImplementedError(
            "tiled losses have no second derivative; those of simulator.towers.losses have"
        )


class _InfoNCE(torch.autograd.Function):
    """Loss of b rows, and the log normalisers of rows and columns for the backward pass."""

    @staticmethod
    def forward(I, T, scale, weights, problem):
        # torch.compile reads the history of its arguments
        I = I.detach()
        T = T.detach()
        scale = scale.detach()
        cosine = _matched(I, T, problem.first)
        pairs = scale * cosine
        shift = scale * (1 - combined(problem.group, -cosine.min(), "MAX").neg())
        safe = bool(shift < LARGEST_SHIFT[I.dtype])
        row, column = _normalisers(I, T, pairs, scale, problem, safe)
        matched = slice(problem.first, problem.first + len(I))
        loss = (weights[matched] * ((row + column[matched]) / 2 - pairs)).sum() / len(T)
        return loss, row, column, torch.as_tensor(safe)

    @staticmethod
    def setup_context(ctx, inputs, output):
        I, T, scale, weights, ctx.problem = inputs
        _, row, column, safe = output
        ctx.mark_non_differentiable(row, column, safe)
        ctx.save_for_backward(I, T, scale, weights, row, column)
        ctx.safe = safe

    @staticmethod
    def backward(ctx, upstream, *_):
        _check_first_derivative()
        I, T, scale, weights, row, column = (x.detach() for x in ctx.saved_tensors)
        problem = ctx.problem
        B = len(T)
        matched = slice(problem.first, problem.first + len(I))
        pairs = scale * _matched(I, T, problem.first)
        weight = weights[matched]
        scaled = scale * I
        i = scaled.to(problem.product)
        t = T.to(problem.product)
        safe = bool(ctx.safe)
        if safe:  # w/(2B) over the sums of E
            row = weight * (scale - row).exp() / (2 * B)
            column = weights * (scale - column).exp() / (2 * B)
            own = (pairs - scale).exp() * (row + column[matched])
        else:  # logarithms of 2B/w times the sums of exp(l)
            row = row + math.log(2 * B) - weight.log()
            column = column + math.log(2 * B) - weights.log()
            own = (pairs - row).exp() + (pairs - column[matched]).exp()
        dI = torch.zeros_like(I)
        dT = torch.zeros_like(T)
        for l, a, b in _tiles(i, t, pairs, problem):
            r = row[a][:, None]
            c = column[b]
            G = (l - scale).exp() * (r + c) if safe else (l - r).exp() + (l - c).exp()
            _add_products(dI, dT, G, i, t, a, b, problem)
        _add_diagonal(dI, dT, own - weight / B, scaled, T, problem.first)
        # dI is the gradient by s I. Its inner product with I is sum_ij (d loss/d l_ij) cos_ij, the
        # slope in s.
        return upstream * scale * dI, upstream * dT, upstream * (dI * I).sum(), None, None


def _normalisers(I, T, pairs, scale, problem, safe):
    """(log sum over columns, log sum over rows) of exp(l)."""
    add, start = (torch.add, 0.0) if safe else (torch.logaddexp, -torch.inf)
    i = (scale * I).to(problem.product)
    t = T.to(problem.product)
    row = I.new_full((len(I),), start)
    column = I.new_full((len(T),), start)
    for l, a, b in _tiles(i, t, pairs, problem):
        E = (l - scale).exp() if safe else None
        r, c = (l.logsumexp(1), l.logsumexp(0)) if E is None else (E.sum(1), E.sum(0))
        row[a], column[b] = add(row[a], r), add(column[b], c)
    if safe:
        return row.log() + scale, combined(problem.group, column).log() + scale
    largest = combined(problem.group, column, "MAX")
    return row, combined(problem.group, (column - largest).exp()).log() + largest


class _SigLIP(torch.autograd.Function):
    """Loss of b rows. The forward pass computes the gradient, too."""

    @staticmethod
    def forward(I, T, scale, bias, weights, problem):
        I = I.detach()
        T = T.detach()
        scale = scale.detach()
        bias = bias.detach()
        B = len(T)
        pairs = scale * _matched(I, T, problem.first)
        scaled = scale * I
        i = scaled.to(problem.product)
        t = T.to(problem.product)
        dI = torch.zeros_like(I)
        dT = torch.zeros_like(T)
        total = I.new_zeros(())
        dbias = I.new_zeros(())
        for x, a, b in _tiles(i, t, pairs, problem):
            x += bias
            G = x.sigmoid()
            total -= F.logsigmoid(-x).sum()
            dbias += G.sum()
            _add_products(dI, dT, G, i, t, a, b, problem)
        own = pairs + bias
        more = weights[problem.first : problem.first + len(I)] - 1
        _add_diagonal(dI, dT, (own.sigmoid() - 1) * (1 + more), scaled, T, problem.first)
        # Every entry was counted as a negative. -log sigmoid(-x) - x = -log sigmoid(x) makes
        # matched ones positive, with weight 1 + `more`.
        loss = (total - own.sum() - (more * F.logsigmoid(own)).sum()) / B
        dI = dI / B
        dT = dT / B
        dbias = dbias - len(I) + (more * (own.sigmoid() - 1)).sum()
        return loss, scale * dI, dT, (dI * I).sum(), dbias / B

    @staticmethod
    def setup_context(ctx, inputs, output):
        gradients = output[1:]
        ctx.mark_non_differentiable(*gradients)
        ctx.save_for_backward(*gradients)

    @staticmethod
    def backward(ctx, upstream, *_):
        _check_first_derivative()
        return *(upstream * each for each in ctx.saved_tensors), None, None
