"""Writing without half-written files, and without touching what another verb or somebody else wrote.

Everything goes to a temporary name beside its target and is renamed. A verb writes over a file only where the folder
carries that verb's mark: "verb" in result.json, run.json of a training run, MARK of a report.
"""

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from secrets import token_hex
from typing import Any

from experiments.errors import RequestError, RunError

MARK = ".soberclip-report.json"  # lists the files of a report folder, itself included
REPORT = "report.html"


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Call write(temporary path), then rename onto `path`; on any failure nothing is left behind.

    Raises RunError with the reason where the file system refuses.
    """
    temporary = path.with_name(f".{path.name}.{token_hex(6)}")
    try:
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        mode = os.fstat(handle).st_mode  # what the umask leaves; some writers make their files private
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


def read_table(path: Path, required: tuple[str, ...], what: str) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, at least one.

    Raises RequestError where it is none, or lacks a column or a line's part of one.
    """
    if not path.is_file():
        raise RequestError(f"there is no {what} file {str(path)!r}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            table = list(reader)
            missing = [column for column in required if column not in (reader.fieldnames or ())]
    except OSError as error:
        raise RequestError(f"{what} file {str(path)!r} cannot be read ({error.strerror or error})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"{str(path)!r} is no CSV file ({error})") from error
    if missing:
        raise RequestError(f"{str(path)!r} has no column {missing[0]!r}; it needs {', '.join(required)}")
    if not table:
        raise RequestError(f"{str(path)!r} has no rows")
    for line, row in enumerate(table, start=2):
        short = next((column for column in required if row[column] is None), None)
        if short is not None:
            raise RequestError(f"line {line} of {str(path)!r} ends before its column {short!r}")
    return table


def output_folder(path: Path) -> Path:
    """The folder `path`, made if need be and shown to be writable before any work is done.

    Raises RequestError if it is a file or cannot be written.
    """
    writable(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(path, error) from error
    return path


def writable(path: Path) -> None:
    """Raise RequestError unless `path` is, or could become, a folder that we may write; nothing is left behind."""
    if path.exists() and not path.is_dir():
        raise RequestError(f"output {str(path)!r} is a file, a folder is needed; try {str(path) + '-output'!r}")
    try:
        standing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
        probe = standing / f".soberclip.{token_hex(6)}"
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        raise _not_writable(path, error) from error


def _not_writable(path: Path, error: OSError) -> RequestError:
    return RequestError(
        f"output folder {str(path)!r} cannot be written ({error.strerror or error}); try a folder of your own"
    )


def refuse_others(folder: Path, verb: str, names: Iterable[str]) -> None:
    """Raise RequestError, naming the file and who wrote it, if `verb` would write over what it did not write."""
    for name in (*names, "run.json") if "result.json" in names else names:  # a run without a result is unfinished
        if not (folder / name).exists():
            continue
        writer = _writer(folder, name)
        if writer != verb:
            whose = f"of {writer}" if writer else f"that no {verb} of this edition wrote"
            raise RequestError(f"output {str(folder)!r} holds a {name} {whose}; name a folder of its own")


def _writer(folder: Path, name: str) -> str | None:
    """The verb that wrote folder/name, by the marks that verbs leave; None if they tell nothing."""
    if name in (made_by_reproduce(folder) or ()):
        return "reproduce"
    if (folder / "run.json").exists():
        return "train"
    if name == "verdicts.json":
        verdicts = read_json(folder / name)
        return "check" if isinstance(verdicts, list) and all("claim" in verdict for verdict in verdicts) else None
    result = read_json(folder / "result.json")
    return result.get("verb") if isinstance(result, dict) else None


def read_json(path: Path) -> Any:
    """What a JSON file holds; None where it cannot be read or is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def made_by_reproduce(folder: Path) -> set[str] | None:
    """Paths in `folder` that a report's mark lists; None where there is no mark."""
    mark = read_json(folder / MARK)
    return set(mark["files"]) if isinstance(mark, dict) and isinstance(mark.get("files"), list) else None


def refuse_foreign(output: Path) -> None:
    """Raise RequestError if `output` holds anything that reproduce did not make, naming it."""
    if output.exists() and not output.is_dir():
        raise RequestError(f"output {str(output)!r} is a file, a folder is needed; try {str(output) + '-report'!r}")
    if not output.is_dir():
        return
    made = made_by_reproduce(output)
    foreign = sorted(_paths(output) - (made or set()))
    if not foreign:
        return
    if made is None and REPORT in foreign:
        raise RequestError(
            f"output {str(output)!r} holds a {REPORT} without the mark of this edition's reproduce, so it is not "
            "replaced; remove it or name another folder"
        )
    raise RequestError(
        f"output {str(output)!r} holds other things, {foreign[0]!r} for one, and a report is replaced as a whole; "
        f"try {str(output / 'report')!r}"
    )


def staging_folder(output: Path) -> Path:
    """A fresh folder beside `output`, on the same file system. Raises RequestError if there can be none."""
    staging = output.absolute().with_name(f".{output.name}.{token_hex(6)}")
    try:
        staging.mkdir(parents=True)
    except OSError as error:
        raise _not_writable(output, error) from None
    return staging


def replace_folder(staging: Path, output: Path) -> None:
    """Mark the finished folder and move it to its place; an earlier report is moved aside, and back on failure.

    Raises RequestError if something else has been put there meanwhile, RunError where the file system refuses.
    """
    write_json(staging / MARK, {"made by": "soberclip reproduce", "files": sorted({MARK, *_paths(staging)})})
    refuse_foreign(output)
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
    """Of all that lies in a folder and the folders in it, from there."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
