"""MNIST as torchvision keeps it: root/MNIST/raw/*-ubyte, plain or gzipped; read here, never downloaded.

A file is a header of big-endian numbers and then bytes (LeCun, Cortes and Burges, "The MNIST database of handwritten
digits"): 0x803, count, rows and columns for scans, 0x801 and count for labels.
"""

import gzip
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

SIDE = 28
MOST = 100_000  # scans in one file; MNIST has 60,000
SETS = {"train": "train", "test": "t10k"}


def read_mnist(root: str, part: str) -> tuple[UInt8[np.ndarray, "N 28 28"], Int[np.ndarray, " N"]]:
    """Scans and labels of one of MNIST's two sets."""
    raw = Path(root).expanduser() / "MNIST" / "raw"
    scans = _idx(raw / f"{SETS[part]}-images-idx3-ubyte", (SIDE, SIDE))
    labels = _idx(raw / f"{SETS[part]}-labels-idx1-ubyte", ())
    if len(scans) != len(labels):
        raise ValueError(f"{raw} holds {len(scans)} scans and {len(labels)} labels of its {part} set")
    if labels.max(initial=0) > 9:
        raise ValueError(f"{raw} holds a label {labels.max()} in its {part} set; labels are 0 to 9")
    return scans, labels.astype(np.int64)


def _idx(path: Path, shape: tuple[int, ...]) -> UInt8[np.ndarray, "N ..."]:
    size = int(np.prod(shape))
    data = _bytes(path, most=4 * (2 + len(shape)) + MOST * size)
    header = np.frombuffer(data[: 4 * (2 + len(shape))].ljust(4 * (2 + len(shape)), b"\0"), ">u4").tolist()
    magic, count, *found = header
    if magic != 0x801 + len(shape) or tuple(found) != shape or len(data) != 4 * len(header) + count * size:
        raise ValueError(f"{path} is not an IDX file of {' x '.join(map(str, shape)) or 'labels'}")
    return np.frombuffer(data, np.uint8, offset=4 * len(header)).reshape(count, *shape)


def _bytes(path: Path, most: int) -> bytes:
    """Content of the file or its gzipped copy, cut one byte beyond `most`."""
    packed = path.with_name(path.name + ".gz")
    try:
        with path.open("rb") if path.exists() else gzip.open(packed, "rb") as file:
            return file.read(most + 1)
    except FileNotFoundError:
        raise ValueError(
            f"{path} is missing, plain or gzipped; torchvision.datasets.MNIST(root, download=True) puts it there"
        ) from None
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
