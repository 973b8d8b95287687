"""Models on a tree of photos: one model of the user's own from Python, several by name from the command line."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Literal

import torch

from experiments.counteranimal.asking import Asking
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
from experiments.counteranimal.loaded import LoadedModel, Model, Unmoved, finished
from experiments.counteranimal.lvlm.asking import ask
from experiments.counteranimal.lvlm.labelled import Labelled
from experiments.counteranimal.lvlm.language import LanguageModel
from experiments.counteranimal.metrics import Predictions
from experiments.counteranimal.photos.groups import PREFIX
from experiments.counteranimal.photos.reading import read_tree
from experiments.counteranimal.photos.tree import Tree
from experiments.counteranimal.scoring import NO_ANSWER, confusing_space, predict, scorer
from experiments.counteranimal.summaries import result_folders, summarise, write_result
from experiments.errors import RequestError, checked_seed
from experiments.files import output_folder

REFERENCE = "published:CLIP-LAION400M-ViT/B/32"  # whose confusions [W] uses for 1 vs 20


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A request: these models on these photos against these labels, with results below `output`."""

    data: Path
    asking: Asking
    groups: str = PREFIX
    labels: Literal["1000", "20", "45", "own"] | None = None  # None: all that there are
    confusing: Path | None = None
    reference: str | None = None  # REFERENCE
    reference_weights: Path | None = None
    strict: bool = False
    seed: int = 0
    output: Path


def run(request: Evaluation, note: Callable[[str], None] = lambda sentence: None) -> list[dict[str, Any]]:
    """The summary of each model, written to its folder as soon as it is there; `note` hears what deserves a warning.

    Raises RequestError for a wrong request, before anything is written, and RunError where the run fails.
    """
    checked_seed(request.seed)
    asking = request.asking
    _refuse_labels(request)
    tree = read_tree(request.data, request.groups, asking.vocabulary)
    space = _fixed_space(request, tree)
    if space is None:
        _reference(request)  # refused before anything is written
    output_folder(request.output)
    documents = []
    if space is None:
        space = _confusing(request, tree, _reference(request))
    for k, folder in enumerate(result_folders(request.output, asking.specs)):
        began, model = perf_counter(), asking.model(k)
        if isinstance(model, LanguageModel):
            answered = _language(request, tree, model, space, note)
        else:
            answered = _scored(request, tree, model, space)
        documents.append(_written(request, tree, space, answered, folder, note, perf_counter() - began))
    if space.name == "20":
        note(
            f"1 vs 20 is an oracle label space; the true label had to be added for {len(space.added)} of "
            f"{len(space.allowed or {})} classes"
        )
    return documents


@dataclass(frozen=True)
class Answered:
    """What one model said of the photos, and what its summary says of how it was asked."""

    model: Model | LanguageModel
    encoded: Encoded
    predictions: Predictions
    said: dict[str, Any]


def _scored(request: Evaluation, tree: Tree, model: Model, space: LabelSpace) -> Answered:
    """A model with features."""
    asked = request.asking.ask(tree, model, request.strict)
    predictions = predict(tree, asked.encoded, asked.score, space)
    return Answered(asked.model, asked.encoded, predictions, {"phrases_cut": asked.score.cut})


def _language(
    request: Evaluation, tree: Tree, model: LanguageModel, space: LabelSpace, note: Callable[[str], None]
) -> Answered:
    """A language model, which scores labels by its loss on them."""
    vocabulary, runtime = request.asking.vocabulary, request.asking.runtime
    work = Labelled(model, tree, space, [words[0] for words in vocabulary.called], runtime)
    if not model.prompt.templated:
        note(f"{model.spec} has no chat template; it is asked with {model.prompt.text!r}")
    kept = ask(model, work, tree, request.asking.store, runtime, request.strict)
    predictions, said = work.read(kept, note)
    return Answered(model, kept, predictions, said)


def _written(
    request: Evaluation,
    tree: Tree,
    space: LabelSpace,
    answered: Answered,
    folder: Path,
    note: Callable[[str], None],
    seconds: float,
) -> dict[str, Any]:
    """The summary of one model, beside its files."""
    model, predictions = answered.model, answered.predictions
    settings = request.asking.settings(model) | _circumstances(request, tree, space, answered, seconds) | answered.said
    document, counts = summarise("evaluate", model.spec, model.family, predictions, settings, request.seed)
    write_result(folder, document, predictions, counts)
    _warn(note, answered)
    return document


def _reference(request: Evaluation) -> Asking:
    """The one model whose confusions make the sets, asked as the others are."""
    weights = request.reference_weights
    return replace(
        request.asking,
        models=[request.reference or REFERENCE],
        weights=None if weights is None else [weights],
        quick_gelu="auto",
        ema=None,
        language=False,
    )


def _confusing(request: Evaluation, tree: Tree, reference: Asking) -> LabelSpace:
    """1 vs 20 as the reference model has it, saved."""
    asked = reference.ask(tree, reference.model(), request.strict)
    space = confusing_space(tree, asked.encoded, asked.score)
    origin = {
        "model": asked.model.spec,
        "weights_hash": asked.model.settings["weights_hash"],
        "prompts": reference.prompts,
    }
    vocabulary = reference.vocabulary
    save_confusing(request.output / "confusing.json", space, vocabulary.source, vocabulary.names, origin)
    return space


def _refuse_labels(request: Evaluation) -> None:
    own = not request.asking.vocabulary.imagenet
    said = "all labels" if request.labels is None else request.labels
    for flag in ("confusing", "reference", "reference_weights"):
        if getattr(request, flag) is not None and request.labels != "20":
            name = flag.replace("_", "-")
            raise RequestError(f"--{name} goes with --labels 20, not {said}; leave it out or pass --labels 20")
    if own and request.labels in ("1000", "45"):
        raise RequestError(f"--labels {request.labels} is of ImageNet; with --classes it is own (all of them) or 20")
    if not own and request.labels == "own":
        raise RequestError("--labels own needs --classes FILE, which says what they are")


def _fixed_space(request: Evaluation, tree: Tree) -> LabelSpace | None:
    """The labels that compete, None where a reference model has yet to choose them."""
    if request.labels == "45":
        return own_classes(list(tree.classes))
    if request.labels == "20" and request.confusing is None:
        return None
    vocabulary = request.asking.vocabulary
    if request.labels == "20":
        return load_confusing(request.confusing, vocabulary.source, vocabulary.names, sorted(tree.classes))
    return vocabulary.every_label


def _circumstances(
    request: Evaluation, tree: Tree, space: LabelSpace, answered: Answered, seconds: float
) -> dict[str, Any]:
    """What a summary says about the run beside the model."""
    return {
        "labels": space.name,
        "label_sets": {"truth_added": list(space.added), **space.settings},
        "data": str(request.data),
        "groups": request.groups,
        "folders": {str(index): folder for index, folder in tree.classes.items()},
        "strict": request.strict,
        "skipped": [{"path": path, "reason": reason} for path, reason in answered.encoded.unreadable.items()],
        "unanswered": int((answered.predictions.predicted == NO_ANSWER).sum()),
        "image_passes": answered.encoded.passes,
        "seconds": round(seconds, 3),
    }


def _warn(note: Callable[[str], None], answered: Answered) -> None:
    spec, predictions = answered.model.spec, answered.predictions
    for shard in answered.encoded.cache.damaged:
        note(f"a damaged cache shard was ignored and its photos computed again: {shard}")
    unanswered = int((predictions.predicted == NO_ANSWER).sum())
    if unanswered and predictions.rank is not None:
        note(f"{spec} has no finite score for {unanswered} photos; they count as wrong and are not kept")
    if answered.said.get("phrases_cut"):
        cut = answered.said["phrases_cut"]
        note(f"{cut} prompts fill all that {spec} reads of a text; what is beyond changes nothing")
    if answered.model.key is None:
        note(f"{spec} holds code of unknown version; its features are not kept for another run")


def evaluate(
    model: Any,
    preprocess: Callable,
    tokenizer: Callable | None,
    data: Path | str | Tree,
    *,
    prompts: str = "simple",
    names: str | Sequence[str] | Vocabulary = "open_clip",
    groups: str = PREFIX,
    space: LabelSpace | None = None,
    runtime: Runtime | None = None,
    cache: Path | None = None,
) -> Predictions:
    """Predictions of any model on photos of any layout that `photos.reading.read_tree` takes.

    `metrics.summary(metrics.class_counts(...))` turns the answer into accuracies.
    """
    vocabulary = _vocabulary(names)
    tree = data if isinstance(data, Tree) else read_tree(Path(data), groups, vocabulary)
    runtime = runtime or Runtime()
    is_clip = tokenizer is not None
    module = model if isinstance(model, torch.nn.Module) else Unmoved()
    loaded = LoadedModel(
        type(model).__name__,
        "CLIP" if is_clip else "ImageNet",
        module,
        model.encode_image if is_clip else model,
        preprocess,
        model.encode_text if is_clip else None,
        tokenizer,
    )
    if module is model:
        loaded = finished(loaded)
    if cache is not None and loaded.key is None:
        raise RequestError(
            "this model or its preprocessing holds code of your own, which a cache cannot recognise when it changes; "
            "leave cache out"
        )
    with TemporaryDirectory() if cache is None else nullcontext(cache) as folder:
        encoded = encode_photos(tree, loaded, Path(folder), runtime, labels=len(vocabulary.names))
        score = scorer(loaded, vocabulary, templates(prompts) if is_clip else (), runtime, cache)
        return predict(tree, encoded, score, space or vocabulary.every_label)


def _vocabulary(names: str | Sequence[str] | Vocabulary) -> Vocabulary:
    if isinstance(names, Vocabulary):
        return names
    if isinstance(names, str):
        return imagenet(names)
    if len(names) != CLASS_COUNT:
        raise RequestError(
            f"{len(names)} class names are given; ImageNet-1k has {CLASS_COUNT}, in index order; "
            "classes of your own are a Vocabulary"
        )
    return Vocabulary(tuple(names), "names")
