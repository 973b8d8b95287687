"""The command line: parse, call, print. With --json, stdout is one JSON document and all else goes to stderr.

Exit status: 0 done (whatever the verdicts), 1 a run failed, 2 the request was wrong, 130 interrupted.
A verb is imported when it is used, and imports what it needs when it runs. So --help loads no numpy, and linear
`predict` no torch.
"""

import os
import sys

from cyclopts import (
    App,
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from experiments.errors import Interrupted, RequestError, RunError, SoberclipError
from experiments.progress import doing, say
from experiments.runtime import keep_memory, sleep_soon
from simulator.naming import suggestion

FEW = 6  # choices that a sentence can list

app = App(
    name="soberclip",
    help="Does a CLIP-style objective learn the animal or the background? Worlds, theory, training and a judge.",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # main() says what was kept
)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # start-up time

    try:
        return version("soberclip")
    except PackageNotFoundError:
        return "not installed"


app.version = _version
app.register_install_completion_command(help="Install completion for the shell in use (bash, zsh, fish).")
VERBS = {  # verb: its module, and the first sentence of its docstring
    "predict": ("synthetic", "Accuracy on the common and the counter group at n = infinity, by theory."),
    "simulate": (
        "synthetic",
        "Train linear CLIP (or a supervised rule) on n pairs, many times, and measure both groups.",
    ),
    "train": (
        "synthetic",
        "Train two towers by gradient descent, an ensemble at a time, on this machine or under torchrun.",
    ),
    "show": (
        "synthetic",
        "Draw a world: a contact sheet of pixels with their captions, or the latents of Gaussian views.",
    ),
    "designs": (
        "laboratory",
        "The designs that ship: studies that each answer one question, in a quick size and a full one.",
    ),
    "sweep": (
        "laboratory",
        "Any grid of worlds and learners as one study: as data on disk, as a table, from closed form to trained "
        "towers.",
    ),
    "plot": (
        "laboratory",
        "Draw a study: lines over one axis, a phase diagram over two, panels for further axes and learners.",
    ),
    "claims": ("trials", "The claims on trial, with source and statement; what is not on trial, with the reason."),
    "check": ("trials", "Put claims on trial: proved, supported, contradicted or undecided, with the evidence."),
    "reproduce": (
        "trials",
        "The main job: every claim on a quick trial (`check` audits eight times as many points), the figures, and one "
        "report.html that opens offline.",
    ),
}
for verb, (module, sentence) in VERBS.items():
    app.command(f"experiments.command.{module}:{verb}", name=verb, help=sentence)
app.command(
    "experiments.command.counteranimal:app",
    name="counteranimal",
    help="Real CLIP and ImageNet models on real photos, and the published tables on trial.",
)

ENCODED = dict.fromkeys(("evaluate", "discover", "law"), "encoded photos stay in the cache")
KEPT = {**ENCODED, "compose": "finished composites stay, and the same command resumes"}  # after Ctrl-C


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status; an error is one sentence on stderr.

    Without arguments it takes those of the process, and configures the process for itself.
    """
    if arguments is None:
        sleep_soon()
        keep_memory()
        _configure_streams()
    words = sys.argv[1:] if arguments is None else arguments
    try:
        with doing(f"soberclip {_verb(words)}: at work"):
            _run(words)
        sys.stdout.flush()
        return 0
    except CycloptsError as error:
        return _complain(_sentence(error), RequestError.status)
    except SoberclipError as error:
        return _complain(str(error), error.status)
    except KeyboardInterrupt:
        kept = KEPT.get(_verb(words).removeprefix("counteranimal "), "nothing was kept")
        return _complain(f"interrupted; {kept}", Interrupted.status)
    except BrokenPipeError:  # the reader of our output has left
        _discard_stdout(arguments)
        return RunError.status
    except OSError as error:  # a full or broken disk
        _discard_stdout(arguments)
        where = "" if error.filename is None else f": {str(error.filename)!r}"
        return _complain(f"{error.strerror or error}{where}", RunError.status)


def _configure_streams() -> None:
    """Replace signs that a stream cannot encode, and open streams that were closed before we started."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, open until the process ends
        getattr(sys, name).reconfigure(errors="replace")


def _discard_stdout(arguments: list[str] | None) -> None:
    """Discard what Python would flush at exit, if the process is ours."""
    if arguments is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _verb(words: list[str]) -> str:
    """The verb, for counteranimal with the verb below it."""
    names = [word for word in words if not word.startswith("-")]
    return " ".join(names[: 1 + (names[:1] == ["counteranimal"])])


def _run(words: list[str]) -> None:
    if (verb := _verb(words)) in VERBS:
        app[verb].help = None  # show the whole docstring instead of its first sentence
    app(words, exit_on_error=False, print_error=False, result_action="return_value")


def _complain(sentence: str, status: int) -> int:
    say(f"soberclip: {sentence}")
    return status


def _sentence(error: CycloptsError) -> str:
    """A parser's error in our words, with the nearest choice for a wrong name."""
    if isinstance(error, UnknownOptionError):
        token = error.token.keyword or error.token.value
        options = [name for argument in error.argument_collection or [] for name in argument.names]
        return f"option {token} is unknown{suggestion(token, options) or _choices(options)}"
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        return _missing(error)
    if isinstance(error, UnusedCliTokensError):
        return f"{' '.join(error.unused_tokens)!r} belongs to no option; every setting is a flag such as --p-spu 0.9"
    if isinstance(error, UnknownCommandError):
        token = error.unused_tokens[0]
        flag = token.startswith("-")
        names = [name for name in error.app or () if name.startswith("-") == flag]
        what = f"option {token}" if flag else f"verb {token!r}"
        return f"{what} is unknown{suggestion(token, names) or _choices(names)}"
    if isinstance(error, CoercionError) and error.argument is not None and error.token is not None:
        choices, value = list(error.argument.get_choices() or ()), error.token.value
        if choices:
            return f"{error.argument.name} = {value!r} is not one of {', '.join(choices)}{suggestion(value, choices)}"
    return " ".join(str(error).split()).rstrip(".")


def _missing(error: MissingArgumentError) -> str:
    """The missing argument with its meaning; a positional one in capitals, as in --help."""
    argument = error.argument
    if any(name in error.unused_tokens or () for name in argument.names):
        return f"{argument.name} needs a value: {argument.parameter.help}"
    positional = argument.field_info.kind is not argument.field_info.KEYWORD_ONLY
    name = argument.name.lstrip("-").upper() if positional else argument.name
    return f"{' '.join(error.command_chain)} needs {name}: {argument.parameter.help}"


def _choices(names: list[str]) -> str:
    """The choices if they are few, else where to find them."""
    long = sorted({name for name in names if not name.startswith("-") or name.startswith("--")})
    return f"; there are {', '.join(long)}" if 0 < len(long) <= FEW else "; --help lists all"
