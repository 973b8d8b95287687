"""The command line: parse, call, print. With --json, stdout is one JSON document and all else goes
to stderr.

Exit status: 0 done (whatever the verdicts), 1 a run failed, 2 the request was wrong, 130
interrupted. A verb is imported when it is used, and imports what it needs when it runs. So --help
loads no numpy, and linear `predict` no torch.
"""

import os
import sys
from errno import ENAMETOOLONG

from cyclopts import App, CycloptsError, Parameter, UnknownCommandError, UnusedCliTokensError

from experiments.errors import Interrupted, RequestError, RunError, SoberclipError
from experiments.user_code import blamed
from simulator.naming import suggestion
from simulator.progress import counting, say

app = App(
    name="soberclip",
    help=(
        "Does a CLIP-style objective learn the animal or the background? Worlds, theory, training"
        " and a judge."
    ),
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # main() says what was kept
    # No flag has a negative form, and no flag empties a list. Help does not print that a flag is
    # off by default.
    default_parameter=Parameter(
        negative="", show_default=lambda value: None if value is False else value
    ),
)


def _version() -> str:
    from experiments.provenance import versions  # start-up time

    return versions()["soberclip"]


app.version = _version
photos = App(name="counteranimal")
photos.help = "Real CLIP and ImageNet models on real photos, and the published tables on trial."
app.register_install_completion_command(
    help="Install completion for the shell in use (bash, zsh, fish)."
)
VERBS = {  # module and function of a verb, what it does, and examples
    "synthetic:predict": (
        "Accuracy on the common and the counter group at n = infinity, by theory.",
        "--mu-spu 1.5 --sigma-xi 6 --learner infonce",
    ),
    "synthetic:simulate": (
        "Train linear CLIP (or a supervised rule) on n pairs, many times, and measure both groups.",
        "--n 1e6 --replicates 200 --mu-spu 1.5 --sigma-xi 6",
    ),
    "synthetic:train": (
        "Train an ensemble of towers by gradient descent, on this machine or under torchrun.",
        "--steps 2000 --ensemble 3 --mu-spu 1.5 --sigma-xi 1.06 --dim-image 2 --dim-text 2",
    ),
    "synthetic:show": (
        (
            "Draw a world: a contact sheet of pixels with their captions, or the latents of"
            " Gaussian views."
        ),
        "--world digits.toml -o digits.png",
    ),
    "laboratory:designs": (
        "List the designs: studies that each answer one question, in a quick and a full size.",
        "",
    ),
    "laboratory:sweep": (
        (
            "Any grid of worlds and learners as one study: data on disk and a table, from closed"
            " form to trained towers."
        ),
        "--axis p_spu=.5:1:11 --axis mu_spu=.5:4:8 --learner infonce -o phase.zarr",
        "sources -o sources.zarr",
    ),
    "laboratory:finetune": (
        (
            "Fine-tune a pretrained CLIP on COCO's objects on coloured backgrounds, by captions and"
            " by labels."
        ),
        "--root val2017 --model open_clip:RN50/openai -o coco",
    ),
    "laboratory:plot": (
        (
            "Draw a study: lines over one axis, a phase diagram over two, panels for further axes"
            " and learners."
        ),
        'phase.zarr --what "infonce:name minus bayes"',
    ),
    "embeddings:embeddings": (
        (
            "How much a model relies on the background, and what would help, from a file of its"
            " embeddings."
        ),
        "vit-b-32.npz",
        "vit-b-32.npz rn50.npz --output comparison",
    ),
    "ground_truth:export": (
        (
            "Write a world as pictures with captions, for other people's training code, with the"
            " truth beside them."
        ),
        "--mu-spu 1.5 --sigma-xi 6 --bare .2 -o bears",
    ),
    "ground_truth:place": (
        (
            "From predictions on test images to p′ and r, with intervals; with --verbose beside the"
            " theory."
        ),
        "predictions.csv --data bears",
        "groups.csv --mu-spu 1.5 --sigma-xi 6",
    ),
    "trials:claims": (
        (
            "List the claims on trial with source, statement and digest, and the others with the"
            " reason."
        ),
        "wang",
    ),
    "trials:check": (
        "Put claims on trial: proved, supported, contradicted or undecided, with the evidence.",
        "wang-lemma-d3 corrected-law --quick",
        "wang-lemma-d3 --prove --output proofs --latex verdicts.tex",
    ),
    "trials:reproduce": (
        (
            "The main job: a quick trial of every claim, the figures, and one report.html that"
            " opens offline."
        ),
        "--output soberclip-report",
    ),
    "counteranimal:inspect": (
        (
            "Parse a data set: classes, groups and backgrounds with their counts, unreadable"
            " photos, strays."
        ),
        "LAION-final",
    ),
    "counteranimal:evaluate": (
        (
            "Score models on the photos, one after another. Features are cached: no photo passes a"
            " model twice.\n\nexperiments/counteranimal/README.md has a python:FILE.py of twenty"
            " lines for a model of your own.\n\nIt also has ten lines that write the .npz of"
            " soberclip embeddings from a PyTorch model and a DataLoader."
        ),
        "--data LAION-final --model open_clip:ViT-B-32/openai",
    ),
    "counteranimal:score": (
        "Metrics and intervals for predictions made elsewhere.",
        "answers.csv --name LLaVA --labels 20",
    ),
    "counteranimal:published": (
        (
            "The paper's tables: verdicts on claims. Files and JSON have the inconsistencies and"
            " every figure, too."
        ),
        "",
    ),
    "counteranimal:compare": (
        (
            "Your results and published rows in one plot, with effective robustness and paired"
            " classes."
        ),
        "published my-results",
    ),
    "counteranimal:discover": (
        (
            "Build a CounterAnimal of your own photos, with the drop before and after correction"
            " for selection.\n\nOther models are evaluated with --groups discovered-groups.csv."
        ),
        "--data photos --model torchvision:resnet50",
    ),
    "counteranimal:compose": (
        (
            "Put every object on every background, at one scale and place, so that only the"
            " background differs."
        ),
        "--objects animals --backgrounds scenes --common ostrich=desert",
    ),
}
for path, (sentence, *examples) in VERBS.items():
    module, name = path.split(":")
    parent, verb = (photos, f"counteranimal {name}") if module == "counteranimal" else (app, name)
    lines = "\n\n".join(f"Example: soberclip {verb} {example}".rstrip() for example in examples)
    parent.command(f"experiments.command.{path}", name=name, help=f"{sentence}\n\n{lines}")
app.command(photos)

KEPT = {  # after Ctrl-C
    **dict.fromkeys(("evaluate", "discover"), "encoded photos stay in the cache"),
    "export": "finished shards are kept; run the same command to resume",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status; an error is one sentence on stderr.

    Without arguments it reads those of the process, and configures the process.
    """
    if arguments is None:
        prepare_process()
    words = sys.argv[1:] if arguments is None else arguments
    verb, *names = [word for word in words if not word.startswith("-")] or [""]
    try:
        for word in words:
            if (legible := word.encode("utf-8", "backslashreplace").decode()) != word:
                raise RequestError(
                    f"the name {legible!r} is not UTF-8, so results cannot hold it; rename the file"
                )
        if verb not in ("", "train") and os.environ.get("WORLD_SIZE", "1") != "1":
            raise RequestError(
                f"only soberclip train runs under torchrun; start soberclip {verb} without it"
            )
        with counting(f"soberclip {verb}: at work"):
            app(words, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return 0
    except CycloptsError as error:
        return _complain(_misread(error), RequestError.status)
    except SoberclipError as error:
        return _complain(str(error), error.status)
    except KeyboardInterrupt:
        end = KEPT.get(names[0] if verb == "counteranimal" and names else verb, "nothing was kept")
        return _complain(f"interrupted; {end}", Interrupted.status)
    except (Exception, SystemExit) as error:
        closed = isinstance(error, BrokenPipeError)  # by the reader
        if not closed and (sentence := blamed(error)) is not None:
            return _complain(sentence, RequestError.status)
        if not isinstance(error, OSError):
            raise
        if arguments is None:  # the process is ours: Python shall not flush the rest at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if closed:
            return RunError.status
        where = "" if error.filename is None else f": {str(error.filename)!r}"
        if error.errno == ENAMETOOLONG:
            return _complain(f"{error.strerror}{where}; choose a shorter one", RequestError.status)
        return _complain(f"{error.strerror or error}{where}", RunError.status)


def _misread(error: CycloptsError) -> str:
    """The sentence on words that are no command line."""
    place = " ".join(("soberclip", *(error.command_chain or ())))
    if isinstance(error, UnknownCommandError):
        word = error.unused_tokens[0]
        verbs = error.app or ()
        return (
            f"{word!r} is not a verb of {place}{suggestion(word, verbs)}; {place} --help lists them"
        )
    if isinstance(error, UnusedCliTokensError):
        return (
            f"{place} has no use for {error.unused_tokens[0]!r}; {place} --help lists its options"
        )
    return " ".join(str(error).split()).rstrip("., ")


def prepare_process() -> None:
    """Settings of a process of our own: streams and threads. A user's own settings stay.

    Call this before torch is imported. Child processes inherit what it sets.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed before the start
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, open until the process ends
        getattr(sys, name).reconfigure(errors="replace")
    # Idle threads of OpenMP and OpenBLAS shall spin for microseconds. Beside a busy process on two
    # cores, training is then 100 times faster, and unit embeddings take 6 CPU seconds instead of
    # 28. An idle machine shows no difference.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")


def _complain(sentence: str, status: int) -> int:
    say(sentence)
    return status
