"""Writing without half-written files: everything goes to a temporary name beside its target and is renamed."""

import csv
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from experiments.errors import RequestError, RunError


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Call write(temporary path), then rename onto `path`; on any failure nothing is left behind.

    Raises RunError with the reason where the file system refuses.
    """
    handle, name = -1, ""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        write(Path(name))
        os.chmod(name, 0o644)  # mkstemp is private, as are some writers; results are meant to be read
        os.replace(name, path)
    except OSError as error:
        raise RunError(f"{path} could not be written: {error.strerror or error}") from error
    finally:
        if name and os.path.exists(name):
            os.unlink(name)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, document: Any) -> None:
    """Write one JSON document, atomically; NaN and infinity are refused since JSON has neither."""
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_table(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """A CSV file, atomically."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def output_folder(path: Path) -> Path:
    """The folder `path`, made if need be and shown to be writable before any work is done.

    Raises RequestError if it is a file or cannot be written.
    """
    if path.exists() and not path.is_dir():
        raise RequestError(f"output {str(path)!r} is a file, a folder is needed; try {str(path.parent)!r}")
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise RequestError(
            f"output folder {str(path)!r} cannot be written ({error.strerror or error}); try a folder of your own"
        ) from error
    return path
