"""Streams for accelerators: Philox4x32-10, which makes any number of a stream from its place, for all rows at once.

A generator a row would be a launch a row and field, and tens of microseconds to seed it: longer for a thousand models
than the steps that they take on what is drawn. So a row's key is its stream's, a counter is the block's number and a
place within the row, and one call fills the rows of all models (Salmon et al. 2011, doi:10.1145/2063384.2063405).
"""

import functools

import torch
from jaxtyping import Float, Int

from simulator.compiling import compiled
from simulator.streams import Law, normals

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)  # of Philox4x32; Salmon et al. 2011, section 4.3, as are the next two
WEYL = (0x9E3779B9, 0xBB67AE85)  # added to the key after every round
WORD = 2**32 - 1
TOGETHER = 2**25  # words that are made at a time: a few gigabytes where nothing compiles them
WORTH_COMPILING = 2**20  # numbers: for fewer the hundred launches of uncompiled words take less than the compiler


def philox(counter: tuple[torch.Tensor, ...], key: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Four random words of four words of counter and two of key, all of them int64 in [0, 2^32) and broadcast."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(ROUNDS):
        a, b = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2  # modulo 2^64: the bits are right, whatever their sign
        c0, c1, c2, c3 = (b >> 32 & WORD) ^ c1 ^ k0, b & WORD, (a >> 32 & WORD) ^ c3 ^ k1, a & WORD
        k0, k1 = k0 + WEYL[0] & WORD, k1 + WEYL[1] & WORD
    return c0, c1, c2, c3


def words(keys: Int[torch.Tensor, "E 2"], index: Int[torch.Tensor, ""], count: int) -> Int[torch.Tensor, "E n"]:
    """First words of each key's stream, block `index`, in [0, 2^32); n is `count` rounded up to a multiple of 4."""
    place = torch.arange(-(-count // 4), device=keys.device)
    counter = (place & WORD, place >> 32, index & WORD, index >> 32 & WORD)
    return torch.stack(philox(counter, (keys[:, :1], keys[:, 1:])), dim=2).flatten(1)


@functools.cache
def _compiled():
    return compiled(words, lambda reason: None, dynamic=True)  # where there is no compiler the words are the same


def fill(rows: torch.Tensor, keys: Int[torch.Tensor, "E 2"], index: int, law: Law, high: int = 0) -> torch.Tensor:
    """Draw rows in place, on their own device, and return them."""
    flat, number = rows.view(len(rows), -1), torch.tensor(index, device=rows.device)
    single, numbers = rows.dtype == torch.float32, flat.shape[1]
    count = numbers if single else 2 * numbers
    draw = _compiled() if rows.device.type == "cuda" and rows.numel() >= WORTH_COMPILING else words
    together = max(1, TOGETHER // count)
    for part, key in zip(flat.split(together), keys.split(together), strict=True):
        drawn = draw(key, number, count)[:, :count]
        if single:
            _from_words(drawn, part, law)
        else:
            first, second = drawn.unflatten(1, (numbers, 2)).unbind(2)
            _from_long_words(first << 32 | second, part, law, high)
    return rows


def _from_words(word: torch.Tensor, out: Float[torch.Tensor, "E n"], law: Law) -> None:
    """What single precision takes of words in [0, 2^32): 24 bits."""
    if law == "uniform":
        out.copy_(word >> 8).mul_(2.0**-24)
    elif law == "integer":
        raise TypeError("integers are drawn into tensors of integers, not of float32")
    else:
        normals((word - 2**31).to(torch.int32), out)


def _from_long_words(word: torch.Tensor, out: torch.Tensor, law: Law, high: int) -> None:
    """What double precision takes of words of 64 bits, 53, 52 with a sign, or, of integers, the rest of 63."""
    if law == "uniform":
        out.copy_(word >> 11 & 2**53 - 1).mul_(2.0**-53)
    elif law == "integer":
        out.copy_((word & 2**63 - 1) % high)
    else:
        normals(word, out)
