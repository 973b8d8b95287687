"""Image-text pairs of a world, drawn on a torch device in bounded memory.

Pairs come in fixed blocks, one named stream per field, so that pair i is the same for any chunk size and any
process count on one device: equal in law across devices, and equal to rounding when drawn on the CPU and moved
(`draw_on="cpu"`).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from simulator.streams import numpy_stream, torch_stream
from simulator.world import World

# Numbers in one view of a block (32 MB in float64): large enough to amortise a kernel launch, small enough for
# any device. The block size follows from the world alone, never from the chunk a caller asks for.
BLOCK_NUMBERS = 2**22
LARGEST_BLOCK = 4096


class Pairs(NamedTuple):
    """n pairs and the labels behind them; class 0 of the binary world is y = +1."""

    images: Float[torch.Tensor, "n dI"]
    texts: Float[torch.Tensor, "n dT"]
    labels: Int[torch.Tensor, " n"]
    backgrounds: Int[torch.Tensor, "n J"]


def orthonormal_dictionary(dimension: int, latents: int, rng: np.random.Generator) -> np.ndarray:
    """D (dimension, latents), columns orthonormal and uniform over all such frames (Haar measure).

    Raises ValueError if dimension < latents.
    """
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


def draw_latents(
    world: World, size: int, seed: int, index: int, *, stream: str, device: str, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """(labels, backgrounds, z_I, z_T) of one block, the structural equations one per line."""
    K, b = world.classes, world.blocks()
    J = len(b.mean) - 1

    def source(field: str) -> torch.Generator:
        return torch_stream(seed, f"{stream}/{field}", index, device)

    def number(values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(values, dtype=dtype, device=device)

    y = torch.randint(K, (size,), generator=source("label"), device=device)
    agrees = torch.rand(size, J, generator=source("agreement"), device=device, dtype=torch.float64) < torch.as_tensor(
        b.agreement[1:], device=device
    )
    other = 1 + torch.randint(K - 1, (size, J), generator=source("background"), device=device)
    a = torch.where(agrees, y[:, None], (y[:, None] + other) % K)
    codes = torch.cat([y[:, None], a], dim=1)  # (size, B)
    patterns = number(np.array([[1.0], [-1.0]]) if K == 2 else np.eye(K))
    noise = torch.randn(size, J + 1, patterns.shape[1], generator=source("latent"), device=device, dtype=dtype)
    z = number(b.mean)[:, None] * patterns[codes] + number(b.scale)[:, None] * noise  # (size, B, width)
    mentioned = torch.rand(
        size, J + 1, generator=source("mention"), device=device, dtype=torch.float64
    ) < torch.as_tensor(b.mention, device=device)
    return y, a, z.flatten(1), (z * mentioned[..., None]).flatten(1)


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
    """Block `index` of a world's pairs: x_M = D_M mu_M(z) + xi_M."""
    source, size = draw_on or device, block_size(world)
    y, a, image_latents, text_latents = draw_latents(
        world, size, seed, index, stream=stream, device=source, dtype=dtype
    )
    views = []
    for field, latents, frame, nu in (
        ("image-noise", image_latents, frames[0], world.nu_image),
        ("text-noise", text_latents, frames[1], world.nu_text),
    ):
        D = torch.as_tensor(frame, dtype=dtype, device=source)
        view = latents @ D.T
        if nu > 0:  # a stream of its own, so leaving it unread moves no other
            generator = torch_stream(seed, f"{stream}/{field}", index, source)
            noise = torch.randn(size, D.shape[0], generator=generator, device=source, dtype=dtype)
            view.add_(noise, alpha=nu**0.5)
        views.append(view.to(device))
    return Pairs(views[0], views[1], y.to(device), a.to(device))


def draw_pairs(world: World, frames: tuple[np.ndarray, np.ndarray], n: int, seed: int, **options) -> Iterator[Pairs]:
    """The first n pairs of a stream, block by block; options as in `draw_block`.

    Any test law is a world too: `world.model_copy(update={"p_spu": 0.5})` draws backgrounds that say nothing.
    Raises ValueError for n < 1.
    """
    if n < 1:
        raise ValueError(f"n = {n} is below 1; the nearest valid value is 1")
    size = block_size(world)
    for index in range(-(-n // size)):
        block = draw_block(world, frames, seed, index, **options)
        yield Pairs(*(field[: n - index * size] for field in block))


def sample_cross_covariance(pairs: Iterator[Pairs]) -> Float[torch.Tensor, "dI dT"]:
    """S, the unbiased sample cross-covariance of a stream of at least two pairs, in one pass."""
    n, total_image, total_text, product = 0, 0.0, 0.0, 0.0
    for block in pairs:
        images, texts = block.images, block.texts
        n += len(images)
        total_image = total_image + images.sum(0)
        total_text = total_text + texts.sum(0)
        product = product + images.T @ texts
    if n < 2:
        raise ValueError(f"n = {n} pairs have no sample covariance; the nearest valid value is 2")
    return (product - torch.outer(total_image, total_text) / n) / (n - 1)
