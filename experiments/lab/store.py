"""A study on disk: one zarr 3 store, written block by block, each chunk with its checksum.

Each variable is an array whose chunks are the study's blocks. zarr writes a chunk under another name and renames it,
so a chunk is whole or absent. "seconds" is written last: if its chunk is there, the block is finished. A block that a
kill cuts short is computed again. Two processes that share a store write the same numbers. Checksums (Crc32c) reveal a
damaged chunk. The sentence behind each code of a reason is an attribute of a group under "reasons".

A store is a folder, or any address that fsspec reaches (s3://bucket/phase.zarr).
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from shutil import disk_usage, rmtree
from socket import gethostname
from typing import TYPE_CHECKING

import numpy as np

from experiments.errors import RequestError, RunError
from experiments.files import check_writable
from experiments.lab.blocks import Layout, layout
from experiments.lab.schema import LOST, Block, attributes, coordinates, sizes, variables, with_legend
from experiments.lab.spec import StudySpec
from experiments.lab.store_compat import refuse_another, refuse_format

if TYPE_CHECKING:
    import xarray as xr
    import zarr

LAST = "seconds"  # its chunk marks a block as finished
REASONS = "reasons"
META = "zarr.json"
KEPT = ("study", "hash", "seed", "versions", "commit", "format")  # attributes of the Dataset

Where = Path | str


def refuse(path: Where, study: StudySpec) -> None:
    """Raise RequestError, before any work, for a path that is not, and cannot become, the store of a study."""
    path = located(path)
    if stands(path):
        refuse_another(path, _attributes(path), study)
    else:
        refuse_read_only(path)


def refuse_read_only(path: Where) -> None:
    """Raise RequestError for a folder that cannot be written."""
    if not _is_remote(path):
        check_writable(Path(path))


def begin(path: Where, study: StudySpec, estimated: bool) -> bool:
    """Create the store of a study unless it exists; whether it existed."""
    if stands(path):
        refuse_another(path, _attributes(path), study)
        return True
    if _is_remote(path):
        _create(str(path), study, estimated)
        return False
    target = Path(path)
    staging = target.absolute().with_name(f".{target.name}.{token_hex(6)}")
    try:
        staging.parent.mkdir(parents=True, exist_ok=True)
        _create(str(staging), study, estimated)
        staging.rename(target)
    except OSError as error:
        if not stands(path):
            raise RequestError(f"output {str(path)!r} cannot be written ({error.strerror or error})") from None
        refuse_another(path, _attributes(path), study)  # another process was faster
        return True
    finally:
        rmtree(staging, ignore_errors=True)
    return False


def located(path: Where) -> Where:
    """The folder of a file:// URL; any other path as it is."""
    return Path(str(path).removeprefix("file://")) if str(path).startswith("file://") else path


def absolute(path: Where) -> str:
    """The path of a store, independent of the working folder."""
    return str(path) if _is_remote(path) else str(Path(path).absolute())


def _is_remote(path: Where) -> bool:
    return "://" in str(path)


def stands(path: Where) -> bool:
    """Whether a store exists. Raises RequestError for a path that is taken by something else."""
    if _is_remote(path):
        fs, root = _files(path)
        return bool(fs.exists(f"{root}/{META}"))
    target = Path(path)
    if target.exists() and not target.is_dir():
        raise RequestError(f"output {str(path)!r} is a file, a store is a folder; try {str(path) + '.zarr'!r}")
    with _readable(path):
        if (target / META).is_file():
            return True
        taken = target.is_dir() and any(target.iterdir())
    if taken:
        raise RequestError(f"output {str(path)!r} holds other files; name another folder")
    return False


def _files(path: Where):
    """(fsspec file system, root) of a store."""
    import fsspec  # start-up time

    try:
        return fsspec.core.url_to_fs(absolute(path))
    except (ImportError, ValueError) as error:  # the protocol is unknown, or its package is not installed
        raise RequestError(f"output {str(path)!r} cannot be reached: {error}") from None


def _opened(path: Where, mode: str = "r") -> "zarr.Group":
    import zarr  # start-up time

    return zarr.open_group(str(path), mode=mode, zarr_format=3, use_consolidated=False)


@contextmanager
def _readable(path: Where) -> Iterator[None]:
    """Turn the errors of zarr and xarray about an unreadable store into one sentence."""
    try:
        yield
    except (OSError, KeyError, ValueError, TypeError, IndexError) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise RequestError(f"{str(path)!r} is not a readable store of a study ({words})") from None


def _attributes(path: Where) -> dict:
    with _readable(path):
        return dict(_opened(path).attrs)


def _create(where: str, study: StudySpec, estimated: bool) -> None:
    """Coordinates, and arrays without chunks."""
    import xarray as xr  # start-up time
    import zarr
    from zarr.codecs import BytesCodec

    root = zarr.open_group(where, mode="w", zarr_format=3)
    table = xr.Dataset(coords={name: xr.Variable(*given) for name, given in coordinates(study).items()})
    # Without a fill value, so that xarray adds no attribute of its own.
    plain = {name: {"_FillValue": None, "compressors": _codecs()} for name in table.coords}
    table.to_zarr(where, mode="a", zarr_format=3, consolidated=False, encoding=plain)
    chunk = dict(zip(study.dims, layout(study, estimated).chunk, strict=True))
    declared, length = variables(study, estimated), sizes(study)
    for name, variable in declared.items():
        root.create_array(
            name,
            shape=tuple(length[d] for d in variable.dims),
            chunks=tuple(chunk.get(d, length[d]) for d in variable.dims),
            dtype=variable.dtype,
            fill_value=variable.empty,
            dimension_names=variable.dims,
            attributes=variable.attrs,
            serializer=BytesCodec(),
            compressors=_codecs(),
            chunk_key_encoding={"name": "v2", "separator": "."},  # one folder per variable, listed at once
        )
    root.create_group(REASONS)
    # Last, so that a store with these attributes has everything else.
    root.attrs.update({**attributes(study), "variables": list(declared)})


def _codecs() -> list:
    """On random numbers half the time of zstd's first level, and a fifth smaller: only their exponents repeat."""
    from zarr.codecs import BloscCodec, Crc32cCodec  # start-up time

    # zarr keeps Blosc from using threads, which would write its parts in the order in which they finish.
    return [BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"), Crc32cCodec()]


def arrays(path: Where) -> "dict[str, zarr.Array]":
    """The arrays for writing, kept open from block to block while the same store lies there.

    Raises RequestError if this process cannot see the store, which another one made.
    """
    fs, root = _files(path)
    try:
        return _kept_open(str(path), fs.cat_file(f"{root}/{META}"))
    except FileNotFoundError:
        raise RequestError(
            f"{str(path)!r} cannot be found from {gethostname()}; a store lies where every worker can reach it"
        ) from None


@lru_cache(maxsize=4)
def _kept_open(path: str, metadata: bytes) -> "dict[str, zarr.Array]":
    """`metadata` is part of the key of the cache, so that another store at the same path is opened anew."""
    import zarr  # start-up time

    with zarr.config.set({"array.write_empty_chunks": True}):  # a chunk of nan alone is finished, not missing
        root = _opened(path, "r+")
        return {name: root[name] for name in root.attrs["variables"]}


def write(path: Where, cut: Layout, block: int, numbers: Block) -> None:
    """Write a finished block, its sentences first and "seconds" last. Raises RunError if the file system refuses."""
    region, opened = cut.region(block), arrays(path)
    try:
        if numbers.sentences:
            reasons = _opened(path, "r+")[REASONS]
            for code, sentence in numbers.sentences.items():
                reasons.require_group(str(code)).attrs["sentence"] = sentence
        for name in sorted(numbers.arrays, key=lambda name: name == LAST):
            opened[name][region] = numbers.arrays[name]
    except OSError as error:
        raise RunError(f"{path} could not be written: {error.strerror or error}") from error


def finished(path: Where, cut: Layout) -> np.ndarray:
    """(count,) whether each block is finished, by listing one folder."""
    fs, root = _files(path)
    with _readable(path):
        names = [name.rsplit("/", 1)[-1] for name in fs.ls(f"{root}/{LAST}", detail=False)]
    done = np.zeros(cut.count, bool)
    for name in names:
        parts = name.split(".")
        if all(part.isdecimal() for part in parts):  # others are metadata, or left by a kill
            done[cut.number(tuple(map(int, parts[: len(cut.grid)])))] = True
    return done


def forget(path: Where, cut: Layout, block: int) -> None:
    """Mark a block as unfinished."""
    fs, root = _files(path)
    with suppress(FileNotFoundError):
        fs.rm_file(f"{root}/{_chunk(arrays(path)[LAST].ndim, LAST, cut, block)}")


def is_finished(path: Where, cut: Layout, block: int) -> bool:
    """Whether a block is finished by now."""
    fs, root = _files(path)
    return bool(fs.exists(f"{root}/{_chunk(arrays(path)[LAST].ndim, LAST, cut, block)}"))


def _chunk(dimensions: int, name: str, cut: Layout, block: int) -> str:
    """Name of a block's chunk of a variable: its place along the axes, 0 along all other dimensions."""
    place = cut.place(block)
    return f"{name}/{'.'.join(map(str, (*place, *[0] * (dimensions - len(place)))))}"


def damaged(path: Where, cut: Layout, done: np.ndarray) -> Iterator[tuple[int, str]]:
    """(block, chunk) of each chunk of a finished block that is missing or does not match its checksum."""
    import google_crc32c  # start-up time

    with _readable(path):
        dimensions = {name: array.ndim for name, array in arrays(path).items()}
    fs, root = _files(path)
    for block in np.flatnonzero(done).tolist():
        for name, ndim in dimensions.items():
            chunk = _chunk(ndim, name, cut, block)
            try:
                content = fs.cat_file(f"{root}/{chunk}")
            except FileNotFoundError:
                content = b""
            if content[-4:] != google_crc32c.value(content[:-4]).to_bytes(4, "little"):
                yield block, chunk


def read(path: Where) -> "xr.Dataset":
    """The Dataset of a store, its numbers read on first use; nan where a chunk is not written yet.

    Raises RequestError for a path that is not the store of a study, or has another format.
    """
    import xarray as xr  # start-up time

    path = located(path)
    with _readable(path):
        root = _opened(path)
        refuse_format(path, dict(root.attrs))
        table = xr.open_zarr(str(path), consolidated=False, chunks=None, zarr_format=3, mask_and_scale=False)
        dataset = xr.Dataset(
            {name: table[name].variable for name in root.attrs["variables"]},
            {name: _plain(table[name].variable) for name in table.dims if name in table.coords},
            {name: root.attrs[name] for name in KEPT},
        )
        return with_legend(dataset, _sentences(root, path))


def _sentences(root: "zarr.Group", path: Where) -> dict[int, str]:
    """The sentence of each code; `LOST` where its file is gone and its folder is left."""
    fs, folder = _files(path)
    names = [name.rstrip("/").rsplit("/", 1)[-1] for name in fs.ls(f"{folder}/{REASONS}", detail=False)]
    groups = {name: root.get(f"{REASONS}/{name}") for name in names if name.isdecimal()}
    return {int(code): LOST if one is None else one.attrs.get("sentence", LOST) for code, one in groups.items()}


def _plain(variable: "xr.Variable") -> "xr.Variable":
    """Words as objects, as in memory; zarr reads them as numpy's StringDType."""
    return variable.astype(object) if variable.dtype.kind == "T" else variable


def free_space(path: Where) -> int | None:
    """Free bytes on the disk of a store; None for an address."""
    if _is_remote(path):
        return None
    folder = Path(path).absolute()
    return disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free
