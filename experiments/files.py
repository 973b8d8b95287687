"""Atomic writes, and checks that a verb overwrites only files that carry its mark, or lie beside
its record.
"""

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from secrets import token_hex
from typing import Any

from experiments.errors import RequestError, RunError

RUN, CHECKPOINT, WEIGHTS, RESULT = "run.json", "checkpoint", "weights.safetensors", "result.json"
HISTORY_CSV, HISTORY_ZARR = "history.csv", "history.zarr"
RUN_FILES = (RUN, CHECKPOINT, WEIGHTS, RESULT, HISTORY_CSV, HISTORY_ZARR)  # of train
PAGE_FILES = ("embeddings.html", "embeddings.csv")  # of embeddings, besides result.json
MARK = ".soberclip-report.json"  # lists the files of a report folder, itself included
REPORT = "report.html"
LATEX_MARK = "% written by soberclip check --latex"
MARKED_BYTES = 65_536  # searched for a mark at each end of a file


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Call write(temporary path), then rename it to `path`. After a failure, a RunError, the old
    file remains.
    """
    temporary = path.with_name(f".{path.name}.{token_hex(6)}")
    try:
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        mode = os.fstat(handle).st_mode  # set by the umask; some writers change it
        os.close(handle)
        write(temporary)
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"{path} could not be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def to_json(thing: Any) -> Any:
    """The document of an object inside another document, for `default` of json.dumps."""
    return thing.as_json() if hasattr(thing, "as_json") else thing.model_dump()


def write_json(path: Path, document: Any) -> None:
    """Write one JSON document, atomically; NaN and infinity raise ValueError, since JSON has
    neither.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False, default=to_json)
    write_text(path, text + "\n")


def write_table(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def read_table(path: Path, required: tuple[str, ...], what: str) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, at least one, each with the required columns; else
    RequestError.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            table = list(reader)
            missing = [column for column in required if column not in (reader.fieldnames or ())]
    except OSError as error:
        raise RequestError(
            f"{what} file {str(path)!r} cannot be read ({error.strerror or error})"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"{str(path)!r} is not a CSV file ({error})") from error
    if missing:
        raise RequestError(
            f"{str(path)!r} has no column {missing[0]!r}; it needs {', '.join(required)}"
        )
    if not table:
        raise RequestError(f"{str(path)!r} has no rows")
    for line, row in enumerate(table, start=2):
        short = next((column for column in required if row[column] is None), None)
        if short is not None:
            raise RequestError(f"line {line} of {str(path)!r} ends before its column {short!r}")
    return table


def output_folder(path: Path) -> Path:
    """The folder `path`, created if necessary. Raises RequestError if it cannot be created or
    written.
    """
    check_writable(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(path, error) from error
    return path


def check_writable(
    folder: Path, verb: str = "", names: Collection[str] = (), mark: bytes | None = None
) -> None:
    """Raise RequestError unless `verb` may write files of these names into a folder, perhaps a new
    one.

    Existing files must be the verb's own: each carries `mark`, or, without a mark, the folder's
    record is the verb's.
    """
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"output {str(folder)!r} is a file, but a folder is needed")
    try:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        probe = existing / f".soberclip.{token_hex(6)}"
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        raise _not_writable(folder, error) from error
    # an unfinished training has no result yet
    for name in [*names, RUN] if RESULT in names else names:
        if not (folder / name).exists():
            continue
        ours = _has_record(folder, verb) if mark is None else _carries(folder / name, mark)
        if not ours or name in (made_by_reproduce(folder) or ()):
            raise RequestError(
                f"{str(folder / name)!r} was not written by soberclip {verb}, so it is kept; name"
                " another"
            )


def _not_writable(path: Path, error: OSError) -> RequestError:
    return RequestError(
        f"output folder {str(path)!r} cannot be written ({error.strerror or error}); try a folder"
        " of your own"
    )


def _has_record(folder: Path, verb: str) -> bool:
    """Whether a file in the folder says that the verb wrote there."""
    if verb == "train":
        specified = read_json(folder / RUN)
        return isinstance(specified, dict) and "specification" in specified
    if verb == "check":
        verdicts = read_json(folder / "verdicts.json")
        return isinstance(verdicts, list) and all(
            isinstance(one, dict) and "claim" in one for one in verdicts
        )
    result = read_json(folder / RESULT)
    return isinstance(result, dict) and result.get("verb") == verb


def _carries(path: Path, mark: bytes) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(MARKED_BYTES)
        file.seek(max(path.stat().st_size - MARKED_BYTES, 0))
        return mark in start or mark in file.read(MARKED_BYTES)


def read_json(path: Path) -> Any:
    """The document in a JSON file; None if it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        # the last for a document that is nested too deeply
        return None


def made_by_reproduce(folder: Path) -> set[str] | None:
    """Paths that a report's mark lists; None if the folder has no such mark."""
    mark = read_json(folder / MARK)
    names = mark.get("files") if isinstance(mark, dict) else None
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else None


def check_report(output: Path) -> None:
    """Raise RequestError if `output` holds anything that reproduce did not make: a report is
    replaced as a whole.
    """
    check_writable(output)
    if foreign := sorted(_paths(output) - (made_by_reproduce(output) or set())):
        raise RequestError(
            f"output {str(output)!r} holds {foreign[0]!r}, which reproduce did not make, so the"
            f" folder is kept; try {str(output / 'report')!r}"
        )


def staging_folder(output: Path) -> Path:
    """A new folder beside `output`, on the same file system. Raises RequestError if it cannot be
    created.
    """
    staging = output.absolute().with_name(f".{output.name}.{token_hex(6)}")
    try:
        staging.mkdir(parents=True)
    except OSError as error:
        raise _not_writable(output, error) from None
    return staging


def replace_folder(staging: Path, output: Path) -> None:
    """Mark the finished folder and move it to `output`; after a failure, a RunError, the earlier
    report is back.
    """
    write_json(
        staging / MARK,
        {"made by": "soberclip reproduce", "files": sorted({MARK, *_paths(staging)})},
    )
    check_report(output)
    old = None
    try:
        if output.exists():
            old = staging.with_name(staging.name + ".old")
            output.rename(old)
        staging.rename(output)
    except OSError as error:
        if old is not None and old.exists() and not output.exists():
            old.rename(output)
        raise RunError(f"{output} could not be replaced: {error.strerror}") from error
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _paths(folder: Path) -> set[str]:
    """Relative paths of everything below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
