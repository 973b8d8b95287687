"""Models on photos: several by name from the command line, or one of the user's own from Python.

An evaluation writes predictions.csv; everything else in a result is computed from the predictions.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import torch

from experiments.counteranimal.encoding import Runtime
from experiments.counteranimal.labels import (
    LabelSpace,
    Vocabulary,
    imagenet,
    load_confusing,
    own_classes,
    save_confusing,
    templates,
)
from experiments.counteranimal.lvlm.model import LanguageModel
from experiments.counteranimal.model import LoadedModel
from experiments.counteranimal.model_config import ModelConfig
from experiments.counteranimal.photos import PREFIX, PhotoSet, read_photos
from experiments.counteranimal.predictions import Predictions
from experiments.counteranimal.scoring import NO_ANSWER, confusing_space, predict, score_photos
from experiments.counteranimal.summaries import result_folders, summarise, write_result
from experiments.errors import RequestError, checked_seed
from experiments.files import output_folder

REFERENCE = "published:CLIP-LAION400M-ViT/B/32"  # [W] takes this model's confusions for 1 vs 20


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
    seed: int = 0
    output: Path


def run(request: Evaluation, note: Callable[[str], None] = lambda sentence: None) -> list[dict[str, Any]]:
    """The summary of each model, written to its folder as soon as it is complete; `note` is called with warnings.

    Raises RequestError for a wrong request, before anything is written, and RunError if the run fails.
    """
    checked_seed(request.seed)
    _check_labels(request)
    models = request.models
    photo_set = read_photos(request.data, request.groups, models.vocabulary)
    if request.labels == "20" and request.confusing is None:
        space = _confusing(request, photo_set)
    elif request.labels == "20":
        space = load_confusing(request.confusing, models.vocabulary, sorted(photo_set.classes))
    else:
        space = own_classes(list(photo_set.classes)) if request.labels == "45" else models.vocabulary.every_label
    output_folder(request.output)
    documents = []
    for k, folder in enumerate(result_folders(request.output, models.specs)):
        began, model = perf_counter(), models.load(k)
        scored = models.run(photo_set, model, space)
        predictions = predict(photo_set, scored, space)
        settings = {
            **models.settings(model),
            "labels": space.name,
            "label_sets": {"truth_added": list(space.added), **space.settings},
            "data": str(request.data),
            "groups": request.groups,
            "folders": {str(index): folder for index, folder in photo_set.classes.items()},
            "skipped": [{"path": path, "reason": reason} for path, reason in scored.encoded.unreadable.items()],
            "unanswered": int((predictions.predicted == NO_ANSWER).sum()),
            "image_passes": scored.encoded.passes,
            "seconds": round(perf_counter() - began, 3),
            **scored.settings,
        }
        document = summarise("evaluate", model.spec, model.family, predictions, settings, request.seed)
        write_result(folder, document, predictions)
        for sentence in _warnings(model, settings):
            note(sentence)
        documents.append(document)
    if space.name == "20":
        note(
            f"1 vs 20 is an oracle label space; the true label had to be added for {len(space.added)} of "
            f"{len(space.allowed or {})} classes"
        )
    return documents


def _check_labels(request: Evaluation) -> None:
    for flag in ("confusing", "reference", "reference_weights"):
        if getattr(request, flag) is not None and request.labels != "20":
            raise RequestError(
                f"--{flag.replace('_', '-')} goes with --labels 20, not {request.labels or 'all labels'}"
            )
    if request.labels in (("own",) if request.models.vocabulary.imagenet else ("1000", "45")):
        raise RequestError(
            f"--labels own goes with --classes FILE, 1000 and 45 go without; not --labels {request.labels}"
        )


def _confusing(request: Evaluation, photo_set: PhotoSet) -> LabelSpace:
    """The 1 vs 20 sets of the reference model, written to confusing.json. It runs like the others."""
    weights = request.reference_weights
    config = replace(
        request.models,
        models=[request.reference or REFERENCE],
        weights=None if weights is None else [weights],
        quick_gelu="auto",
        ema=None,
        language=False,
    )
    output_folder(request.output)
    model = config.load()
    space = confusing_space(config.run(photo_set, model))
    origin = {"model": model.spec, "weights_hash": model.settings["weights_hash"], "prompts": config.prompts}
    save_confusing(request.output / "confusing.json", space, config.vocabulary, origin)
    return space


def _warnings(model: LoadedModel | LanguageModel, settings: dict[str, Any]) -> list[str]:
    found = []
    if settings["unanswered"]:
        found.append(f"{model.spec} has no finite score for {settings['unanswered']} photos, which count as wrong")
    if settings.get("phrases_cut"):
        found.append(f"{settings['phrases_cut']} prompts exceed {model.spec}'s context length and were truncated")
    if model.key is None:
        found.append(f"{model.spec} contains code of unknown version; its features are not cached")
    return found


def evaluate(
    model: Any,
    preprocess: Callable,
    tokenizer: Callable | None,
    data: Path | str | PhotoSet,
    *,
    prompts: str = "simple",
    names: str | Vocabulary = "open_clip",
    groups: str = PREFIX,
    runtime: Runtime | None = None,
) -> Predictions:
    """Predictions of any model on photos of any layout that `photos.read_photos` takes; nothing is cached.

    `metrics.summary(metrics.class_counts(...))` turns the answer into accuracies.
    """
    vocabulary = names if isinstance(names, Vocabulary) else imagenet(names)
    photo_set = data if isinstance(data, PhotoSet) else read_photos(Path(data), groups, vocabulary)
    module = model.eval() if isinstance(model, torch.nn.Module) else torch.nn.Module()
    if tokenizer is None:
        loaded = LoadedModel("ImageNet", module, model, preprocess)
    else:
        loaded = LoadedModel("CLIP", module, model.encode_image, preprocess, model.encode_text, tokenizer)
    scored = score_photos(photo_set, loaded, vocabulary, templates(prompts), runtime or Runtime())
    return predict(photo_set, scored, vocabulary.every_label)
