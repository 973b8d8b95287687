"""Image features on disk, so that no photo is passed through a model twice.

One folder a model, named by a digest of everything that determines a feature (`identity`): weights, configuration,
preprocessing, library versions, precision, device type. In it safetensors shards, each with the features of some
photos and, as metadata, the photos' keys: relative path with extension, size and modification time. Shards are
written whole or not at all, so a killed run leaves only good ones, and changing prompts or labels touches none.
A model that cannot be described gets a folder that goes with the run.
"""

import json
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.counteranimal.photos.tree import Key
from experiments.errors import RequestError
from experiments.files import output_folder, write_atomically


class FeatureCache:
    """Features of one model by photo key; with `identity` None they are kept for this run alone."""

    def __init__(self, folder: Path, identity: dict[str, Any] | None):
        if identity is None:
            self.folder = Path(tempfile.mkdtemp(prefix="unkept-", dir=output_folder(folder)))
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        else:
            self.folder = output_folder(folder / _digest(identity))
        self._where: dict[Key, tuple[Path, int]] = {}
        self._held: dict[Key, Float[np.ndarray, " d"]] = {}
        self._open: dict[Path, Any] = {}  # shards mapped into memory, of which rows are read
        self.damaged: list[str] = []  # shards that could not be read: ignored, their photos are computed again
        for shard in sorted(self.folder.glob("features-*.safetensors")):
            try:
                self._index(shard)
            except Exception as error:  # safetensors has one exception type, json and a missing key others
                self.damaged.append(f"{shard.name} ({str(error).splitlines()[0]})")

    def _index(self, shard: Path) -> None:
        from safetensors import safe_open

        with safe_open(shard, framework="numpy") as file:
            keys = [tuple(key) for key in json.loads(file.metadata()["photos"])]
            if file.get_slice("features").get_shape()[0] != len(keys):
                raise ValueError("rows and keys differ in number")
        self._where.update({key: (shard, row) for row, key in enumerate(keys)})

    def __contains__(self, key: Key) -> bool:
        return key in self._where

    def add(self, keys: Sequence[Key], features: Float[np.ndarray, "m d"]) -> None:
        """Write one shard; raises RunError (disk full, for instance) with all earlier shards intact."""
        from safetensors.numpy import save

        listed = json.dumps([list(key) for key in keys])
        content = save({"features": np.ascontiguousarray(features)}, metadata={"photos": listed})
        shard = self.folder / f"features-{sha256(listed.encode()).hexdigest()[:24]}.safetensors"
        write_atomically(shard, lambda temporary: temporary.write_bytes(content))
        self._open.pop(shard, None)
        self._where.update({key: (shard, row) for row, key in enumerate(keys)})

    def hold(self, keys: Sequence[Key], features: Float[np.ndarray, "m d"]) -> None:
        """Have these features to read in this run and never write them."""
        self._held.update(zip(keys, features, strict=True))

    def read(self, keys: Sequence[Key], batch: int = 1024) -> Iterator[Float[np.ndarray, "b d"]]:
        """Features of `keys` in their order, `batch` at a time, in whatever shards they lie."""
        for start in range(0, len(keys), batch):
            yield np.stack([self._row(key) for key in keys[start : start + batch]])

    def _row(self, key: Key) -> Float[np.ndarray, " d"]:
        if key in self._held:
            return self._held[key]
        shard, row = self._where[key]
        if shard not in self._open:
            from safetensors import safe_open

            self._open[shard] = safe_open(shard, framework="numpy").get_slice("features")
        return self._open[shard][row]


def _digest(identity: dict[str, Any]) -> str:
    return sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


def cached_text(folder: Path, identity: dict[str, Any]) -> tuple[Path, tuple[Float[np.ndarray, "L d"], int] | None]:
    """(file, (text features, phrases that were cut) in it or None): phrases of one model's labels."""
    from safetensors.numpy import load_file

    file = folder / f"text-{_digest(identity)}.safetensors"
    try:
        if not file.is_file():
            return file, None
        found = load_file(file)
        return file, (found["text"], int(found["cut"][0]))
    except Exception:  # a damaged file is computed and written again
        return file, None


def save_text(file: Path, text: Float[np.ndarray, "L d"], cut: int) -> None:
    """Write text features, and how many phrases were longer than the model reads; atomically."""
    from safetensors.numpy import save

    content = save({"text": np.ascontiguousarray(text), "cut": np.array([cut])})
    write_atomically(file, lambda temporary: temporary.write_bytes(content))


def cache_folder(choice: Path | None) -> Path:
    """The folder the user chose, else the platform's cache folder."""
    import os

    if choice is not None:
        return choice
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(home).expanduser() / "soberclip" / "counteranimal"
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"cache {str(folder)!r} is a file; pass --cache FOLDER")
    return folder
