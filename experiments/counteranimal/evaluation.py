"""Models on photos: several by name from the command line, or one of the user's own from Python.

An evaluation writes predictions.csv; everything else in a result is computed from the predictions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import torch

from experiments.counteranimal.encoding import Encoded, Runtime, encode_photos
from experiments.counteranimal.labels import (
    CLASS_COUNT,
    LabelSpace,
    Vocabulary,
    imagenet,
    load_confusing,
    own_classes,
    save_confusing,
    templates,
)
from experiments.counteranimal.lvlm.likelihood import score_labels
from experiments.counteranimal.lvlm.model import LanguageModel
from experiments.counteranimal.model import LoadedModel
from experiments.counteranimal.model_config import ModelConfig
from experiments.counteranimal.photos import PhotoSet
from experiments.counteranimal.predictions import Predictions
from experiments.counteranimal.reading import PREFIX, read_photos
from experiments.counteranimal.scoring import NO_ANSWER, Scorer, confusing_space, predict, scored, scorer
from experiments.counteranimal.summaries import result_folders, summarise, write_result
from experiments.errors import RequestError, checked_seed
from experiments.files import output_folder

REFERENCE = "published:CLIP-LAION400M-ViT/B/32"  # [W] takes this model's confusions for 1 vs 20
Note = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A request: these models on these photos against these labels, with results below `output`."""

    data: Path
    models: ModelConfig
    groups: str = PREFIX
    labels: Literal["1000", "20", "45", "own"] | None = None  # None: all labels
    confusing: Path | None = None
    reference: str | None = None  # None: REFERENCE
    reference_weights: Path | None = None
    strict: bool = False
    seed: int = 0
    output: Path


@dataclass(frozen=True)
class Answers:
    """One model's predictions, and what its summary says about how they were made."""

    encoded: Encoded
    predictions: Predictions
    settings: dict[str, Any]


def run(request: Evaluation, note: Note = lambda sentence: None) -> list[dict[str, Any]]:
    """The summary of each model, written to its folder as soon as it is complete; `note` is called with warnings.

    Raises RequestError for a wrong request, before anything is written, and RunError if the run fails.
    """
    checked_seed(request.seed)
    _check_labels(request)
    models = request.models
    photo_set = read_photos(request.data, request.groups, models.vocabulary)
    space = _fixed_space(request, photo_set)
    reference = _reference(request) if space is None else None
    output_folder(request.output)
    if reference is not None:
        space = _confusing(request, photo_set, reference)
    documents = []
    for k, folder in enumerate(result_folders(request.output, models.specs)):
        began, model = perf_counter(), models.load(k)
        answers = _answers(request, photo_set, model, space, note)
        circumstances = _circumstances(request, photo_set, space, answers, perf_counter() - began)
        settings = models.settings(model) | circumstances | answers.settings
        document = summarise("evaluate", model.spec, model.family, answers.predictions, settings, request.seed)
        write_result(folder, document, answers.predictions)
        _warn(note, model, answers)
        documents.append(document)
    if space.name == "20":
        note(
            f"1 vs 20 is an oracle label space; the true label had to be added for {len(space.added)} of "
            f"{len(space.allowed or {})} classes"
        )
    return documents


def _answers(
    request: Evaluation, photo_set: PhotoSet, model: LoadedModel | LanguageModel, space: LabelSpace, note: Note
) -> Answers:
    models = request.models
    if isinstance(model, LanguageModel):
        names = [words[0] for words in models.vocabulary.called]
        if not model.prompt.templated:
            note(f"{model.spec} has no chat template; its prompt is {model.prompt.text!r}")
        encoded, settings = score_labels(model, photo_set, space, names, models.store, models.runtime, request.strict)
        if settings["answers_cut"]:
            note(
                f"{settings['answers_cut']} answers exceed the {model.longest} tokens that {model.spec} reads, photo "
                "and question included, and were truncated"
            )
        return Answers(encoded, predict(photo_set, scored(encoded, Scorer(len(names))), space), settings)
    ran = models.run(photo_set, model, request.strict)
    predictions = predict(photo_set, scored(ran.encoded, ran.score), space)
    return Answers(ran.encoded, predictions, {"phrases_cut": ran.score.truncated})


def _reference(request: Evaluation) -> ModelConfig:
    """The one model whose confusions make the sets; it runs like the others."""
    weights = request.reference_weights
    return replace(
        request.models,
        models=[request.reference or REFERENCE],
        weights=None if weights is None else [weights],
        quick_gelu="auto",
        ema=None,
        language=False,
    )


def _confusing(request: Evaluation, photo_set: PhotoSet, reference: ModelConfig) -> LabelSpace:
    """The 1 vs 20 sets of the reference model, written to confusing.json."""
    ran = reference.run(photo_set, reference.load(), request.strict)
    space = confusing_space(ran.encoded, ran.score)
    origin = {
        "model": ran.model.spec,
        "weights_hash": ran.model.settings["weights_hash"],
        "prompts": reference.prompts,
    }
    vocabulary = reference.vocabulary
    save_confusing(request.output / "confusing.json", space, vocabulary.source, vocabulary.names, origin)
    return space


def _check_labels(request: Evaluation) -> None:
    own = not request.models.vocabulary.imagenet
    given = "all labels" if request.labels is None else request.labels
    for flag in ("confusing", "reference", "reference_weights"):
        if getattr(request, flag) is not None and request.labels != "20":
            name = flag.replace("_", "-")
            raise RequestError(f"--{name} goes with --labels 20, not {given}; leave it out or pass --labels 20")
    if own and request.labels in ("1000", "45"):
        raise RequestError(f"--labels {request.labels} is for ImageNet; with --classes use own (all of them) or 20")
    if not own and request.labels == "own":
        raise RequestError("--labels own needs --classes FILE, which lists them")


def _fixed_space(request: Evaluation, photo_set: PhotoSet) -> LabelSpace | None:
    """The competing labels; None if a reference model has yet to choose them."""
    if request.labels == "45":
        return own_classes(list(photo_set.classes))
    vocabulary = request.models.vocabulary
    if request.labels != "20":
        return vocabulary.every_label
    if request.confusing is None:
        return None
    return load_confusing(request.confusing, vocabulary.source, vocabulary.names, sorted(photo_set.classes))


def _circumstances(
    request: Evaluation, photo_set: PhotoSet, space: LabelSpace, answers: Answers, seconds: float
) -> dict[str, Any]:
    """What a summary says about the run besides the model."""
    return {
        "labels": space.name,
        "label_sets": {"truth_added": list(space.added), **space.settings},
        "data": str(request.data),
        "groups": request.groups,
        "folders": {str(index): folder for index, folder in photo_set.classes.items()},
        "strict": request.strict,
        "skipped": [{"path": path, "reason": reason} for path, reason in answers.encoded.unreadable.items()],
        "unanswered": int((answers.predictions.predicted == NO_ANSWER).sum()),
        "image_passes": answers.encoded.passes,
        "seconds": round(seconds, 3),
    }


def _warn(note: Note, model: LoadedModel | LanguageModel, answers: Answers) -> None:
    for shard in answers.encoded.damaged:
        note(f"a damaged cache shard was ignored and its photos computed again: {shard}")
    unanswered = int((answers.predictions.predicted == NO_ANSWER).sum())
    if unanswered:
        note(f"{model.spec} has no finite score for {unanswered} photos; they count as wrong and are not cached")
    truncated = answers.settings.get("phrases_cut")
    if truncated:
        note(f"{truncated} prompts exceed {model.spec}'s context length and were truncated")
    if model.key is None:
        note(f"{model.spec} contains code of unknown version; its features are not cached")


def evaluate(
    model: Any,
    preprocess: Callable,
    tokenizer: Callable | None,
    data: Path | str | PhotoSet,
    *,
    prompts: str = "simple",
    names: str | Sequence[str] | Vocabulary = "open_clip",
    groups: str = PREFIX,
    space: LabelSpace | None = None,
    runtime: Runtime | None = None,
) -> Predictions:
    """Predictions of any model on photos of any layout that `photos.read_photos` takes; nothing is cached.

    `metrics.summary(metrics.class_counts(...))` turns the answer into accuracies.
    """
    vocabulary = _vocabulary(names)
    photo_set = data if isinstance(data, PhotoSet) else read_photos(Path(data), groups, vocabulary)
    runtime = runtime or Runtime()
    module = model.eval() if isinstance(model, torch.nn.Module) else torch.nn.Module()
    if tokenizer is None:
        loaded = LoadedModel("ImageNet", module, model, preprocess)
    else:
        loaded = LoadedModel("CLIP", module, model.encode_image, preprocess, model.encode_text, tokenizer)
    encoded = encode_photos(photo_set, loaded, None, runtime, labels=len(vocabulary.names))
    score = scorer(loaded, vocabulary, templates(prompts) if tokenizer else (), runtime, None)
    return predict(photo_set, scored(encoded, score), space or vocabulary.every_label)


def _vocabulary(names: str | Sequence[str] | Vocabulary) -> Vocabulary:
    if isinstance(names, Vocabulary):
        return names
    if isinstance(names, str):
        return imagenet(names)
    if len(names) != CLASS_COUNT:
        raise RequestError(
            f"{len(names)} class names are given; ImageNet-1k has {CLASS_COUNT}, in index order; "
            "pass classes of your own as a Vocabulary"
        )
    return Vocabulary(tuple(names), "names")
