"""Image-text pairs of a world, drawn on a torch device in bounded memory.

Pairs come in fixed blocks, one named stream per field, so that pair i is the same for any chunk size and any
process count on one device: equal in law across devices, and equal to rounding when drawn on the CPU and moved
(`draw_on="cpu"`). Or pairs are scrambled Sobol points (`points="sobol"`, `simulator.gaussian.nets`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from simulator.mixture import class_means
from simulator.naming import refuse_unknown
from simulator.quantities import refuse_fraction
from simulator.samplers import SAMPLERS, chosen, group_numbers
from simulator.streams import Law as Noise
from simulator.streams import Points, fill_rows, numpy_stream
from simulator.world import World, Worlds

# Numbers in one view of a block (32 MB in float64): large enough to amortise a kernel launch, small enough for
# any device. The block size follows from the world alone, never from the chunk a caller asks for.
BLOCK_NUMBERS = 2**22
LARGEST_BLOCK = 4096
# Numbers of one view that a CPU draws at a time: 16 MB in float32, and as much in random words, stay near the cache and
# hold enough worlds to share out over threads.
CHUNK_NUMBERS = 2**22
LARGEST_DRAW = 2**28  # numbers in the views that `draw` holds at once: 2 GiB in float64

Source = Callable[..., torch.Tensor]  # (rows, field, law, high=0) -> rows, each world's filled in place


class Pairs(NamedTuple):
    """Image-text pairs and the labels behind them; pairs of an ensemble carry a leading model axis."""

    images: Float[torch.Tensor, "*E n dI"]
    texts: Float[torch.Tensor, "*E n dT"]
    labels: Int[torch.Tensor, "*E n"]
    backgrounds: Int[torch.Tensor, "*E n J"]


def orthonormal_dictionary(dimension: int, latents: int, rng: np.random.Generator) -> np.ndarray:
    """D (dimension, latents), columns orthonormal and uniform over all such frames (Haar measure)."""
    if dimension < latents:
        raise ValueError(
            f"dimension = {dimension} holds no {latents} orthonormal columns; the nearest valid value is {latents}"
        )
    Q, R = np.linalg.qr(rng.standard_normal((dimension, latents)))
    return Q * np.sign(np.diag(R))  # without the signs QR's convention would bias the frame


def dictionaries(world: World, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(D_I, D_T) of a root seed, float64."""
    return (
        orthonormal_dictionary(world.dim_image, world.latents, numpy_stream(seed, "dictionary/image")),
        orthonormal_dictionary(world.dim_text, world.latents, numpy_stream(seed, "dictionary/text")),
    )


def block_size(world: World) -> int:
    """Pairs in one block of a world's streams."""
    return max(1, min(LARGEST_BLOCK, BLOCK_NUMBERS // max(world.dim_image, world.dim_text)))


class Law(NamedTuple):
    """The numbers of E worlds of one shape, block by block, on a device; letters as in `world.Worlds`."""

    mean: Float[torch.Tensor, "E B"]
    scale: Float[torch.Tensor, "E B"]
    nu_image: Float[torch.Tensor, " E"]
    nu_text: Float[torch.Tensor, " E"]


def numbers(worlds: Sequence[World], device: str, dtype: torch.dtype) -> Law:
    """Stack the numbers of worlds that agree in everything that sets a shape."""
    for world in worlds[1:]:
        for field in ("dim_image", "dim_text", "classes", "latents"):
            first, other = getattr(worlds[0], field), getattr(world, field)
            if other != first:
                raise ValueError(f"{field} = {other} in one world and {first} in another; an ensemble has one shape")
    law = Worlds.of(worlds)
    return Law(*(torch.tensor(getattr(law, field), dtype=dtype, device=device) for field in Law._fields))


def fill(rows: torch.Tensor, field: str, seed: int, index: int, streams: Sequence[str], law: Noise, high: int = 0):
    """Draw every world's row in place, from a stream of its own, and return the rows.

    World k of an ensemble is therefore drawn as it would be alone.
    """
    return fill_rows(rows, seed, [f"{stream}/{field}" for stream in streams], index, law=law, high=high)


def independent(seed: int, index: int, streams: Sequence[str]) -> Source:
    """Independent numbers: `fill` for one block."""
    return lambda rows, field, law, high=0: fill(rows, field, seed, index, streams, law, high)


class Codes(NamedTuple):
    """What E x n pairs are of, before anybody sees them."""

    labels: Int[torch.Tensor, "*E n"]
    objects: Int[torch.Tensor, "*E n"]
    backgrounds: Int[torch.Tensor, "*E n J"]
    mentioned: Bool[torch.Tensor, "*E n B"]


def draw_ensemble_codes(worlds: Sequence[World], size: int, source: Source, *, device: str) -> Codes:
    """What the pairs of one block of every world are of, however they are seen."""
    E, K, J = len(worlds), worlds[0].classes, len(worlds[0].attribute) + 1
    # Probabilities meet uniform numbers in float64, so that p = 1 - 1e-9 is not rounded to 1.
    law = Worlds.of(worlds)
    agreement, mention = (torch.as_tensor(p, device=device)[:, None] for p in (law.agreement, law.mention))

    # A lambda: the test run's type checker would compile a nested function anew for every block.
    draw = lambda field, kind, *shape, dtype, high=0: source(  # noqa: E731
        torch.empty(E, size, *shape, dtype=dtype, device=device), field, kind, high
    )
    y = draw("label", "integer", dtype=torch.int64, high=K)
    agrees = draw("agreement", "uniform", J, dtype=torch.float64) < agreement[..., 1:]
    # Streams that could only give one answer are left unread, which moves no other: which of two classes is the other,
    # whether objects shown are the labels' where they always are, and what captions mention where it is everything.
    another = lambda field, count: 1 + draw(field, "integer", count, dtype=torch.int64, high=K - 1) if K > 2 else 1  # noqa: E731
    a = torch.where(agrees, y[..., None], (y[..., None] + another("background", J)) % K)
    o = y
    if (agreement[..., 0] < 1).any():
        shown = draw("object-agreement", "uniform", 1, dtype=torch.float64)[..., 0] < agreement[..., 0]
        o = torch.where(shown, y, ((y[..., None] + another("object", 1)) % K)[..., 0])
    if (mention < 1).any():
        mentioned = draw("mention", "uniform", J + 1, dtype=torch.float64) < mention
    else:
        mentioned = torch.ones(E, size, J + 1, dtype=torch.bool, device=device)
    return Codes(y, o, a, mentioned)


def draw_ensemble_latents(
    worlds: Sequence[World], size: int, source: Source, *, device: str, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents of one block of every world, the structural equations one per line."""
    law = numbers(worlds, device, dtype)
    patterns = torch.as_tensor(class_means(worlds[0].classes), dtype=dtype, device=device)  # (K, width)
    y, o, a, mentioned = draw_ensemble_codes(worlds, size, source, device=device)
    codes = torch.cat([o[..., None], a], dim=-1)  # (E, size, B)
    noise = torch.empty(*codes.shape, patterns.shape[1], dtype=dtype, device=device)
    source(noise, "latent", "normal")
    z = law.mean[:, None, :, None] * patterns[codes] + law.scale[:, None, :, None] * noise  # (E, size, B, width)
    return y, a, z.flatten(2), (z * mentioned[..., None]).flatten(2)


def draw_latents(
    world: World, size: int, seed: int, index: int, *, stream: str, device: str, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """(labels, backgrounds, z_I, z_T) of one block of one world."""
    fields = draw_ensemble_latents((world,), size, independent(seed, index, (stream,)), device=device, dtype=dtype)
    y, a, image, text = (field[0] for field in fields)
    return y, a, image, text


def _embed(view, z, D, nu, field: str, source: Source) -> None:
    """Write x = D z + xi into `view`; a view without noise leaves its stream unread, which moves no other."""
    if nu.any():
        source(view, field, "normal").mul_(nu.sqrt()[:, None, None])
    else:
        view.zero_()
    view.baddbmm_(z, D.T.expand(len(z), -1, -1))


def draw_ensemble_block(
    worlds: Sequence[World],
    frames: tuple[np.ndarray, np.ndarray],
    seed: int,
    index: int,
    *,
    streams: Sequence[str],
    device: str = "cpu",
    draw_on: str | None = None,
    dtype: torch.dtype = torch.float64,
    points: Points = "random",
    over: Pairs | None = None,
) -> Pairs:
    """Block `index` of E worlds' pairs, x_M = D_M mu_M(z) + xi_M, every field with a leading axis E."""
    place, size = "cpu" if points == "sobol" else draw_on or device, block_size(worlds[0])
    E, J = len(worlds), len(worlds[0].attribute) + 1
    D = [torch.as_tensor(frame, dtype=dtype, device=place) for frame in frames]
    if over is not None and over.images.device == D[0].device:
        views = [over.images, over.texts]
    else:
        views = [torch.empty(E, size, len(D_M), dtype=dtype, device=place) for D_M in D]
    labels = torch.empty(E, size, dtype=torch.int64, device=place)
    backgrounds = torch.empty(E, size, J, dtype=torch.int64, device=place)
    together = max(1, CHUNK_NUMBERS // (size * max(map(len, frames)))) if place == "cpu" else E
    for k in range(0, E, together):
        part = slice(k, k + together)
        if points == "random":
            source = independent(seed, index, streams[part])
        else:
            from simulator.gaussian.nets import even  # scipy.stats takes a second, which only those who ask should wait

            source = even(worlds[part], (D[0], D[1]), size, seed, index, streams[part])
        y, a, *latents = draw_ensemble_latents(worlds[part], size, source, device=place, dtype=dtype)
        law = numbers(worlds[part], place, dtype)
        labels[part], backgrounds[part] = y, a
        for field, view, z, D_M, nu in zip(
            ("image-noise", "text-noise"), views, latents, D, (law.nu_image, law.nu_text), strict=True
        ):
            _embed(view[part], z, D_M, nu, field, source)
    return Pairs(views[0].to(device), views[1].to(device), labels.to(device), backgrounds.to(device))


def draw_image_latents(
    worlds: Sequence[World],
    frame: np.ndarray,
    seed: int,
    *,
    streams: Sequence[str],
    device: str = "cpu",
    draw_on: str | None = None,
    dtype: torch.dtype = torch.float64,
) -> tuple[Float[torch.Tensor, "E n dI"], Float[torch.Tensor, "E n l"], Int[torch.Tensor, "E n"]]:
    """Images, their latents and labels of block 0 of E worlds: what an evaluation needs and a learner never sees."""
    place, source = draw_on or device, independent(seed, 0, streams)
    y, _, z, _ = draw_ensemble_latents(worlds, block_size(worlds[0]), source, device=place, dtype=dtype)
    D = torch.as_tensor(frame, dtype=dtype, device=place)
    x = torch.empty(*y.shape, len(D), dtype=dtype, device=place)
    _embed(x, z, D, numbers(worlds, place, dtype).nu_image, "image-noise", source)
    return x.to(device), z.to(device), y.to(device)


def draw_block(
    world: World,
    frames: tuple[np.ndarray, np.ndarray],
    seed: int,
    index: int,
    *,
    stream: str = "pairs",
    device: str = "cpu",
    draw_on: str | None = None,
    dtype: torch.dtype = torch.float64,
) -> Pairs:
    """Block `index` of one world's pairs: an ensemble of one without its axis."""
    block = draw_ensemble_block(
        (world,), frames, seed, index, streams=(stream,), device=device, draw_on=draw_on, dtype=dtype
    )
    return Pairs(*(field[0] for field in block))


def draw_pairs(world: World, frames: tuple[np.ndarray, np.ndarray], n: int, seed: int, **options) -> Iterator[Pairs]:
    """The first n pairs of a stream, block by block.

    Any test law is a world too: `world.model_copy(update={"p_spu": 0.5})` draws backgrounds that say nothing.
    """
    refuse_fraction("n", n)
    if n < 1:
        raise ValueError(f"n = {n} is below 1; the nearest valid value is 1")
    size = block_size(world)
    for index in range(-(-n // size)):
        block = draw_block(world, frames, seed, index, **options)
        yield Pairs(*(field[: n - index * size] for field in block))


@dataclass(frozen=True)
class DrawnPairs:
    """n pairs of one world, with the world and the frames behind their views; what `World.draw` returns."""

    world: World
    frames: tuple[np.ndarray, np.ndarray]
    images: Float[torch.Tensor, "n dI"]
    texts: Float[torch.Tensor, "n dT"]
    labels: Int[torch.Tensor, " n"]
    backgrounds: Int[torch.Tensor, "n J"]
    weights: Float[torch.Tensor, " n"] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def sampled(self, sampler: str, seed: int = 0) -> "DrawnPairs":
        """The pairs after a sampler; their world has the law that their captions follow given the label."""
        refuse_unknown("sampler", sampler, SAMPLERS)
        how, K = SAMPLERS[sampler], self.world.classes
        if not (how.balances or how.swaps):
            return self
        self._refuse_without_groups(sampler)
        if how.balances and self.weights is not None:
            raise ValueError(
                f"sampler = {sampler!r} balances pairs as they were drawn, and these have weights already; the nearest "
                "valid choice is to leave one of the two out"
            )
        groups = group_numbers(self.labels, self.backgrounds, K).cpu().numpy()
        rows, weights = chosen(how, groups, self.world, numpy_stream(seed, f"{sampler}/pairs"))
        fields = Pairs(self.images, self.texts, self.labels, self.backgrounds)
        if how.swaps:
            from simulator.gaussian.captions import contradicted

            block = Pairs(*(field[None] for field in fields))
            block = contradicted(block, K, self.frames[1], seed, 0, streams=("pairs",))
            fields = Pairs(*(field[0] for field in block))
        kept = Pairs(*(field[torch.as_tensor(rows, device=field.device)] for field in fields))
        counts = self.weights if weights is None else torch.as_tensor(weights).to(self.images)
        world = how.captioned(self.world)
        assert isinstance(world, World)  # of one world
        return DrawnPairs(world, self.frames, kept.images, kept.texts, kept.labels, kept.backgrounds, counts)

    def _refuse_without_groups(self, sampler: str) -> None:
        for name in ("labels", "backgrounds"):
            column = getattr(self, name)
            if column is None or 0 in column.shape[1:]:
                wrong = "= None" if column is None else "has no column"
                raise ValueError(
                    f"sampler = {sampler!r} needs the group of every pair, its label with its background, and "
                    f"{name} {wrong}; the nearest valid choice is 'drawn', which leaves pairs as they are"
                )

    def __repr__(self) -> str:
        return f"DrawnPairs({len(self)} of {self.world!r})"


def draw(
    world: World, n: int, seed: int = 0, *, frames: tuple[np.ndarray, np.ndarray] | None = None, **options
) -> DrawnPairs:
    """The first n pairs of a stream in one piece; `World.draw` calls it."""
    most = LARGEST_DRAW // (world.dim_image + world.dim_text)
    if n > most:
        raise ValueError(
            f"n = {n} pairs of {world.dim_image} + {world.dim_text} coordinates are more than the {LARGEST_DRAW:,} "
            f"numbers that are held at once; the largest n that fits is {most}"
        )
    frames = dictionaries(world, seed) if frames is None else frames
    fields: list[torch.Tensor] = []
    filled = 0
    for block in draw_pairs(world, frames, n, seed, **options):
        if not fields:  # written into place: joining blocks at the end would hold every pair twice
            fields = [x.new_empty((n, *x.shape[1:])) for x in block]
        for whole, part in zip(fields, block, strict=True):
            whole[filled : filled + len(part)] = part
        filled += len(block.labels)
    return DrawnPairs(world, frames, *fields)


def sample_cross_covariance(pairs: Iterator[Pairs]) -> Float[torch.Tensor, "dI dT"]:
    """S, the unbiased sample cross-covariance of a stream of at least two pairs, in one pass."""
    n = 0
    sums: list[torch.Tensor] = []
    for block in pairs:
        images, texts = block.images, block.texts
        n += len(images)
        more = images.sum(0), texts.sum(0), images.T @ texts
        sums = [a + b for a, b in zip(sums, more, strict=True)] if sums else list(more)
    if n < 2:
        raise ValueError(f"n = {n} pairs have no sample covariance; the nearest valid value is 2")
    total_image, total_text, product = sums
    return (product - torch.outer(total_image, total_text) / n) / (n - 1)
