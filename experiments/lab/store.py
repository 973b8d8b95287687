"""A study on disk: one zarr 3 store, written block by block, each chunk with its checksum.

Every variable is an array whose chunks are the study's blocks. zarr writes a chunk under another name and renames it,
so a chunk is whole or absent; "seconds" is written last, so a block whose chunk of it is there is finished. What a kill
cuts short is computed again. Two processes on one store write the same numbers, whoever comes last. Checksums (Crc32c)
tell a damaged chunk, which is named and computed again. The sentences behind undefined cells are attributes of groups
under "reasons", one a sentence.

A store lies in a folder, or wherever fsspec reaches (s3://bucket/phase.zarr).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from shutil import disk_usage, rmtree
from socket import gethostname
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from experiments.errors import RequestError, RunError
from experiments.files import check_writable
from experiments.lab.blocks import Layout, layout
from experiments.lab.kinship import refuse_another, refuse_format
from experiments.lab.result import FORMAT, LOST, Block, attributes, coordinates, sizes, variables, with_legend
from experiments.lab.study import Study

if TYPE_CHECKING:
    import xarray as xr
    import zarr

LAST = "seconds"  # its chunk says that a block is finished
REASONS = "reasons"
META = "zarr.json"
KEPT = ("study", "hash", "seed", "versions", "commit", "format")  # attributes of the Dataset

Where = Path | str


class Damage(NamedTuple):
    """A chunk that is missing from a finished block, or does not have its checksum."""

    block: int
    name: str


def refuse(path: Where, study: Study) -> None:
    """Raise RequestError, before any work, for a path that cannot become, or is not, the store of a study."""
    path = located(path)
    if stands(path):
        refuse_another(path, _attributes(path), study)
    elif not _is_remote(path):
        check_writable(Path(path))


def refuse_read_only(path: Where) -> None:
    """Raise RequestError for a store that cannot be written."""
    if not _is_remote(path):
        check_writable(Path(path))


def begin(path: Where, study: Study, estimated: bool) -> bool:
    """Make the store of a study unless it is there; whether it was."""
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
    """The folder that a file:// URL names, written as folders are; any other path as it is."""
    return Path(str(path).removeprefix("file://")) if str(path).startswith("file://") else path


def absolute(path: Where) -> str:
    """The store's place by a name that does not depend on the folder a process works in."""
    return str(path) if _is_remote(path) else str(Path(path).absolute())


def _is_remote(path: Where) -> bool:
    return "://" in str(path)


def stands(path: Where) -> bool:
    """Whether there is a store. Raises RequestError for what neither is one nor can become one."""
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
        raise RequestError(f"output {str(path)!r} holds other things; name a store of its own")
    return False


def _files(path: Where):
    """(fsspec file system, root) of a store, on this machine or elsewhere."""
    import fsspec

    try:
        return fsspec.core.url_to_fs(absolute(path))
    except (ImportError, ValueError) as error:  # a protocol whose package is not installed, or that nobody knows
        raise RequestError(f"output {str(path)!r} cannot be reached: {error}") from None


def _opened(path: Where, mode: str = "r") -> "zarr.Group":
    import zarr

    return zarr.open_group(str(path), mode=mode, zarr_format=3, use_consolidated=False)


@contextmanager
def _readable(path: Where) -> Iterator[None]:
    """What zarr and xarray say of a store that they cannot read, as a sentence."""
    try:
        yield
    except (OSError, KeyError, ValueError, TypeError, IndexError) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise RequestError(f"{str(path)!r} is no store of a study that can be read ({words})") from None


def _attributes(path: Where) -> dict:
    with _readable(path):
        return dict(_opened(path).attrs)


def _create(where: str, study: Study, estimated: bool) -> None:
    import xarray as xr
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
            fill_value=0 if variable.dtype == "int32" else float("nan"),
            dimension_names=variable.dims,
            attributes=variable.attrs,
            serializer=BytesCodec(),
            compressors=_codecs(),
            chunk_key_encoding={"name": "v2", "separator": "."},  # one folder a variable: listed at once
        )
    root.create_group(REASONS)
    # Last, so that a store with these attributes has everything else.
    root.attrs.update({**attributes(study), "variables": list(declared)})


def _codecs() -> list:
    """Of random numbers, half the time of zstd's first level and a fifth smaller: only their exponents repeat."""
    from zarr.codecs import BloscCodec, Crc32cCodec

    # zarr never lets Blosc use threads of its own, which would put its parts in the order in which they finish.
    return [BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"), Crc32cCodec()]


def arrays(path: Where) -> "dict[str, zarr.Array]":
    """The arrays for writing, kept open from block to block while the same store lies there.

    RequestError where this process does not see the store, which another one made.
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
    import zarr

    with zarr.config.set({"array.write_empty_chunks": True}):  # a chunk of nan alone is finished, not missing
        root = _opened(path, "r+")
        return {name: root[name] for name in root.attrs["variables"]}


def write(path: Where, plan: Layout, block: int, numbers: Block) -> None:
    """Write a finished block, its sentences first and "seconds" last. RunError where the file system refuses."""
    region, opened = plan.region(block), arrays(path)
    try:
        if numbers.sentences:
            reasons = _opened(path, "r+")[REASONS]
            for code, sentence in numbers.sentences.items():
                reasons.require_group(str(code)).attrs["sentence"] = sentence
        for name in sorted(numbers.arrays, key=lambda name: name == LAST):
            opened[name][region] = numbers.arrays[name]
    except OSError as error:
        raise RunError(f"{path} could not be written: {error.strerror or error}") from error


def finished(path: Where, plan: Layout) -> np.ndarray:
    """(count,) whether each block is finished, by listing one folder."""
    fs, root = _files(path)
    with _readable(path):
        names = [name.rsplit("/", 1)[-1] for name in fs.ls(f"{root}/{LAST}", detail=False)]
    done = np.zeros(plan.count, bool)
    for name in names:
        parts = name.split(".")
        if all(part.isdecimal() for part in parts):  # others are metadata, and what a kill has left
            done[plan.number(tuple(map(int, parts)))] = True
    return done


def forget(path: Where, plan: Layout, block: int) -> None:
    """A block is not finished after all."""
    fs, _ = _files(path)
    with suppress(FileNotFoundError):
        fs.rm_file(_last(path, plan, block))


def is_finished(path: Where, plan: Layout, block: int) -> bool:
    """Whether a block is finished by now."""
    fs, _ = _files(path)
    return bool(fs.exists(_last(path, plan, block)))


def _last(path: Where, plan: Layout, block: int) -> str:
    """The file whose presence says that a block is finished."""
    _, root = _files(path)
    return f"{root}/{LAST}/{_key(arrays(path)[LAST].ndim, plan, '.'.join(map(str, plan.place(block))))}"


def _key(dimensions: int, plan: Layout, place: str) -> str:
    """Name of a block's chunk in a variable: its place along the axes, 0 along all other dimensions."""
    return ".".join([*([place] if plan.grid else []), *["0"] * (dimensions - len(plan.grid))])


def damaged(path: Where, plan: Layout, done: np.ndarray) -> list[Damage]:
    """The chunks of finished blocks that are missing or do not have their checksum."""
    with _readable(path):
        ends = {name: _key(array.ndim, plan, "{}") for name, array in arrays(path).items()}
    content = _reader(path)
    return [
        Damage(block, chunk)
        for block, place in ((block, plan.place(block)) for block in np.flatnonzero(done).tolist())
        for name, end in ends.items()
        if not _whole(content(chunk := f"{name}/{end.format('.'.join(map(str, place)))}"))
    ]


def _reader(path: Where) -> Callable[[str], bytes]:
    """A function that reads a file of the store, nothing where there is none."""
    if _is_remote(path):
        fs, root = _files(path)

        def read(name: str) -> bytes:
            with suppress(FileNotFoundError):
                return fs.cat_file(f"{root}/{name}")
            return b""

        return read
    folder = f"{Path(path).absolute()}/"

    def read_here(name: str) -> bytes:  # three times as fast as fsspec: there may be a million chunks
        with suppress(FileNotFoundError), open(folder + name, "rb") as file:
            return file.read()
        return b""

    return read_here


def _whole(content: bytes) -> bool:
    """Whether a chunk ends with the checksum of what stands before."""
    import google_crc32c

    return content[-4:] == google_crc32c.value(content[:-4]).to_bytes(4, "little")


def read(path: Where) -> "xr.Dataset":
    """The Dataset of a store, its numbers read when they are asked for; nan where a chunk is not written yet.

    Raises RequestError for what is no store of a study, or one of another format.
    """
    import xarray as xr

    path = located(path)
    with _readable(path):
        root = _opened(path)
        refuse_format(path, dict(root.attrs), f"this edition reads format {FORMAT}; sweep into a store of its own")
        table = xr.open_zarr(str(path), consolidated=False, chunks=None, zarr_format=3, mask_and_scale=False)
        found = xr.Dataset(
            {name: table[name].variable for name in root.attrs["variables"]},
            {name: _plain(table[name].variable) for name in table.dims if name in table.coords},
            {name: root.attrs[name] for name in KEPT},
        )
        return with_legend(found, _sentences(root, path))


def _sentences(group: "zarr.Group", path: Where) -> dict[int, str]:
    """The sentence of each code; the folder of a sentence tells of one whose file is gone."""
    fs, root = _files(path)
    names = [name.rstrip("/").rsplit("/", 1)[-1] for name in fs.ls(f"{root}/{REASONS}", detail=False)]
    told = {name: group.get(f"{REASONS}/{name}") for name in names if name.isdecimal()}
    return {int(name): LOST if one is None else one.attrs.get("sentence", LOST) for name, one in told.items()}


def _plain(variable: "xr.Variable") -> "xr.Variable":
    """Words as objects, as they are in memory; zarr reads them as numpy's StringDType."""
    return variable.astype(object) if variable.dtype.kind == "T" else variable


def free_space(path: Where) -> int | None:
    """Bytes free where a store is to lie; None where nobody says."""
    if _is_remote(path):
        return None
    folder = Path(path).absolute()
    return disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free
