"""A user's Python file: run it, take a learner or a loss from it, and blame its errors on it.

An error is the user's if it passes through a line of their file, or a method of their learner.
Other errors are ours and stay as they are.
"""

import runpy
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, TypeVar

from experiments.errors import RequestError
from simulator.naming import suggestion

if TYPE_CHECKING:
    from theory.learners import Learner

IN_FILE = ".py:"  # FILE.py:CLASS, for --learner and --loss
RUN_AS = "<run_path>"  # the module's name in a user's file
PACKAGES = ("simulator", "theory", "experiments")
T = TypeVar("T")


@contextmanager
def as_script(path: Path) -> Iterator[None]:
    """Run a file's code in the block: it may import modules beside it, and what it prints goes to
    stderr.
    """
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.path.remove(folder)


def run_file(path: Path, what: str) -> dict[str, Any]:
    """The names that a Python file defines; RequestError if it raises an error."""
    if not path.is_file():
        raise RequestError(f"{what} {str(path)!r} does not exist; give a Python file")
    try:
        with as_script(path):
            return runpy.run_path(str(path), run_name=RUN_AS)
    except (Exception, SystemExit) as error:  # a syntax error has its line, and passes through none
        raise RequestError(
            blamed(error) or _blame(path, getattr(error, "lineno", "?"), error)
        ) from None


def blamed(error: BaseException) -> str | None:
    """The sentence that blames an error on a user's file and a line of it; None if the error passes
    through none.
    """
    frames = walk_tb(error.__traceback__)
    places = [
        (own.f_code.co_filename, line)
        for own, line in frames
        if own.f_globals.get("__name__") == RUN_AS
    ]
    return _blame(*places[-1], error) if places else None


def _blame(path: Path | str, line: int | str, error: BaseException) -> str:
    return f"{path}, line {line}: {type(error).__name__}: {' '.join(str(error).split())}"


def comes_from(learner: "Learner | None", error: BaseException) -> bool:
    """Whether an error passes through a method of this learner, and the learner is a user's."""
    if learner is None or type(learner).__module__.partition(".")[0] in PACKAGES:
        return False
    return any(frame.f_locals.get("self") is learner for frame, _ in walk_tb(error.__traceback__))


def learner_in(text: str) -> "type[Learner]":
    """The learner's class of FILE.py:CLASS, which can be made without arguments."""
    from theory.learners import Learner, names  # start-up time, as in the next function

    path, kind = _class_in(text, Learner, "learner", names())
    try:
        kind()
    except TypeError as error:
        raise RequestError(
            f"class {kind.__name__!r} in {str(path)!r} is not made without arguments: {error}"
        ) from None
    return kind


def loss_in(text: str) -> str:
    """The name of the loss of FILE.py:CLASS, which is then registered."""
    from simulator.towers.objectives import OBJECTIVES, Objective, register

    path, kind = _class_in(text, Objective, "loss", tuple(OBJECTIVES))
    if kind.name not in OBJECTIVES:  # the file may have registered it
        try:
            register(kind)
        except ValueError as error:
            raise RequestError(f"class {kind.__name__!r} in {str(path)!r}: {error}") from None
    return kind.name


def _class_in(text: str, base: type[T], what: str, taken: Collection[str]) -> tuple[Path, type[T]]:
    """The file and the class of FILE.py:CLASS, which derives from `base` and has a name of its
    own.
    """
    file, _, name = text.rpartition(IN_FILE)
    path = Path(f"{file}.py")
    defined = run_file(path, f"{what} file").items()
    kinds = {
        key: value for key, value in defined if isinstance(value, type) and issubclass(value, base)
    }
    own = {
        key: kind
        for key, kind in kinds.items()
        if kind.__module__.partition(".")[0] not in PACKAGES
    }
    if name not in own:
        raise RequestError(
            f"{what} file {str(path)!r} defines no {what} class {name!r}{suggestion(name, own)}"
        )
    label = getattr(own[name], "name", None)
    if not isinstance(label, str) or label in taken:
        raise RequestError(
            f"class {name!r} in {str(path)!r} has name = {label!r}; give it a name of its own"
        )
    return path, own[name]
