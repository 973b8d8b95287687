"""Evaluation of models on photos: several by name (command line), or one Python object.

An evaluation writes predictions.csv; everything else in a result is computed from the predictions.
"""

from collections.abc import Callable
from dataclasses import replace
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

REFERENCE = "published:CLIP-LAION400M-ViT/B/32"  # [W] takes the 20 labels of 1 vs 20 from this model


def run(
    *,
    data: Path,
    models: ModelConfig,
    groups: str = PREFIX,
    labels: Literal["1000", "20", "45", "own"] | None = None,
    confusing: Path | None = None,
    reference: str | None = None,
    reference_weights: Path | None = None,
    seed: int = 0,
    output: Path,
    note: Callable[[str], None] = lambda sentence: None,
) -> list[dict[str, Any]]:
    """The summary of each model, written below `output` as soon as it is complete; `note` is called with warnings.

    All labels compete by default. Raises RequestError for a wrong request, before anything is written, and RunError if
    the run fails.
    """
    checked_seed(seed)
    vocabulary = models.vocabulary
    if labels != "20" and (confusing, reference, reference_weights) != (None, None, None):
        raise RequestError("--confusing, --reference and --reference-weights need --labels 20")
    if labels in (("own",) if vocabulary.imagenet else ("1000", "45")):
        raise RequestError(f"--labels own needs --classes FILE, 1000 and 45 exclude it; got --labels {labels}")
    photo_set = read_photos(data, groups, vocabulary)
    if labels == "20" and confusing is not None:
        space = load_confusing(confusing, vocabulary, sorted(photo_set.classes))
    elif labels == "20":
        weights = None if reference_weights is None else [reference_weights]
        config = replace(
            models, models=[reference or REFERENCE], weights=weights, quick_gelu="auto", ema=None, language=False
        )
        space = _confusing(config, photo_set, output_folder(output) / "confusing.json")
    else:
        space = own_classes(list(photo_set.classes)) if labels == "45" else vocabulary.every_label
    documents = []
    for k, folder in enumerate(result_folders(output_folder(output), models.specs)):
        began, model = perf_counter(), models.load(k)
        scored = models.run(photo_set, model, space)
        predictions = predict(photo_set, scored, space)
        settings = {
            **models.settings(model),
            "labels": space.name,
            "label_sets": {"truth_added": list(space.added), **space.settings},
            "data": str(data),
            "groups": groups,
            "folders": {str(index): folder for index, folder in photo_set.classes.items()},
            "skipped": [{"path": path, "reason": reason} for path, reason in scored.encoded.unreadable.items()],
            "unanswered": int((predictions.predicted == NO_ANSWER).sum()),
            "image_passes": scored.encoded.passes,
            "seconds": round(perf_counter() - began, 3),
            **scored.settings,
        }
        document = summarise("evaluate", model.spec, model.family, predictions, settings, seed)
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


def _confusing(config: ModelConfig, photo_set: PhotoSet, file: Path) -> LabelSpace:
    """The 1 vs 20 label sets of the reference model, also written to `file`."""
    model = config.load()
    space = confusing_space(config.run(photo_set, model))
    origin = {"model": model.spec, "weights_hash": model.settings["weights_hash"], "prompts": config.prompts}
    save_confusing(file, space, config.vocabulary, origin)
    return space


def _warnings(model: LoadedModel | LanguageModel, settings: dict[str, Any]) -> list[str]:
    sentences = []
    if settings["unanswered"]:
        sentences.append(f"{model.spec} has no finite score for {settings['unanswered']} photos, which count as wrong")
    if settings.get("phrases_cut"):
        sentences.append(f"{settings['phrases_cut']} prompts exceed {model.spec}'s context length and were truncated")
    if model.key is None:
        sentences.append(f"{model.spec} contains code of unknown version; its features are not cached")
    return sentences


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
    """Predictions of any model on photos in any layout; nothing is cached. Without a tokenizer it is a classifier.

    `metrics.summary(metrics.class_counts(...))` turns predictions into accuracies.
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
