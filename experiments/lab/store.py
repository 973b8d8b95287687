"""A study on disk: one zarr 3 store, written block by block, each chunk with its checksum.

Each variable is an array whose chunks are the study's blocks. zarr writes a chunk under another name and renames it, so
a chunk is complete or absent. "seconds" is written last: if its chunk is there, the block is finished. An unfinished
block is computed again. Two runs that share a store write the same numbers. Checksums (Crc32c) reveal a damaged chunk.
Numbers of reasons belong to their block, whose reasons are one text of the array "reasons". While a study runs, nothing
reads consolidated metadata; a finished store has them, for other programs.

A store is a folder, or any address that fsspec reaches (s3://bucket/phase.zarr). `located` tells them apart: all other
functions but `read` take what it returns.
"""

import json
import tomllib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from shutil import rmtree
from typing import TYPE_CHECKING, Any

import fsspec
import google_crc32c
import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec

from experiments.errors import RequestError, RunError
from experiments.files import check_writable
from experiments.lab.config import check_same
from experiments.lab.plan import Grid, Plan
from experiments.lab.schema import FORMAT, Cells, empty_table, with_legend
from experiments.provenance import rounding
from simulator.world import World

if TYPE_CHECKING:
    from experiments.lab.studies import Study

LAST = "seconds"  # its chunk marks a block as finished
REASONS = "reasons"  # one text per block, a JSON list
META = "zarr.json"

Where = Path | str


def located(path: Where) -> Where:
    """The absolute folder of a path or file:// URL; any other address as it is."""
    plain = str(path).removeprefix("file://")
    return plain if "://" in plain else Path(plain).absolute()


def check(path: Where, study: "Study") -> bool:
    """Whether a store of the study exists. Raises RequestError for a path that is not, and cannot become, its store."""
    system, root = _files(path)
    if system.isfile(root.rstrip("/")):
        raise RequestError(f"output {str(path)!r} is a file, a store is a folder; try {str(path) + '.zarr'!r}")
    if system.isfile(f"{root}{META}"):
        _check_same(path, study)
        return True
    if system.isdir(root) and system.ls(root):
        raise RequestError(f"output {str(path)!r} holds other files; name another folder")
    if isinstance(path, Path):
        check_writable(path)
    return False


def begin(path: Where, planned: Plan) -> bool:
    """Create the store unless it exists; whether it did."""
    if check(path, planned.study):
        return True
    if isinstance(path, str):
        _create(path, planned)
        return False
    staging = path.with_name(f".{path.name}.{token_hex(6)}")
    try:
        staging.parent.mkdir(parents=True, exist_ok=True)
        _create(str(staging), planned)
        staging.rename(path)
    except OSError as error:
        if check(path, planned.study):  # another process was faster
            return True
        raise RequestError(f"output {str(path)!r} cannot be written ({error.strerror or error})") from None
    finally:
        rmtree(staging, ignore_errors=True)
    return False


def _files(path: Where, name: str = ""):
    try:
        system, root = fsspec.core.url_to_fs(str(path))
    except (ImportError, ValueError) as error:  # the protocol is unknown, or its package is not installed
        raise RequestError(f"output {str(path)!r} cannot be reached: {error}") from None
    system.invalidate_cache()  # another process may have written since s3 was last listed
    return system, f"{root}/{name}"


def _opened(path: Where, mode: str = "r") -> zarr.Group:
    return zarr.open_group(str(path), mode=mode, zarr_format=3, use_consolidated=False)


@contextmanager
def _readable(path: Where) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Object at .* is not recognized as a component", UserWarning)
            yield
    except (OSError, KeyError, ValueError, TypeError, IndexError) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, json.JSONDecodeError):  # its own words are about brackets
            words = "a file zarr.json in it is damaged"
        raise RequestError(f"{str(path)!r} is not a readable store of a study ({words})") from None


def _check_same(path: Where, study: "Study") -> None:
    """Refuse a store of another study or of other versions, by the first difference."""
    with _readable(path):
        there = dict(_opened(path).attrs)
        _check_format(path, there)
        requests = [(tomllib.loads(there["study"]), there["hash"]), (tomllib.loads(study.toml()), study.hash)]
        then = json.loads(there["versions"])
    default = World().model_dump(exclude_none=True)  # fields at their defaults are left out of a store
    wholes = (
        {**one, "world": {**default, **one.get("world", {})}, "the options of a learner": number}
        for one, number in requests
    )
    check_same(str(path), "study", *wholes)
    for name, now in rounding().items():
        if then.get(name) != now:
            raise RequestError(
                f"{str(path)!r} was begun with {name} {then.get(name)}, but {now} is installed, which may round "
                "differently; continue with that version, or name another folder"
            )


def _check_format(path: Where, attributes: dict[str, Any]) -> None:
    if attributes.get("format") != FORMAT:
        there = f"has format {attributes['format']!r}" if "format" in attributes else "is not the store of a study"
        raise RequestError(
            f"{str(path)!r} {there}, and this version reads and writes format {FORMAT}; name another folder, where the "
            "same command computes the numbers again"
        )


def _create(where: str, planned: Plan) -> None:
    # On random numbers this takes half the time of zstd's first level and a fifth less space.
    codecs = [BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"), Crc32cCodec()]
    one_folder = {"name": "v2", "separator": "."}  # per variable, which is listed at once
    study, table = planned.study, empty_table(planned.study)
    root = zarr.open_group(where, mode="w", zarr_format=3)
    # Without a fill value, so that xarray adds no attribute of its own.
    plain = {name: {"_FillValue": None, "compressors": codecs} for name in table.coords}
    table.drop_attrs(deep=False).to_zarr(where, mode="a", zarr_format=3, consolidated=False, encoding=plain)
    chunk = dict(zip(study.dims, planned.grid.chunk, strict=True))
    for name, variable in planned.variables.items():
        root.create_array(
            name,
            shape=variable.shape,
            chunks=tuple(chunk.get(d, length) for d, length in zip(variable.dims, variable.shape, strict=True)),
            dtype=variable.dtype,
            fill_value=variable.empty,
            dimension_names=variable.dims,
            attributes=variable.attrs,
            serializer=BytesCodec(),
            compressors=codecs,
            chunk_key_encoding=one_folder,
        )
    root.create_array(
        REASONS,
        shape=(planned.grid.count,),
        chunks=(1,),
        dtype=str,
        fill_value="[]",
        dimension_names=("block",),
        compressors=codecs,
        chunk_key_encoding=one_folder,
    )
    # Last, so that a store with these attributes has everything else.
    root.attrs.update({**table.attrs, "variables": list(planned.variables)})


def write(path: Where, planned: Plan, number: int, cells: Cells) -> None:
    try:
        with zarr.config.set({"array.write_empty_chunks": True}):  # a chunk of nan alone is finished, not missing
            root = _opened(path, "r+")
            root[REASONS][number] = json.dumps(list(cells.reasons))
            for name, variable in sorted(planned.variables.items(), key=lambda item: item[0] == LAST):
                root[name][planned.grid.region(number)] = cells.arrays.get(name, variable.empty)
    except OSError as error:
        raise RunError(f"{path} could not be written: {error.strerror or error}") from error


def consolidate(path: Where) -> None:
    """Copy the metadata of a finished store into its root, where `xarray.open_zarr` looks for them."""
    system, meta = _files(path, META)
    with _readable(path):
        known = "consolidated_metadata" in json.loads(system.cat_file(meta))
    if not known:
        with warnings.catch_warnings(), suppress(PermissionError):  # a store that cannot be written stays as it is
            warnings.filterwarnings("ignore", "Consolidated metadata is currently not part", UserWarning)
            zarr.consolidate_metadata(str(path), zarr_format=3)


def finished(path: Where, planned: Plan) -> np.ndarray:
    """(blocks,) whether each block is finished, by listing one folder."""
    system, folder = _files(path, LAST)
    done = np.zeros(planned.grid.blocks, bool)
    with _readable(path):
        for name in system.ls(folder, detail=False):
            parts = name.rsplit("/", 1)[-1].split(".")
            if all(part.isdecimal() for part in parts):  # others are metadata, or left by a kill
                done[tuple(map(int, parts[: done.ndim]))] = True
    return done.ravel()


def damaged(path: Where, planned: Plan, done: np.ndarray) -> Iterator[tuple[int, str]]:
    """(block, chunk) of each chunk of a finished block that is missing or does not match its checksum."""
    system, root = _files(path)
    for number in np.flatnonzero(done).tolist():
        at = np.unravel_index(number, planned.grid.blocks)  # along all other dimensions there is one chunk
        names = {name: [*at, *[0] * (len(v.dims) - len(at))] for name, v in planned.variables.items()} | {
            REASONS: [number]
        }
        for name, place in names.items():
            chunk, content = f"{name}/{'.'.join(map(str, place))}", b""
            with suppress(FileNotFoundError):
                content = system.cat_file(f"{root}{chunk}")
            if content[-4:] != google_crc32c.value(content[:-4]).to_bytes(4, "little"):
                yield number, chunk


def read(path: Where) -> xr.Dataset:
    """The Dataset of a store, its numbers read on first use; nan where a chunk is not written yet."""
    with _readable(path):
        where = located(path)
        root = _opened(where)
        attributes = dict(root.attrs)
        _check_format(path, attributes)
        table = xr.open_zarr(str(where), consolidated=False, chunks=None, zarr_format=3, mask_and_scale=False)
        data = {name: table[name].variable for name in attributes.pop("variables")}
        places = {name: table[name].variable for name in table.dims if name not in ("replicate", "block")}
        for name, place in places.items():
            if name not in table.coords or place.isnull().any():
                raise ValueError(f"the coordinate {name!r} is lost")
            if place.dtype.kind == "T":  # words are objects in memory, and numpy's StringDType in zarr
                places[name] = place.astype(object)
        axes = root[LAST].ndim - sum(name in table.dims for name in ("learner", "prompt", "route"))
        grid = Grid(root[LAST].shape[:axes], root[LAST].chunks[:axes])
        reasons = [(grid.region(i), json.loads(text)) for i, text in enumerate(root[REASONS][:])]
        return with_legend(xr.Dataset(data, places, attributes), reasons)
