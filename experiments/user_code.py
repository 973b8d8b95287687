"""A user's Python file: run it, take a learner or a loss from it, and blame its errors on it.

An error is the user's if it passes through a line of their file, or a method of their learner. Other errors are ours
and stay as they are.
"""

import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from traceback import extract_tb, walk_tb
from typing import Any, TypeVar

import numpy as np

from experiments.errors import RequestError, SoberclipError
from simulator.naming import suggestion
from simulator.world import World
from theory.learners import Learner, names

IN_FILE = ".py:"  # FILE.py:CLASS, for --learner and --loss
PACKAGES = ("simulator", "theory", "experiments")
T = TypeVar("T")


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
def own_errors(files: Sequence[Path], what: str = "learner") -> Iterator[None]:
    """Turn an error that passes through one of the user's files into a RequestError that names the line."""
    try:
        yield
    except SoberclipError:
        raise
    except (Exception, SystemExit) as error:
        for path in files:
            if _line(path, error) is not None:
                raise _blamed(path, f"{what} file", error) from error
        raise


def comes_from(learner: Learner | None, error: BaseException) -> bool:
    """Whether an error passes through a method of this learner, and the learner is a user's."""
    if learner is None or type(learner).__module__.partition(".")[0] in PACKAGES:
        return False
    return any(frame.f_locals.get("self") is learner for frame, _ in walk_tb(error.__traceback__))


def kind_of(text: str) -> tuple[str | type[Learner], list[Path]]:
    """A learner's name as it is, and no file; or the class of FILE.py:CLASS, and its file."""
    if IN_FILE not in text:
        return text, []
    path, name = _in_file(text)
    kind = _class_of(path, name, Learner, "learner", names())
    try:
        learner = kind()
    except TypeError as error:
        raise RequestError(f"class {name!r} in {str(path)!r} is not made without arguments: {error}") from None
    with own_errors([path]):
        try:
            weights = np.asarray(learner.direction(World()))
        except ValueError:  # not a linear rule
            return kind, [path]
    if weights.shape != (2,):
        raise RequestError(
            f"class {name!r} in {str(path)!r}: the direction in one world has shape {weights.shape}; expected (2,), "
            "the weights of animal and background"
        )
    return kind, [path]


def loss_of(text: str) -> tuple[str, list[Path]]:
    """A loss's name as it is, and no file; or the name of the class of FILE.py:CLASS, now registered, and its file."""
    if IN_FILE not in text:
        return text, []
    from simulator.towers.objectives import OBJECTIVES, Objective, register  # start-up time: loads torch

    path, name = _in_file(text)
    kind = _class_of(path, name, Objective, "loss", tuple(OBJECTIVES))
    if kind.name not in OBJECTIVES:  # the file may have registered it
        try:
            register(kind)
        except ValueError as error:
            raise RequestError(f"class {name!r} in {str(path)!r}: {error}") from None
    return kind.name, [path]


def _in_file(text: str) -> tuple[Path, str]:
    """The file and the class of FILE.py:CLASS."""
    file, _, name = text.rpartition(IN_FILE)
    return Path(file + ".py"), name


def _class_of(path: Path, name: str, base: type[T], what: str, taken: Sequence[str]) -> type[T]:
    """The class of a file that derives from `base`, with a name of its own."""
    defined = run_file(path, f"{what} file").items()
    kinds = {key: value for key, value in defined if isinstance(value, type) and issubclass(value, base)}
    own = {key: kind for key, kind in kinds.items() if kind.__module__.partition(".")[0] not in ("theory", "simulator")}
    if name not in own:
        raise RequestError(f"{what} file {str(path)!r} defines no {what} class {name!r}{suggestion(name, own)}")
    label = getattr(own[name], "name", None)
    if not isinstance(label, str) or label in taken:
        raise RequestError(f"class {name!r} in {str(path)!r} has name = {label!r}; give it a name of its own")
    return own[name]


def _line(path: Path, error: BaseException) -> int | None:
    """The last line of the file that an error passes through; None if it passes through none."""
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None


def _blamed(path: Path, what: str, error: BaseException) -> RequestError:
    line = _line(path, error) or getattr(error, "lineno", "?")  # a syntax error has its line, and no frame
    return RequestError(f"{what} {path}, line {line}: {type(error).__name__}: {' '.join(str(error).split())}")
