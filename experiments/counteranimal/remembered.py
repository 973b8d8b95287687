"""What is known of a model before it is loaded: its key and settings, kept beside the features.

A model is known again by its specification, by the flags that change how it is read, by the versions of the libraries,
and by size and time of the files that it is read from. What a tag or a hub's name stands for is taken not to change.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from experiments.counteranimal.identity import FORMAT, versions
from experiments.counteranimal.loaded import Deferred, LoadedModel, Model, Reading
from experiments.files import output_folder, read_json, write_json

KNOWN = {"spec": str, "family": str, "key": str, "settings": dict}


def remembered(spec: str, how: Reading, store: Path, load: Callable[[], LoadedModel]) -> Model:
    """The model of `spec`, not yet loaded where its key is known, else loaded and its key kept for the next time."""
    origin = _origin(spec, how)
    if origin is None:
        return load()
    file = store / "known" / f"{origin}.json"
    known = read_json(file)
    if isinstance(known, dict) and all(isinstance(known.get(name), kind) for name, kind in KNOWN.items()):
        return Deferred(spec, known, origin, lambda: _recorded(replace(load(), origin=origin), file))
    return _recorded(replace(load(), origin=origin), file)


def _recorded(model: LoadedModel, file: Path) -> LoadedModel:
    """The model, with what it says of itself on disk for the next run, whatever stood there."""
    if model.key is not None:
        output_folder(file.parent)
        write_json(file, {name: getattr(model, name) for name in KNOWN})
    return model


def _origin(spec: str, how: Reading) -> str | None:
    """Digest of all that a model is loaded from; None for code of one's own, which may import anything."""
    kind, _, name = spec.partition(":")
    if kind == "python":
        return None
    parts: dict[str, Any] = {
        "format": FORMAT,
        "spec": spec,
        "versions": versions(),
        "reading": [how.quick_gelu, how.trust_pickle, how.averaged, how.classes],
        "files": [[str(file), *_stamp(file)] for file in _files(name, how.weights)],
    }
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _files(name: str, weights: Path | None) -> Iterator[Path]:
    """The weights file and what lies beside it where a tokenizer does, and all of a folder that is named."""
    folders = [Path(name.removeprefix("local-dir:"))]
    if weights is not None:
        yield weights.resolve()
        if (weights.parent / "tokenizer_config.json").is_file():
            folders.append(weights.parent)
    for folder in folders:
        if folder.is_dir():
            yield from (path for path in sorted(folder.absolute().iterdir()) if path.is_file())


def _stamp(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns
