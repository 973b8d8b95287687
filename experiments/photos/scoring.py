"""Scores of labels from features of photos; predictions, and sets of confusing labels, from
scores.
"""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from experiments.errors import RequestError, RunError
from experiments.photos.encoding import Encoded, FeatureCache, autocast, encode_photos, failures
from experiments.photos.labels import CONFUSING, LabelSpace
from experiments.photos.model import LoadedModel
from experiments.photos.options import Options
from experiments.photos.photos import PhotoSet
from simulator.progress import counting

TEXT_BATCH = 256  # texts per forward pass
NO_ANSWER = -1  # predicted index of a photo whose scores are not finite; it counts as wrong


def score_photos(
    photo_set: PhotoSet, model: LoadedModel, options: Options, space: LabelSpace | None = None
) -> Encoded:
    """Scores of all labels, 0 for those that do not compete; a classifier ignores the prompts."""
    encoded = encode_photos(photo_set, model, options)
    if not model.embeds_text:
        return encoded._replace(settings={"phrases_cut": 0})
    phrases = options.vocabulary.phrases(options.templates)
    space = space or options.vocabulary.every_label
    labels = sorted({k for index in photo_set.classes for k in space.of(index, len(phrases))})
    # Labels with the same phrases share one column of the product, so they tie exactly, not up to
    # rounding.
    distinct = {label: row for row, label in enumerate(dict.fromkeys(phrases[k] for k in labels))}
    text, truncated = text_features(model, list(distinct), options)
    if text.shape[1] != encoded.features.shape[1]:
        both = f"photos in {encoded.features.shape[1]} dimensions and texts in {text.shape[1]}"
        raise RequestError(f"{model.spec} embeds {both}; expected one space")
    cosines = (torch.from_numpy(encoded.features) @ torch.from_numpy(text.T.copy())).numpy()
    scores = np.zeros((len(cosines), len(phrases)), dtype=np.float32)
    scores[:, labels] = cosines[:, [distinct[phrases[k]] for k in labels]]
    return encoded._replace(scores=scores, settings={"phrases_cut": truncated})


def text_features(
    model: LoadedModel, phrases: Sequence[Sequence[str]], options: Options
) -> tuple[Float[np.ndarray, "U d"], int]:
    """(unit text embedding of each label, from the mean over its phrases; number of truncated
    phrases).
    """
    tokens = [model.tokenizer(list(label)) for label in phrases]
    truncated = 0
    for label, ids in zip(phrases, tokens, strict=True):
        # the same tokens for a truncated phrase
        longer = model.tokenizer([f"{phrase} and more" for phrase in label])
        truncated += (
            int((longer == ids).flatten(1).all(dim=1).sum()) if longer.shape == ids.shape else 0
        )
    # Keys hold the tokens, so a changed tokenizer computes embeddings again.
    keys = [(f"text {sha256(ids.numpy().tobytes()).hexdigest()}", len(ids), 0) for ids in tokens]
    store = FeatureCache(options, model.key)
    with counting("prompts", len(phrases), "labels/s") as advance, failures(options):
        model.module.to(options.device)
        missing = [k for k, key in enumerate(keys) if key not in store.rows]
        size = max(1, TEXT_BATCH // max(map(len, tokens)))
        for start in range(0, len(missing), size):
            batch = missing[start : start + size]
            ids = model.tokenizer([phrase for k in batch for phrase in phrases[k]]).to(
                options.device
            )
            with torch.inference_mode(), autocast(options):
                embedding = torch.nn.functional.normalize(model.encode_text(ids), dim=-1).float()
            mean = torch.stack(
                [part.mean(dim=0) for part in embedding.split([len(tokens[k]) for k in batch])]
            )
            store.add(
                [keys[k] for k in batch], (mean / mean.norm(dim=-1, keepdim=True)).cpu().numpy()
            )
            advance(len(batch))
    text = np.stack([store.rows[key] for key in keys])
    finite = np.isfinite(text).all(axis=1)
    if not finite.all():
        lost = (
            f"{(~finite).sum()} of {len(phrases)} labels, the first is"
            f" {phrases[int(finite.argmin())][0]!r}"
        )
        check = f"check its weights, or --precision {options.precision}"
        raise RunError(f"{model.spec} has no finite embedding for {lost}; {check}")
    return text, truncated


def predict(scored: Encoded, space: LabelSpace) -> pd.DataFrame:
    """The rows of predictions.csv for the readable photos. Raises RunError if no photo has a finite
    score.

    Ties go to the lower index. A photo with a score that is not finite has NO_ANSWER, the last rank
    and margin nan.
    """
    photos = scored.photos
    scores = scored.scores
    truth = scored.photos.class_index.to_numpy()
    answered = np.isfinite(scores).all(axis=1)
    if not answered.any():
        raise RunError(
            f"the model has no finite score for any of {len(photos)} photos; check its weights"
        )
    mask = space.mask(truth, scores.shape[1])
    scores = np.where(mask, scores, -np.inf)
    rows = np.arange(len(truth))
    true = scores[rows, truth][:, None]
    earlier = np.arange(scores.shape[1]) < truth[:, None]
    rank = 1 + ((scores > true) | ((scores == true) & earlier)).sum(axis=1)
    others = scores.copy()
    others[rows, truth] = -np.inf
    with np.errstate(invalid="ignore"):
        margin = (true[:, 0] - others.max(axis=1)).astype(np.float64)
    table = photos.assign(
        predicted_index=np.where(answered, scores.argmax(axis=1), NO_ANSWER),
        rank=np.where(answered, rank, mask.sum(axis=1)),
        margin=np.where(answered, margin, np.nan),
    )
    return table if any(table.object) else table.drop(columns="object")


def confusing_space(scored: Encoded) -> LabelSpace:
    """1 vs 20: for each true class the labels of highest mean cosine over its photos, and the true
    label.
    """
    finite = np.isfinite(scored.scores).all(axis=1)
    truth = scored.photos.class_index.to_numpy()
    allowed = {}
    added = []
    for index in sorted(set(truth.tolist())):
        rows = scored.scores[finite & (truth == index)]
        if not len(rows):
            raise RunError(f"the reference model has no finite score for class {index}")
        best = np.argsort(-rows.mean(axis=0, dtype=np.float64), kind="stable")[:CONFUSING].tolist()
        if index not in best:
            best.append(index)
            added.append(index)
        allowed[index] = tuple(best)
    return LabelSpace(str(CONFUSING), allowed, tuple(added))
