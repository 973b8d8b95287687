"""Image-text pairs of a world, drawn on a torch device in bounded memory.

Pairs come in fixed blocks, one named stream per field. On one device pair i is therefore the same
for any chunk size and number of processes. Across devices pairs are equal in law. With
`draw_on="cpu"` they are drawn on the CPU and moved, and so equal to rounding. With `points="sobol"`
they are scrambled Sobol points (`simulator.gaussian.sobol`).
"""

import reprlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped

from simulator.mixture import class_means
from simulator.prompts import Prompt
from simulator.quantities import check_count
from simulator.streams import Points, Source, independent, numpy_stream
from simulator.world import World

if TYPE_CHECKING:  # loading them takes .4 s, which pairs alone do not need
    from simulator.towers.ensemble import Ensemble
    from simulator.towers.layers import Shape

# Numbers in one view of a block (32 MB in float64): large enough to amortise a kernel launch, small
# enough for any device. The block size depends on the world alone, not on the caller's chunk.
BLOCK_NUMBERS = 2**22
LARGEST_BLOCK = 4096
# Numbers of one view that a CPU draws at a time: 16 MB in float32, and 16 MB of random words. They
# stay near the cache and hold enough worlds for several threads.
CHUNK_NUMBERS = 2**22
# numbers in the views of the blocks that `draw_pairs` makes at once: 1 MB, which stays in the cache
TOGETHER = 2**17
LARGEST_DRAW = 2**28  # numbers in the views that `draw` holds at once: 2 GiB in float64

Frames = tuple[np.ndarray, np.ndarray]  # dictionaries (D_I, D_T)


class Pairs(NamedTuple):
    """Image-text pairs and the labels behind them; pairs of an ensemble have a leading model
    axis.
    """

    images: Float[torch.Tensor, "*E n dI"]
    texts: Float[torch.Tensor, "*E n dT"]
    labels: Int[torch.Tensor, "*E n"]
    backgrounds: Int[torch.Tensor, "*E n J"]


def orthonormal_dictionary(dimension: int, latents: int, rng: np.random.Generator) -> np.ndarray:
    """D (dimension, latents), columns orthonormal and uniform over all such frames (Haar
    measure).
    """
    Q, R = np.linalg.qr(rng.standard_normal((dimension, latents)))
    return Q * np.sign(np.diag(R))  # without the signs the frame would be biased by QR's convention


def dictionaries(world: World, seed: int) -> Frames:
    """(D_I, D_T) of a root seed, float64; the row of a caption's mark is 0 in D_T."""
    text = orthonormal_dictionary(
        world.dim_text, world.latents, numpy_stream(seed, "dictionary/text")
    )
    return (
        orthonormal_dictionary(
            world.dim_image, world.latents, numpy_stream(seed, "dictionary/image")
        ),
        np.pad(text, [(0, world.text_width - world.dim_text), (0, 0)]),
    )


def block_size(world: World) -> int:
    """Pairs in one block of a world's streams."""
    return max(1, min(LARGEST_BLOCK, BLOCK_NUMBERS // max(world.dim_image, world.text_width)))


def check_same(worlds: Sequence[World], *fields: str) -> None:
    """Raise ValueError if worlds of an ensemble differ in one of the fields."""
    for field in fields:
        first, *others = dict.fromkeys(getattr(world, field) for world in worlds)
        if others:
            one = reprlib.repr(others[0])
            other = reprlib.repr(first)
            raise ValueError(
                f"{field} = {one} in one world and {other} in another; an ensemble needs one value"
            )


def draw_codes(
    worlds: Sequence[World], size: int, source: Source, *, device: str
) -> tuple[torch.Tensor, ...]:
    """Labels and objects (E, n), attributes (E, n, J), multiples (E, n, B) of a caption; for every
    kind of views.
    """
    E = len(worlds)
    K = worlds[0].classes
    J = len(worlds[0].attribute) + 1
    table = worlds[0].table
    # Probabilities are compared with uniform numbers in float64: float32 would round p = 1 - 1e-9
    # to 1.
    whole: dict[str, Any] = {"dtype": torch.float64, "device": device}
    kinds = [np.stack([kind.chance for kind in world.caption_kinds.every]) for world in worlds]
    # per kind, (E, 1, B)
    ends = torch.tensor(np.stack(kinds), **whole).cumsum(dim=1)[:, :, None].unbind(1)
    p_inv = torch.tensor([world.p_inv for world in worlds], **whole)[:, None]

    # A lambda: the tests' type checker would compile a nested function again for every block.
    draw = lambda field, kind, *shape, dtype, high=0: source(  # noqa: E731
        torch.empty(E, size, *shape, dtype=dtype, device=device), field, kind, high
    )
    # A stream whose values are all equal is not read: the other class of two, the object if p_inv =
    # 1, and kinds of caption if all are of the first. Streams are independent, so the others stay
    # as they are.

    def another(field: str, count: int) -> torch.Tensor | int:
        if K == 2:
            return 1
        return 1 + draw(field, "integer", count, dtype=torch.int64, high=K - 1)

    if table is None:
        agreement = torch.tensor(np.stack([world.agreement for world in worlds]), **whole)[:, None]
        y = draw("label", "integer", dtype=torch.int64, high=K)
        agrees = draw("agreement", "uniform", J, dtype=torch.float64) < agreement[..., 1:]
        a = torch.where(agrees, y[..., None], (y[..., None] + another("background", J)) % K)
    else:
        below = torch.tensor(table, dtype=torch.float64, device=device).flatten().cumsum(0)
        cell = torch.searchsorted(
            below / below[-1], draw("cell", "uniform", dtype=torch.float64), right=True
        )
        y = cell // len(table[0])
        a = (cell % len(table[0]))[..., None]
    o = y
    if (p_inv < 1).any():
        keeps = draw("object-agreement", "uniform", 1, dtype=torch.float64)[..., 0] < p_inv
        o = torch.where(keeps, y, ((y[..., None] + another("object", 1)) % K)[..., 0])
    first, *others = (kind.multiple for kind in worlds[0].caption_kinds.every)
    multiples = torch.full((E, size, J + 1), first, **whole)
    if (ends[0] < 1).any():
        uniform = draw("mention", "uniform", J + 1, dtype=torch.float64)
        for end, multiple in zip(ends, others, strict=False):
            multiples.masked_fill_(uniform >= end, multiple)
    return y, o, a, multiples


def mismatched(
    captions: Shaped[torch.Tensor, "E n *c"],
    another: Callable[[Source], Shaped[torch.Tensor, "E n *c"]],
    worlds: Sequence[World],
    source: Source,
) -> Shaped[torch.Tensor, "E n *c"]:
    """The captions, each with probability `mismatch` that of another pair, which `another` draws
    from a source.
    """
    chance = torch.tensor(
        [world.mismatch for world in worlds], dtype=torch.float64, device=captions.device
    )
    if not chance.any():  # streams that are not read change no other
        return captions
    other = another(
        lambda rows, field, law, high=0: source(rows, f"another-pair/{field}", law, high)
    )
    uniform = source(
        torch.empty(captions.shape[:2], dtype=torch.float64, device=captions.device),
        "mismatch",
        "uniform",
    )
    return torch.where((uniform < chance[:, None])[..., None], other, captions)


def draw_latents(
    worlds: Sequence[World], size: int, source: Source, *, device: str, dtype: torch.dtype
) -> tuple[
    torch.Tensor, torch.Tensor, Float[torch.Tensor, "E n l"], Float[torch.Tensor, "E n told"]
]:
    """(labels, backgrounds, latents of images, latents of texts with the mark of bare ones) of
    every world's block.
    """
    check_same(worlds, "dim_image", "text_width", "classes", "latents", "table")
    *rest, captions = _matched_latents(worlds, size, source, device, dtype)
    another = lambda other: _matched_latents(worlds, size, other, device, dtype)[3]  # noqa: E731
    return *rest, mismatched(captions, another, worlds, source)


def _matched_latents(
    worlds: Sequence[World], size: int, source: Source, device: str, dtype: torch.dtype
):
    """As `draw_latents`, every caption being its image's own."""
    K = worlds[0].classes
    A = worlds[0].background_count
    B = 2 + len(worlds[0].attribute)
    y, o, a, multiples = draw_codes(worlds, size, source, device=device)
    patterns = [
        torch.as_tensor(class_means(count), dtype=dtype, device=device)
        for count in (K, *[A] * (B - 1))
    ]
    widths = torch.tensor([pattern.shape[1] for pattern in patterns], device=device)
    mean, scale, detail = (
        # (E, 1, l)
        torch.tensor(np.stack(rows), dtype=dtype, device=device)[:, None].repeat_interleave(
            widths, 2
        )
        for rows in zip(*((world.mean, world.scale, world.detail) for world in worlds), strict=True)
    )
    codes = torch.cat([o[..., None], a], dim=-1).unbind(-1)  # B of (E, size)
    centres = torch.cat(
        [pattern[code] for pattern, code in zip(patterns, codes, strict=True)], dim=-1
    )
    noise = source(torch.empty(*centres.shape, dtype=dtype, device=device), "latent", "normal")
    # mean * pattern + scale * noise (E, size, l), without new arrays
    z = noise.mul_(scale).add_(centres.mul_(mean))
    captions = z
    # given its image, a caption has the mean m + g (z - m) and the variance (1 - g^2) sigma^2
    if (detail < 1).any():
        other = source(torch.empty_like(z), "caption-latent", "normal").mul_(
            scale * (1 - detail**2).sqrt()
        )
        captions = centres + detail * (z - centres) + other
    captions = captions * multiples.to(dtype).repeat_interleave(widths, dim=2)
    bare = torch.tensor([world.bare for world in worlds], dtype=torch.float64, device=device)
    if bare.any():
        mark = (
            source(torch.empty(*y.shape, dtype=torch.float64, device=device), "bare", "uniform")
            < bare[:, None]
        )
        label = torch.zeros_like(captions)
        label[..., : widths[0]] = mean[..., : widths[0]] * patterns[0][y]
        captions = torch.cat(
            [torch.where(mark[..., None], label, captions), mark[..., None].to(dtype)], dim=-1
        )
    return y, a, z, captions


def _write_view(
    view: torch.Tensor,
    z: torch.Tensor,
    D: torch.Tensor,
    nu: list[float],
    field: str,
    source: Source,
):
    """Write x = D z + xi into `view`. A view without noise leaves its stream unread, which changes
    no other.
    """
    if any(nu):
        scale = torch.tensor(nu, dtype=view.dtype, device=view.device).sqrt()
        source(view, field, "normal").mul_(scale[:, None, None])
    else:
        view.zero_()
    view.baddbmm_(z, D.T.expand(len(z), -1, -1))


def _write_captions(
    view: torch.Tensor, z: torch.Tensor, D: torch.Tensor, nu: list[float], source: Source
):
    """Write captions into `view`. A bare caption has no noise, and its last coordinate, the mark,
    is 1.
    """
    if z.shape[-1] == D.shape[1]:
        _write_view(view, z, D, nu, "text-noise", source)
        return
    latents = z[..., :-1].contiguous()
    mark = z[..., -1:]
    D = D[:-1]
    noisy = torch.empty(*view.shape[:-1], len(D), dtype=view.dtype, device=view.device)
    _write_view(noisy, latents, D, nu, "text-noise", source)
    view[..., :-1] = torch.where(mark > 0, latents @ D.T, noisy)
    view[..., -1:] = mark


def draw_block(
    worlds: Sequence[World],
    frames: Frames,
    seed: int,
    index: int | Sequence[int],
    *,
    streams: Sequence[str],
    device: str = "cpu",
    draw_on: str | None = None,
    dtype: torch.dtype = torch.float64,
    points: Points = "random",
    captions: bool = True,
) -> Pairs:
    """Block `index`, one number or one per world, of E worlds' pairs, x_M = D_M mu_M(z) + xi_M.

    Without captions the texts have no coordinates, and their noise is not drawn, which changes no
    other stream.
    """
    place = "cpu" if points == "sobol" else draw_on or device
    size = block_size(worlds[0])
    E = len(worlds)
    J = len(worlds[0].attribute) + 1
    D_I, D_T = (torch.as_tensor(frame, dtype=dtype, device=place) for frame in frames)
    widths = len(D_I), len(D_T) if captions else 0
    images, texts = (torch.empty(E, size, width, dtype=dtype, device=place) for width in widths)
    labels = torch.empty(E, size, dtype=torch.int64, device=place)
    backgrounds = torch.empty(E, size, J, dtype=torch.int64, device=place)
    together = max(1, CHUNK_NUMBERS // (size * max(map(len, frames)))) if place == "cpu" else E
    places = np.broadcast_to(index, E).tolist()
    for k in range(0, E, together):
        part = slice(k, k + together)
        if points == "random":
            source = independent(seed, places[part], streams[part])
        else:
            # here for start-up time: scipy.stats takes a second
            from simulator.gaussian.sobol import even

            source = even(worlds[part], (D_I, D_T), size, seed, places[part], streams[part])
        labels[part], backgrounds[part], z_I, z_T = draw_latents(
            worlds[part], size, source, device=place, dtype=dtype
        )
        _write_view(
            images[part],
            z_I,
            D_I,
            [float(world.nu_image) for world in worlds[part]],
            "image-noise",
            source,
        )
        if captions:
            _write_captions(
                texts[part], z_T, D_T, [float(world.nu_text) for world in worlds[part]], source
            )
    return Pairs(*(field.to(device) for field in (images, texts, labels, backgrounds)))


def draw_pairs(
    world: World, frames: Frames, n: int, seed: int, *, stream: str = "pairs", **options
) -> Iterator[Pairs]:
    """The first n pairs of a stream, a few blocks at a time."""
    check_count("n", n, 1)
    size = block_size(world)
    blocks = -(-n // size)
    together = max(1, TOGETHER // (size * max(map(len, frames))))
    for start in range(0, blocks, together):
        indices = range(start, min(start + together, blocks))
        E = len(indices)
        pairs = draw_block((world,) * E, frames, seed, indices, streams=(stream,) * E, **options)
        yield Pairs(*(field.flatten(0, 1)[: n - start * size] for field in pairs))


# Captions that contradict their image


def contradicted(
    pairs: Pairs,
    world: World,
    frame: Float[np.ndarray, "dT l"],
    seed: int,
    index: int,
    *,
    streams: Sequence[str],
) -> Pairs:
    """The pairs of a block; each caption names a background drawn uniformly from all, not its
    image's.

    The caption's background block is reflected (two backgrounds) or has two coordinates exchanged
    (more), noise included. So captions keep their law given the background that they name, and
    silent captions stay silent. Let c be the probability that another background is named, and R
    the exchange. At the optimum:
        InfoNCE     p(x, t) becomes (1 - c) p(x, t) + c p(x, R t). R t = t for the typical
                    appearance, whose background block is zero, so its decision does not depend on
                    c.
        linear      the cross-covariance of the backgrounds' means shrinks by 1 - c A/(A - 1), A
                    backgrounds. That of the objects stays, and so does the direction C q of the
                    typical appearance. At c = (A - 1)/A, a uniform background, two backgrounds have
                    the world with mention_spu = 0 under any prompt; of more, (A - 2)/A of the
                    covariance within a background stays.
    """
    backgrounds = pairs.backgrounds[..., 0].cpu()
    source = independent(seed, index, streams)
    drawn = source(
        torch.empty_like(backgrounds), "caption-background", "integer", world.background_count
    )
    D = torch.as_tensor(frame[:, world.block_latents[1]]).to(pairs.texts)  # (d_T, width)
    captions = pairs.texts @ D
    other = _exchanged(captions, backgrounds.to(captions.device), drawn.to(captions.device))
    return pairs._replace(texts=pairs.texts + (other - captions) @ D.T)


def _exchanged(
    block: Float[torch.Tensor, "E n width"],
    images: Int[torch.Tensor, "E n"],
    drawn: Int[torch.Tensor, "E n"],
) -> Float[torch.Tensor, "E n width"]:
    """Exchange coordinates `images` and `drawn`; a single coordinate changes its sign if they
    differ.
    """
    if block.shape[-1] == 1:
        return torch.where((images == drawn)[..., None], block, -block)
    place = torch.arange(block.shape[-1], device=block.device).expand(block.shape).clone()
    place.scatter_(2, images[..., None], drawn[..., None]).scatter_(
        2, drawn[..., None], images[..., None]
    )
    return block.gather(2, place)


@dataclass(frozen=True, eq=False)
class Drawn:
    """n pairs of one world, with any kind of views."""

    world: World
    images: Shaped[torch.Tensor, "n ..."]
    texts: Float[torch.Tensor, "n dT"]
    labels: Int[torch.Tensor, " n"]
    backgrounds: Int[torch.Tensor, "n J"]

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} of {self.world!r})"


@dataclass(frozen=True, eq=False, repr=False)
class DrawnPairs(Drawn):
    """n pairs of one world; `World.draw` returns it.

    Attributes
    ----------
    world
        The law of the pairs.
    frames
        D_I (dI, l) and D_T (dT, l), the dictionaries of the views.
    images, texts
        Views x_I (n, dI) and x_T (n, dT). Where captions may be bare, a text ends with the mark of
        bare ones.
    labels
        Classes (n,), from 0.
    backgrounds
        Backgrounds (n, J), from 0: the world's own first, then those of further attributes.
    """

    frames: Frames


def draw(
    world: World, n: int, seed: int = 0, *, frames: Frames | None = None, **options
) -> DrawnPairs:
    """The first n pairs of a stream in one piece; `World.draw` calls it."""
    most = LARGEST_DRAW // (world.dim_image + world.text_width)
    if n > most:
        raise ValueError(
            f"n = {n} pairs of {world.dim_image} + {world.text_width} coordinates exceed the limit"
            f" of {LARGEST_DRAW:,} numbers; the largest n that fits is {most}"
        )
    frames = dictionaries(world, seed) if frames is None else frames
    fields: list[torch.Tensor] = []
    filled = 0
    for block in draw_pairs(world, frames, n, seed, **options):
        if not fields:  # allocated once: joining blocks at the end would hold every pair twice
            fields = [x.new_empty((n, *x.shape[1:])) for x in block]
        for whole, part in zip(fields, block, strict=True):
            whole[filled : filled + len(part)] = part
        filled += len(block.labels)
    images, texts, labels, backgrounds = fields
    return DrawnPairs(world, images, texts, labels, backgrounds, frames)


# What training asks of a kind of views (`simulator.views`)


def inputs(world: World) -> "dict[str, Shape]":
    return {"image": (world.dim_image,), "text": (world.text_width,)}


def block(ensemble: "Ensemble", stream: str, index: int) -> Pairs:
    where: dict[str, Any] = {
        "device": ensemble.device,
        "draw_on": ensemble.draw_on,
        "dtype": ensemble.dtype,
    }
    how = {
        "streams": [f"{stream}/{k}" for k in ensemble.models],
        "points": ensemble.recipe.points,
        **where,
    }
    return draw_block(
        ensemble.worlds,
        dictionaries(ensemble.worlds[0], ensemble.seed),
        ensemble.seed,
        index,
        **how,
    )


def prompts(ensemble: "Ensemble", worlds: tuple[World, ...], prompt: Prompt) -> torch.Tensor:
    _, D = dictionaries(ensemble.worlds[0], ensemble.seed)
    texts = np.stack([world.prompts(prompt) @ D.T for world in worlds])
    if prompt == "bare":
        texts[..., worlds[0].dim_text :] = 1.0  # the mark, where captions may be bare
    return torch.as_tensor(texts).to(device=ensemble.device, dtype=ensemble.dtype)


def identity(world: World) -> dict[str, Any]:
    return {}
