"""Evaluation of models on photos: it writes predictions.csv, from which everything else in a result
is computed.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np

from experiments.errors import RequestError, checked_seed
from experiments.files import check_writable, output_folder, write_atomically, write_json
from experiments.heads.bundle import checked
from experiments.heads.reliance import answer
from experiments.photos.deciding import write_deciding
from experiments.photos.encoding import Encoded
from experiments.photos.labels import digest, own_classes
from experiments.photos.language_models import LanguageModel
from experiments.photos.models import Model, load, resolve, score, settings_of
from experiments.photos.options import Options
from experiments.photos.photos import PREFIX, PhotoSet, has_groups, read_photos
from experiments.photos.scoring import NO_ANSWER, confusing_space, predict, text_features
from experiments.photos.summaries import result_folders, summarise

# [W] takes the 20 labels of 1 vs 20 from this model
REFERENCE = "published:CLIP-LAION400M-ViT/B/32"
# Heads are measured in passing for so many photos x dimensions x classes, and for so many classes:
# about three minutes.
MOST_NUMBERS, MOST_CLASSES = 2_000_000_000, 200


def run(
    *,
    data: Path,
    models: Sequence[str],
    weights: Sequence[Path] | None = None,
    options: Options,
    groups: str = PREFIX,
    labels: Literal["1000", "20", "45", "own"] | None = None,
    reference: str | None = None,
    embeddings: Path | None = None,
    seed: int = 0,
    output: Path,
    note: Callable[[str], None] = lambda sentence: None,
) -> list[dict[str, Any]]:
    """The summary of each model, written below `output` as soon as it is complete; `note` is called
    with warnings.
    """
    checked_seed(seed)
    chosen = resolve(models, weights, options)
    vocabulary = options.vocabulary
    if labels != "20" and reference is not None:
        raise RequestError("--reference needs --labels 20")
    if labels in (("own",) if vocabulary.imagenet else ("1000", "45")):
        raise RequestError(
            f"--labels own needs --classes FILE, 1000 and 45 exclude it; got --labels {labels}"
        )
    check_writable(output)
    folders = result_folders(output, [spec for spec, _ in chosen])
    photo_set = read_photos(data, groups, vocabulary)
    if embeddings is not None:
        _check_file(embeddings, [spec for spec, _ in chosen])
        _check_independent(photo_set)
    if labels == "20":
        usual = options.model_copy(update={"quick_gelu": "auto"})
        ((spec, _),) = resolve([reference or REFERENCE], None, usual)
        model = load(spec, None, usual)
        space = confusing_space(score(photo_set, model, usual))
        origin = {
            "model": model.spec,
            "weights_hash": model.settings["weights_hash"],
            "prompts": options.prompts,
        }
        record = {
            "class_names": vocabulary.source,
            "class_names_digest": digest(vocabulary.names),
            "reference": origin,
        }
        record |= {"added": list(space.added), "labels": space.allowed}
        write_json(output_folder(output) / "confusing.json", record)
    else:
        space = own_classes(photo_set.classes) if labels == "45" else vocabulary.every_label
    documents = []
    for folder, (spec, file) in zip(folders, chosen, strict=True):
        began = perf_counter()
        model = load(spec, file, options)
        scored = score(photo_set, model, options, space)
        predictions = predict(scored, space)
        about = {"source": "evaluate", "model": model.spec, "family": model.family, "seed": seed}
        settings = about | settings_of(model, options)
        every = {"labels_per_class": len(photo_set.classes)} if labels == "45" else {}
        settings |= {
            "labels": space.name,
            "label_sets": {"truth_added": list(space.added), **every},
            "data": str(data),
            "groups": groups,
            "folders": {str(index): folder for index, folder in photo_set.classes.items()},
            "skipped": scored.skipped,
            "unanswered": int((predictions.predicted_index == NO_ANSWER).sum()),
            "image_passes": scored.passes,
            "seconds": round(perf_counter() - began, 3),
            **scored.settings,
        }
        arrays, place = _place(model, options, scored, photo_set, seed)
        settings |= place
        if has_groups(photo_set.photos):
            settings["picture"] = str(
                write_deciding(output_folder(folder), photo_set, predictions, vocabulary.names)
            )
        documents.append(summarise(predictions, settings, folder))
        if embeddings is not None:
            output_folder(embeddings.parent)
            write_atomically(embeddings, partial(_save, arrays=arrays))
        if settings["unanswered"]:
            note(
                f"{model.spec} has no finite score for {settings['unanswered']} photos, which count"
                " as wrong"
            )
        if settings.get("phrases_cut"):
            note(
                f"{settings['phrases_cut']} prompts exceed {model.spec}'s context length and were"
                " truncated"
            )
        if model.key is None:
            note(f"features of {model.spec} are not cached, since its code may change")
    if space.name == "20":
        note(
            "1 vs 20 is an oracle label space; the true label had to be added for"
            f" {len(space.added)} of {len(space.allowed or {})} classes"
        )
    return documents


def _check_file(file: Path, specs: Sequence[str]) -> None:
    if len(specs) > 1:
        raise RequestError(
            f"--embeddings {str(file)!r} holds one model, and {len(specs)} are given"
        )
    if specs[0].startswith("lvlm:"):
        raise RequestError(f"--embeddings needs a model with embeddings, and {specs[0]} has none")
    if file.suffix.lower() != ".npz" or file.exists():
        wrong = "exists; name another" if file.exists() else "is not named .npz"
        raise RequestError(f"--embeddings {str(file)!r} {wrong}")
    check_writable(file.parent)


def _check_independent(photo_set: PhotoSet) -> None:
    """Refuse photos whose embeddings `soberclip embeddings` does not read."""
    if not has_groups(photo_set.photos):
        raise RequestError(
            f"embeddings need common and counter photos, and {str(photo_set.root)!r} has no groups"
        )
    if any(photo_set.photos.object):
        shared = f"the composites in {str(photo_set.root)!r} share their objects"
        raise RequestError(f"embeddings need independent photos, and {shared}")


def _embeddings(
    model: Model, options: Options, scored: Encoded, photo_set: PhotoSet
) -> dict[str, Any]:
    """The arrays that `soberclip embeddings` reads; labels are the photos' own classes in ascending
    order.
    """
    _check_independent(photo_set)
    if isinstance(model, LanguageModel):
        raise RequestError("a language model has no embeddings")
    classes = sorted(photo_set.classes)
    if model.embeds_text:
        every = options.vocabulary.phrases(options.templates)
        phrases: list[Sequence[str]] = [every[index] for index in classes]
        if len({len(label) for label in phrases}) == 1:  # every prompt by itself
            phrases = [[phrase] for label in phrases for phrase in label]
        text, _ = text_features(model, phrases, options)
        if len(phrases) > len(classes):
            text = text.reshape(len(classes), -1, text.shape[1])
    else:
        # a photo's embedding is the row of its scores, and a class's prompt is that class's own
        # score
        text = np.eye(scored.features.shape[1], dtype=np.float32)[classes]
    photos = scored.photos
    unnamed = photos.class_index.astype(str) + " " + photos.group
    return {
        "image": scored.features,
        "label": np.searchsorted(classes, photos.class_index),
        "group": photos.group.to_numpy(str),
        "background": photos.background.where(photos.background != "", unnamed).to_numpy(str),
        "text": text,
        "names": np.array([photo_set.classes[index] for index in classes]),
    }


def _place(
    model: Model, options: Options, scored: Encoded, photo_set: PhotoSet, seed: int
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The arrays, and the model's own head as `soberclip embeddings` measures it on them, or why it
    is unknown.
    """
    arrays = None
    try:
        arrays = _embeddings(model, options, scored, photo_set)
        if arrays["image"].shape[1] == 2 and not model.embeds_text:
            two = (
                "the scores of two labels are one number per photo, with no other heads to compare"
            )
            way = (
                "give the model encode_image and encode_text, or measure its features with"
                " soberclip embeddings"
            )
            raise RequestError(f"{two}; {way}")
        bundle = checked(arrays)
        if bundle.image.size * bundle.classes > MOST_NUMBERS or bundle.classes > MOST_CLASSES:
            N, D = bundle.image.shape
            long = f"{N:,} photos of {bundle.classes} classes in {D:,} dimensions take long"
            raise RequestError(
                f"{long}; write a file with --embeddings and run soberclip embeddings on it"
            )
        return arrays, {"equivalent": answer(bundle, seed)["heads"][0], "equivalent_lacks": None}
    except RequestError as error:
        return arrays, {"equivalent": None, "equivalent_lacks": str(error)}


def _save(path: Path, arrays: dict[str, Any]) -> None:
    with path.open("wb") as handle:  # by name numpy would add a suffix
        np.savez(handle, **arrays)
