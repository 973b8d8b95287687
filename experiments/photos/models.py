"""Models by specification, KIND:NAME (the README lists the kinds): checked, loaded and run.

Weights come from a tag (downloaded, or from the library's cache) or from a file. Code that is
stored in a file runs only if the user says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from experiments.errors import RequestError, RunError
from experiments.photos import libraries
from experiments.photos.encoding import Encoded
from experiments.photos.labels import LabelSpace, digest
from experiments.photos.language_models import LanguageModel, load_language_model, score_labels
from experiments.photos.model import OWN, LoadedModel, finished, one_line
from experiments.photos.options import Options
from experiments.photos.photos import PhotoSet
from experiments.photos.scoring import score_photos
from experiments.published.tables import checkpoint_spec
from experiments.user_code import as_script, blamed, run_file
from simulator.naming import suggestion

DEFAULTS = Options()
NONE = Path("-")  # stands for a model without a weights file
# CLIP, classifier
PARTS = (("preprocess", "encode_image", "encode_text", "tokenizer"), ("preprocess", "logits"))
FIELDS = {"logits": "encode_image"}  # of LoadedModel, where they have another name

Model = LoadedModel | LanguageModel


def resolve(
    models: Sequence[str], weights: Sequence[Path] | None, options: Options
) -> list[tuple[str, Path | None]]:
    """(specification, weights file) of each model; RequestError for errors that are known before
    one is loaded.
    """
    if not models:
        raise RequestError("no model is given; name one with --model")
    if weights is not None and len(weights) != len(models):
        wrong = f"{len(weights)} --weights are given for {len(models)} --model"
        raise RequestError(f"{wrong}; give one per model, and - for a model without a file")
    specs = [checkpoint_spec(spec) for spec in models]
    if options.quick_gelu != "auto" and not any(spec.startswith("open_clip:") for spec in specs):
        raise RequestError(
            f"--quick-gelu {options.quick_gelu} applies only to open_clip: models; leave it out"
        )
    _ = options.vocabulary, options.templates  # each checks its own file
    files = [None if file == NONE else file for file in weights or [NONE] * len(specs)]
    for spec, file in zip(specs, files, strict=True):
        check_spec(spec, file)
    return list(zip(specs, files, strict=True))


def check_spec(spec: str, file: Path | None) -> None:
    """Raise RequestError for errors in a specification that are known before loading."""
    kind, _, name = spec.partition(":")
    if kind not in KINDS or not name:
        near = suggestion(spec, [f"{k}:{name}" for k in KINDS])
        raise RequestError(
            f"model {spec!r} does not start with one of {', '.join(f'{k}:' for k in KINDS)}{near}"
        )
    if file is not None and not file.is_file():
        raise RequestError(
            f"there is no weights file {str(file)!r}; leave --weights out to use the tag's own"
        )
    if kind in ("hf", "python", "lvlm") and file is not None:
        raise RequestError(
            f"--weights does not go with {kind}:, whose models have their own weights; leave it out"
        )
    KINDS[kind][0](name, file)


def load(spec: str, file: Path | None = None, options: Options = DEFAULTS) -> Model:
    """The model that `spec` names, on the CPU in float32."""
    check_spec(spec, file)
    kind, _, name = spec.partition(":")
    model = KINDS[kind][1](name, file, options)
    if isinstance(model, LanguageModel):
        return model
    settings = {
        "quick_gelu": options.quick_gelu if kind == "open_clip" else "auto",
        **model.settings,
    }
    if file is not None:
        settings["weights"] = f"file {file.name}"
    configuration = None if model.configuration is None else {"kind": kind, **model.configuration}
    return finished(replace(model, spec=spec, settings=settings, configuration=configuration))


def score(
    photo_set: PhotoSet, model: Model, options: Options, space: LabelSpace | None = None
) -> Encoded:
    """A model's scores of the labels of `space`, by default all; afterwards the model is on the
    CPU.
    """
    scored = (score_labels if isinstance(model, LanguageModel) else score_photos)(
        photo_set, model, options, space
    )
    model.module.to("cpu")  # the next model needs the memory
    return scored


def settings_of(model: Model, options: Options) -> dict[str, Any]:
    """The settings of a model's run that a result stores."""
    prompted = isinstance(model, LoadedModel) and model.embeds_text
    names = prompted or isinstance(model, LanguageModel) or options.classes is not None
    return {
        "prompts": options.prompts if prompted else None,
        "classes": None if options.classes is None else str(options.classes),
        "class_names": options.vocabulary.source if names else None,
        "class_names_digest": digest(options.vocabulary.names) if names else None,
        "device": options.device,
        "precision": options.precision,
        "batch_size": options.batch_size,
        "workers": options.threads,
        **model.settings,
    }


def _check_python(name: str, file: Path | None) -> None:
    if not Path(name).is_file():
        raise RequestError(
            f"there is no Python file {name!r}; name a file with model(), which returns the model"
        )


def _python(name: str, file: Path | None, options: Options) -> LoadedModel:
    """The model of model() in a user's file; the README has the shapes of its methods, those of one
    of PARTS.
    """
    names = run_file(Path(name), "model file")
    try:
        with as_script(Path(name)):
            model = names["model"]()
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        failure = f"model() of {name!r} failed with {type(error).__name__}: {error}"
        raise RequestError(blamed(error) or failure) from error
    parts = next(
        (parts for parts in PARTS if all(callable(getattr(model, part, None)) for part in parts)),
        None,
    )
    if parts is None:
        needed = ", or ".join(map(", ".join, PARTS))
        kind = type(model).__name__
        raise RequestError(
            f"model() of {name!r} returned a {kind}, which lacks methods; it needs {needed}"
        )
    family = getattr(model, "family", OWN)
    if not (isinstance(family, str) and family.strip()):
        raise RequestError(
            f"the family of model() in {name!r} is {family!r}; expected a word, such as 'CLIP'"
        )

    def guarded(part: str) -> Callable:
        def call(*arguments):
            try:
                return getattr(model, part)(*arguments)
            except (torch.OutOfMemoryError, MemoryError):
                raise
            except Exception as error:  # the user's code may raise anything
                # the photo may be unreadable
                failure = ValueError if part == "preprocess" else RunError
                reason = f"{type(error).__name__}: {one_line(error)}"
                raise failure(f"{part}() of {name!r} failed with {reason}") from error

        return call

    module = model if isinstance(model, torch.nn.Module) else torch.nn.Module()
    # Without a configuration features are not cached, since the file may change.
    calls = {FIELDS.get(part, part): guarded(part) for part in parts}
    return LoadedModel(family, module, **calls, settings={"weights": f"file {Path(name).name}"})


# Kind of specification -> (check before loading, loader).
KINDS: dict[
    str, tuple[Callable[[str, Path | None], Any], Callable[[str, Path | None, Options], Model]]
] = {
    "open_clip": (libraries.check_open_clip, libraries.load_open_clip),
    "torchvision": (libraries.torchvision_weights, libraries.load_torchvision),
    "timm": (libraries.check_timm, libraries.load_timm),
    "hf": (libraries.check_transformers, libraries.load_hf),
    "python": (_check_python, _python),
    "lvlm": (libraries.check_transformers, load_language_model),
}
