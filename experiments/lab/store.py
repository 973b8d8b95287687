"""A study on disk: one zarr 3 store, written block by block, each chunk with its checksum.

Each variable is an array whose chunks are the study's blocks. zarr writes a chunk under another
name and renames it, so a chunk is complete or absent. The manifest of a block is written last, a
text of the array "manifest": its places, its variables, and its reasons by number. A block without
it is computed again. Two runs that share a store write the same numbers. Checksums (Crc32c) reveal
a damaged chunk. The metadata are complete before the first block. Other programs read their
consolidated copy; our code does not, so it notices a damaged file.

A store is a folder, or any address that fsspec reaches (s3://bucket/phase.zarr).
"""

import json
import tomllib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from math import prod
from pathlib import Path
from secrets import token_hex
from shutil import rmtree
from typing import Any, NamedTuple

import fsspec
import google_crc32c
import numpy as np
import xarray as xr
import zarr
from fsspec.implementations.local import LocalFileSystem
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec

from experiments.errors import RequestError, RunError
from experiments.lab.config import check_same, check_versions
from experiments.lab.grid import Grid
from experiments.lab.plan import Plan
from experiments.lab.schema import FORMAT, Cells, empty_table, finished
from simulator.world import World

MANIFEST = "manifest"  # one text per block, a JSON object
META = "zarr.json"

Where = Path | str


class Store(NamedTuple):
    """The store of a study; `begin` finds or creates it."""

    path: Where
    planned: Plan
    existed: bool  # before this run

    def finished(self) -> np.ndarray:
        """(blocks,) whether each block is finished, by listing one folder."""
        _, system, folder = _files(self.path)
        with _opened(self.path):
            names = (
                name.rsplit("/", 1)[-1] for name in system.ls(f"{folder}/{MANIFEST}", detail=False)
            )
        # Other names are metadata, or left by a kill.
        return np.isin(
            np.arange(prod(self.planned.blocks)), [int(name) for name in names if name.isdecimal()]
        )

    def damaged(self, done: np.ndarray) -> Iterator[tuple[int, str]]:
        """(block, chunk) of each chunk of a finished block that is missing or does not match its
        checksum.
        """
        _, system, folder = _files(self.path)

        def intact(chunk: str) -> bool:
            content = b""
            with suppress(FileNotFoundError):
                content = system.cat_file(f"{folder}/{chunk}")
            return content[-4:] == google_crc32c.value(content[:-4]).to_bytes(4, "little")

        with _opened(self.path) as root:
            for number in np.flatnonzero(done).tolist():
                if not intact(f"{MANIFEST}/{number}"):
                    yield number, f"{MANIFEST}/{number}"
                    continue
                # along all other dimensions there is one chunk
                at = np.unravel_index(number, self.planned.blocks)
                for name in json.loads(root[MANIFEST][number].item())["variables"]:
                    place = [*at, *[0] * (len(self.planned.variables[name].dims) - len(at))]
                    if not intact(chunk := f"{name}/{'.'.join(map(str, place))}"):
                        yield number, chunk

    def write(self, number: int, cells: Cells, reasons: list[str]) -> None:
        at = self.planned.region(number)
        try:
            # a chunk of nan alone is finished, not missing
            with zarr.config.set({"array.write_empty_chunks": True}):
                root = zarr.open_group(
                    str(self.path), mode="r+", zarr_format=3, use_consolidated=False
                )
                for name, values in cells.items():
                    root[name][at] = values
                places = [[part.start, part.stop] for part in at]
                root[MANIFEST][number] = json.dumps(
                    {"places": places, "variables": [*cells], "reasons": reasons}
                )
        except OSError as error:
            raise RunError(
                f"{self.path} could not be written: {error.strerror or error}"
            ) from error


def begin(path: Where, planned: Plan) -> Store:
    """The store of a study, created unless it exists.

    Raises RequestError for a path that is not, and cannot become, its store.
    """
    where, system, folder = _files(path)
    existed = system.isfile(f"{folder}/{META}")
    if not existed:
        if system.isfile(folder):
            raise RequestError(
                f"output {str(where)!r} is a file, a store is a folder; try"
                f" {str(where) + '.zarr'!r}"
            )
        if system.isdir(folder) and system.ls(folder):
            raise RequestError(f"output {str(where)!r} holds other files; name another folder")
        _create(where, planned)
    _check_same(where, planned.study)
    return Store(where, planned, existed)


def _create(where: Where, planned: Plan) -> None:
    """Write a store without numbers, unless another process was faster. A folder appears as a
    whole.
    """
    if isinstance(where, str):
        _write_empty(where, planned)
        return
    staging = where.with_name(f".{where.name}.{token_hex(6)}")
    try:
        staging.parent.mkdir(parents=True, exist_ok=True)
        _write_empty(str(staging), planned)
        staging.rename(where)
    except OSError as error:
        if not (where / META).is_file():
            words = f"cannot be written ({error.strerror or error}); try a folder of your own"
            raise RequestError(f"output {str(where)!r} {words}") from None
    finally:
        rmtree(staging, ignore_errors=True)


def _files(path: Where) -> tuple[Where, Any, str]:
    """(absolute folder of a path or file:// URL, or any other address as it is; its file system;
    its path there).
    """
    try:
        system, folder = fsspec.core.url_to_fs(str(path))
    except (ImportError, ValueError) as error:
        # the protocol is unknown, or its package is not installed
        raise RequestError(f"output {str(path)!r} cannot be reached: {error}") from None
    system.invalidate_cache()  # another process may have written since s3 was last listed
    return (
        Path(folder) if isinstance(system, LocalFileSystem) else str(path),
        system,
        folder.rstrip("/"),
    )


@contextmanager
def _opened(path: Where) -> Iterator[zarr.Group]:
    """A store to read from; what it lacks, or is damaged in it, becomes one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Object at .* is not recognized as a component", UserWarning
            )
            root = zarr.open_group(str(path), mode="r", zarr_format=3, use_consolidated=False)
            if (form := root.attrs.get("format")) != FORMAT:
                there = "is not the store of a study" if form is None else f"has format {form!r}"
                raise RequestError(
                    f"{str(path)!r} {there}, and this version reads and writes format {FORMAT};"
                    " name another folder, where the same command computes the numbers again"
                )
            yield root
    except (OSError, KeyError, ValueError, TypeError, IndexError) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, json.JSONDecodeError):  # its own words are about brackets
            words = "a file zarr.json in it is damaged"
        raise RequestError(f"{str(path)!r} is not a readable store of a study ({words})") from None


def _check_same(path: Where, study: Grid) -> None:
    """Refuse a store of another study or of other versions, by the first difference."""
    with _opened(path) as root:
        there = root.attrs
        stored = (
            tomllib.loads(there["study"]),
            there["hash"],
            json.loads(there.get("sources", "{}")),
        )
        versions = json.loads(there["versions"])
    # fields at their defaults are left out of a store
    default = World().model_dump(exclude_none=True)
    wholes = (
        {
            **one,
            "world": {**default, **one.get("world", {})},
            "the options of a learner": number,
            **files,
        }
        for one, number, files in (
            stored,
            (tomllib.loads(study.toml()), study.hash, study.sources()),
        )
    )
    check_same(str(path), "study", *wholes)
    check_versions(repr(str(path)), versions, "name another folder")


def _write_empty(where: str, planned: Plan) -> None:
    # On random numbers this takes half the time of zstd's first level and a fifth less space.
    codecs = [BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"), Crc32cCodec()]
    study = planned.study
    table = empty_table(planned.study)
    root = zarr.open_group(where, mode="w", zarr_format=3)
    # Without a fill value, so that xarray adds no attribute of its own.
    plain = {name: {"_FillValue": None, "compressors": codecs} for name in table.coords}
    table.drop_attrs(deep=False).to_zarr(
        where, mode="a", zarr_format=3, consolidated=False, encoding=plain
    )
    chunk = dict(zip(study.dims, planned.chunk, strict=True))
    one_folder = {"name": "v2", "separator": "."}  # per variable, which is listed at once
    create = partial(root.create_array, compressors=codecs, chunk_key_encoding=one_folder)
    for name, v in planned.variables.items():
        chunks = tuple(chunk.get(d, length) for d, length in v.sizes.items())
        what = {
            "shape": v.shape,
            "dtype": v.dtype,
            "fill_value": v.values.flat[0],
            "dimension_names": v.dims,
        }
        create(name, **what, chunks=chunks, attributes=v.attrs, serializer=BytesCodec())
    create(
        MANIFEST,
        shape=(prod(planned.blocks),),
        chunks=(1,),
        dtype=str,
        fill_value="{}",
        dimension_names=["block"],
    )
    # Last, so that a store with these attributes has everything else.
    root.attrs.update({**table.attrs, "variables": list(planned.variables)})
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Consolidated metadata is currently not part", UserWarning
        )
        # for `xarray.open_zarr`; only chunks change from here on
        zarr.consolidate_metadata(where, zarr_format=3)


def read(path: Where) -> xr.Dataset:
    """The Dataset of a store, its numbers read on first use; nan where a chunk is not written
    yet.
    """
    where, _, _ = _files(path)
    with _opened(where) as root:
        attributes = dict(root.attrs)
        table = xr.open_zarr(
            str(where), consolidated=False, chunks=None, zarr_format=3, mask_and_scale=False
        )
        data = {name: table[name].variable for name in attributes.pop("variables")}
        places = {
            name: table[name].variable for name in table.dims if name not in ("replicate", "block")
        }
        for name, place in places.items():
            if name not in table.coords or place.isnull().any():
                raise ValueError(f"the coordinate {name!r} is lost")
            # words are objects in memory, and numpy's StringDType in zarr
            if place.dtype.kind == "T":
                places[name] = place.astype(object)
        manifests = [json.loads(text) for text in root[MANIFEST][:] if text != "{}"]
        blocks = [
            (tuple(slice(*ends) for ends in m["places"]), m["variables"], m["reasons"])
            for m in manifests
        ]
        return finished(xr.Dataset(data, places, attributes), blocks)
