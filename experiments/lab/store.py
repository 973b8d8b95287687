"""A study on disk: one zarr 3 store, written block by block, each chunk with its checksum.

Every variable is an array whose chunks are the study's blocks. zarr writes a chunk under another name and renames it,
so a chunk is whole or absent; "seconds" is written last, so a block whose chunk of it is there is finished. What a kill
cuts short is computed again. Two processes on one store write the same numbers, whoever comes last. Checksums (Crc32c)
tell a damaged chunk, which is named and computed again. The sentences behind undefined cells are attributes of groups
under "reasons", one a sentence.
"""

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from shutil import disk_usage, rmtree
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.errors import RequestError, RunError
from experiments.lab.blocks import Layout, layout
from experiments.lab.cells import Block
from experiments.lab.result import FORMAT, attributes, coordinates, sizes, variables
from experiments.lab.study import Study

if TYPE_CHECKING:
    import xarray as xr

LAST = "seconds"  # its chunk says that a block is finished
REASONS = "reasons"
ROOT = "zarr.json"


def is_remote(path: "Path | str") -> bool:
    """Whether a path is one of fsspec's, such as s3://bucket/phase.zarr."""
    return "://" in str(path)


def opened(path: "Path | str", mode: str = "r"):
    """The zarr group of a store."""
    import zarr

    return zarr.open_group(str(path), mode=mode, zarr_format=3, use_consolidated=False)


def begin(path: "Path | str", study: Study, estimated: bool) -> bool:
    """Make the store of a study unless it is there; whether it was.

    Raises RequestError for a path that is a file or cannot be written, and for a store of another study, format or
    versions, naming the first difference.
    """
    if _exists(path):
        check(path, study)
        return True
    if is_remote(path):
        _create(str(path), study, estimated)
        return False
    target = Path(path)
    staging = target.absolute().with_name(f".{target.name}.{token_hex(6)}")
    try:
        staging.parent.mkdir(parents=True, exist_ok=True)
        _create(str(staging), study, estimated)
        staging.rename(target)
    except OSError as error:
        if _exists(path):  # another process was faster
            check(path, study)
            return True
        raise RequestError(f"output {str(path)!r} cannot be written ({error.strerror or error})") from None
    finally:
        rmtree(staging, ignore_errors=True)
    return False


def _exists(path: "Path | str") -> bool:
    if is_remote(path):
        import fsspec

        fs, inner = fsspec.core.url_to_fs(str(path))
        return bool(fs.exists(f"{inner}/{ROOT}"))
    target = Path(path)
    if target.is_dir() and any(target.iterdir()) and not (target / ROOT).is_file():
        raise RequestError(f"output {str(path)!r} is a folder of other things; name a store of its own")
    if target.exists() and not target.is_dir():
        raise RequestError(f"output {str(path)!r} is a file, a store is a folder; try {str(path) + '.zarr'!r}")
    return (target / ROOT).is_file()


def _create(where: str, study: Study, estimated: bool) -> None:
    import xarray as xr
    import zarr
    from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec

    # An empty group first: the attributes that make it a study's come last, once all arrays stand.
    zarr.open_group(where, mode="w", zarr_format=3)
    table = xr.Dataset(coords={name: xr.Variable(*given) for name, given in coordinates(study).items()})
    plain = {name: {"_FillValue": None} for name in table.coords}  # no attribute of xarray's own
    table.to_zarr(where, mode="a", zarr_format=3, consolidated=False, encoding=plain)
    root = opened(where, "r+")
    plan, length = layout(study, estimated), sizes(study)
    chunk = dict(zip((axis.name for axis in study.axes), plan.chunk, strict=True))
    for name, variable in variables(study, estimated).items():
        root.create_array(
            name,
            shape=tuple(length[d] for d in variable.dims),
            chunks=tuple(chunk.get(d, length[d]) for d in variable.dims),
            dtype=variable.dtype,
            fill_value=0 if variable.dtype == "int32" else float("nan"),
            dimension_names=variable.dims,
            attributes=variable.attrs,
            serializer=BytesCodec(),
            compressors=[ZstdCodec(level=0), Crc32cCodec()],
            chunk_key_encoding={"name": "v2", "separator": "."},  # one folder a variable: listed at once
            config={"write_empty_chunks": True},  # a chunk of nan alone is finished, not missing
        )
    root.create_group(REASONS)
    root.attrs.update({**attributes(study), "variables": list(variables(study, estimated))})


def check(path: "Path | str", study: Study) -> None:
    """Raise RequestError, naming the first difference, unless a store is of this study, format and versions."""
    import tomllib

    try:
        kept = dict(opened(path).attrs)
        format, stored = kept["format"], tomllib.loads(kept["study"])
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise RequestError(f"{str(path)!r} is no store of a study ({error}); name another") from None
    if format != FORMAT:
        raise RequestError(f"{str(path)!r} has format {format}, this edition writes {FORMAT}; name a store of its own")
    found = difference(stored, tomllib.loads(study.toml()))
    if found is None and kept["hash"] != study.hash:
        found = ("a learner of one's own", kept["hash"], study.hash)
    if found is not None:
        where, there, here = found
        raise RequestError(
            f"{str(path)!r} holds another study ({where} is {there!r} there and {here!r} here); name a store of its own"
        )
    then, now = (json.loads(each["versions"]) for each in (kept, attributes(study)))
    for name in ("soberclip", "numpy", "scipy", "torch"):
        if then.get(name) != now[name]:
            raise RequestError(
                f"{str(path)!r} was begun with {name} {then.get(name)} and this is {now[name]}, which may round "
                "otherwise; go on with that version, or name a store of its own"
            )


def difference(there: Any, here: Any, where: str = "") -> tuple[str, Any, Any] | None:
    """(place, value there, value here) of the first difference of two requests, None if they are equal."""
    if isinstance(there, dict) and isinstance(here, dict):
        if where == "axes" and list(there) != list(here):
            return where, list(there), list(here)
        for key in dict.fromkeys([*here, *there]):
            found = difference(there.get(key), here.get(key), f"{where}.{key}" if where else key)
            if found is not None:
                return found
        return None
    return None if there == here else (where, there, here)


@lru_cache(maxsize=4)
def _group(path: str):
    """The group for writing, kept open from block to block."""
    return opened(path, "r+")


def write(path: "Path | str", study: Study, plan: Layout, block: int, numbers: Block) -> None:
    """Write a finished block, "seconds" last. Raises RunError where the file system refuses."""
    root = _group(str(path))
    region = plan.region(block)
    try:
        for code, sentence in numbers.sentences.items():
            root[REASONS].require_group(str(code)).attrs.update({"sentence": sentence})
        names = [name for name in numbers.arrays if name != LAST]
        for name in [*names, LAST]:
            root[name][region] = numbers.arrays[name]
    except OSError as error:
        raise RunError(f"{path} could not be written: {error.strerror or error}") from error


def finished(path: "Path | str", study: Study, plan: Layout) -> np.ndarray:
    """(count,) whether each block is finished, by one listing of one folder."""
    done = np.zeros(plan.count, bool)
    suffix = len(sizes(study)) - len(study.axes) - ("replicate" in sizes(study))
    for name in _names(path, LAST):
        parts = name.split(".")
        if len(parts) == len(plan.grid) + suffix and all(part.isdecimal() for part in parts):
            place = tuple(map(int, parts[: len(plan.grid)]))
            done[np.ravel_multi_index(place, plan.grid) if plan.grid else 0] = True
    return done


def _names(path: "Path | str", array: str) -> Iterable[str]:
    import os

    if is_remote(path):
        import fsspec

        fs, inner = fsspec.core.url_to_fs(str(path))
        return [name.rsplit("/", 1)[-1] for name in fs.ls(f"{inner}/{array}", detail=False)]
    return os.listdir(Path(path) / array)


def read(path: "Path | str") -> "xr.Dataset":
    """The Dataset of a store, its numbers read when they are asked for.

    Raises RequestError for what is no store of a study.
    """
    import xarray as xr

    try:
        root = opened(path)
        kept = {name: root.attrs[name] for name in ("study", "hash", "seed", "versions", "commit", "format")}
        table = xr.open_zarr(str(path), consolidated=False, chunks=None, zarr_format=3, mask_and_scale=False)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise RequestError(f"{str(path)!r} is no store of a study ({error})") from None
    sentences = {int(code): group.attrs["sentence"] for code, group in root[REASONS].groups()}
    found = xr.Dataset(
        {name: table[name].variable for name in root.attrs["variables"]},
        {name: _plain(table[name].variable) for name in table.dims if name in table.coords},
        kept,
    )
    return with_legend(found, sentences)


def _plain(variable: "xr.Variable") -> "xr.Variable":
    """Words as objects, as they are in memory; zarr reads them as numpy's StringDType."""
    return variable.astype(object) if variable.dtype.kind == "T" else variable


def with_legend(table: "xr.Dataset", sentences: dict[int, str]) -> "xr.Dataset":
    """Codes of reasons as places in a legend, in the order of the sentences."""
    codes = sorted(sentences, key=lambda code: sentences[code])
    coded = table["undefined"].values
    order = np.array([0, *codes])
    places = np.zeros(coded.shape, np.int16 if len(codes) < 2**15 else np.int32)
    for place, code in enumerate(order):
        places[coded == code] = place
    table["undefined"] = (table["undefined"].dims, places, table["undefined"].attrs)
    table["legend"] = ("legend", np.array(["", *(sentences[code] for code in codes)], dtype=object))
    return table


def free_space(path: "Path | str") -> int | None:
    """Bytes free where a store is to lie; None where nobody says."""
    if is_remote(path):
        return None
    folder = Path(path).absolute()
    return disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free
