"""A user's Python file: run it, take a learner from it, and blame its errors on it.

An error is the file's if it passes through a line of the file. Other errors are ours and stay as they are.
"""

import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from traceback import extract_tb
from typing import Any

import numpy as np

from experiments.errors import RequestError, SoberclipError
from simulator.naming import suggestion
from simulator.world import World
from theory.learners import Learner, named, names

IN_FILE = ".py:"  # --learner FILE.py:CLASS


def run_file(path: Path, what: str) -> dict[str, Any]:
    """The names that a Python file defines. It is executed as `python FILE` would, and prints on stderr.

    Modules beside it can be imported. Raises RequestError if it does not exist or raises an error; `what` names it.
    """
    if not path.is_file():
        raise RequestError(f"{what} {str(path)!r} does not exist; give a Python file")
    sys.path.insert(0, str(path.resolve().parent))
    try:
        with redirect_stdout(sys.stderr):
            return runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        raise _blamed(path, what, error) from None
    finally:
        sys.path.remove(str(path.resolve().parent))


@contextmanager
def own_errors(files: Sequence[Path]) -> Iterator[None]:
    """Turn an error that passes through one of the user's files into a RequestError that names the line."""
    try:
        yield
    except SoberclipError:
        raise
    except (Exception, SystemExit) as error:
        for path in files:
            if _line(path, error) is not None:
                raise _blamed(path, "learner file", error) from error
        raise


def learner_of(text: str, **options: Any) -> tuple[Learner, list[Path]]:
    """The learner of a name or of FILE.py:CLASS, and its file. Raises RequestError if there is none."""
    kind, files = kind_of(text)
    try:
        return named(kind, **options), files
    except ValueError as error:  # it begins with the option's name
        option, _, rest = str(error).partition(" ")
        raise RequestError(f"--{option.replace('_', '-')} {rest}") from None


def kind_of(text: str) -> tuple[str | type[Learner], list[Path]]:
    """A name as it is, and no file; or the class of FILE.py:CLASS, and its file."""
    file, found, name = text.rpartition(IN_FILE)
    if not found:
        return text, []
    path = Path(file + ".py")
    return _class_of(path, name), [path]


def _class_of(path: Path, name: str) -> type[Learner]:
    """The class of learners of this name in a file."""
    defined = run_file(path, "learner file").items()
    kinds = {key: value for key, value in defined if isinstance(value, type) and issubclass(value, Learner)}
    own = {key: kind for key, kind in kinds.items() if not kind.__module__.startswith("theory.")}
    if name not in own:
        raise RequestError(f"learner file {str(path)!r} defines no learner class {name!r}{suggestion(name, own)}")
    label = getattr(own[name], "name", None)
    if not isinstance(label, str) or label in names():
        raise RequestError(f"class {name!r} in {str(path)!r} has name = {label!r}; give it a name of its own")
    try:
        learner = own[name]()
    except TypeError as error:
        raise RequestError(f"class {name!r} in {str(path)!r} is not made without arguments: {error}") from None
    with own_errors([path]):
        try:
            weights = np.asarray(learner.direction(World()))
        except ValueError:  # not a linear rule
            return own[name]
    if weights.shape != (2,):
        raise RequestError(
            f"class {name!r} in {str(path)!r}: the direction in one world has shape {weights.shape}; expected (2,), "
            "the weights of animal and background"
        )
    return own[name]


def _line(path: Path, error: BaseException) -> int | None:
    """The last line of the file that an error passes through; None if it passes through none."""
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None


def _blamed(path: Path, what: str, error: BaseException) -> RequestError:
    line = _line(path, error) or getattr(error, "lineno", "?")  # a syntax error has its line, and no frame
    return RequestError(f"{what} {path}, line {line}: {type(error).__name__}: {' '.join(str(error).split())}")
