"""Image and text features on disk, so that no photo passes through a model twice.

Each model has one folder, named by a digest of everything that changes a feature: weights, configuration,
preprocessing, library versions, precision, device type. It holds safetensors shards. A shard has the features of some
photos and, as metadata, their keys: relative path with extension, size and modification time. Shards are written
atomically, so a killed run leaves only good ones.
"""

import json
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from jaxtyping import Float

from experiments.counteranimal.layouts import Key
from experiments.counteranimal.weights import one_line
from experiments.errors import RequestError
from experiments.files import output_folder, write_atomically


class FeatureCache:
    """Features of one model by photo key, all in memory; without a folder nothing is written."""

    def __init__(self, folder: Path | None):
        self.folder = folder
        self.rows: dict[Key, Float[np.ndarray, " d"]] = {}
        self.damaged: list[str] = []  # shards that could not be read; their photos are computed again
        for shard in sorted(output_folder(folder).glob("features-*.safetensors")) if folder else ():
            try:
                self._read(shard)
            except Exception as error:  # safetensors, json and a missing key each raise their own type
                self.damaged.append(f"{shard.name} ({one_line(error)})")

    def _read(self, shard: Path) -> None:
        from safetensors import safe_open  # optional extra

        with safe_open(shard, framework="numpy") as file:
            keys = [tuple(key) for key in json.loads(file.metadata()["photos"])]
            self.rows.update(zip(keys, file.get_tensor("features"), strict=True))

    def add(self, keys: Sequence[Key], features: Float[np.ndarray, "m d"]) -> None:
        """Keep features; the finite ones are also written, as one shard.

        Features that are not finite are never written: another precision or device may give numbers. Raises RunError
        (for instance for a full disk) with all earlier shards intact.
        """
        finite = np.isfinite(features).all(axis=1)
        if self.folder is not None and finite.any():
            listed = json.dumps([list(key) for key, good in zip(keys, finite, strict=True) if good])
            name = f"features-{sha256(listed.encode()).hexdigest()[:24]}.safetensors"
            _save(self.folder / name, {"features": features[finite]}, {"photos": listed})
        self.rows.update(zip(keys, features, strict=True))


def cached_text(file: Path) -> tuple[Float[np.ndarray, "L d"], int] | None:
    """(text features, number of truncated phrases) in a file; None if it is missing or damaged."""
    from safetensors.numpy import load_file  # optional extra

    try:
        found = load_file(file)
        return found["text"], int(found["cut"][0])
    except Exception:  # a damaged file is computed and written again
        return None


def save_text(file: Path, text: Float[np.ndarray, "L d"], truncated: int) -> None:
    """Write text features, and how many phrases were longer than the model reads."""
    _save(output_folder(file.parent) / file.name, {"text": text, "cut": np.array([truncated])})


def _save(file: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> None:
    from safetensors.numpy import save  # optional extra

    content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata=metadata)
    write_atomically(file, lambda temporary: temporary.write_bytes(content))


def cache_folder(choice: Path | None) -> Path:
    """The folder that the user chose, otherwise the platform's cache folder."""
    folder = choice or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "soberclip" / "counteranimal"
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"cache {str(folder)!r} is a file; pass --cache FOLDER")
    return folder
