"""Scores of labels from features of photos; predictions, and sets of confusing labels, from scores."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from experiments.counteranimal.cache import cached_text, model_folder, save_text
from experiments.counteranimal.encoding import Encoded, Runtime, check_score_count, failures
from experiments.counteranimal.labels import LabelSpace, Vocabulary, confusing_labels
from experiments.counteranimal.model import LoadedModel
from experiments.counteranimal.photos import Photo, PhotoSet
from experiments.counteranimal.predictions import Predictions
from experiments.errors import RunError

TEXT_BATCH = 256  # texts per forward pass
PHOTO_BATCH = 1024  # photos whose scores are in memory together
NO_ANSWER = -1  # predicted index of a photo whose scores are not finite; it counts as wrong


class Scorer:
    """Image features -> scores of the labels: cosines of a CLIP, scores of a classifier.

    Labels with the same phrases share one text embedding and one column of the product, so they tie exactly.
    Computed separately they would differ by rounding, and the winner would depend on the processor.
    """

    def __init__(
        self,
        labels: int,
        text: Float[np.ndarray, "U d"] | None = None,
        columns: Sequence[int] = (),
        truncated: int = 0,
        spec: str = "",
    ):
        self.labels, self.spec = labels, spec
        self.truncated = truncated  # phrases that are longer than the model reads
        self._text = None if text is None else torch.from_numpy(text.T.copy())
        self._columns = np.array(columns, dtype=np.int64)  # row of `text` of each label

    def __call__(self, features: Float[np.ndarray, "N d"]) -> Float[np.ndarray, "N L"]:
        if self._text is None:
            check_score_count(self.spec, features.shape[1:], self.labels)
            return features
        return (torch.from_numpy(features) @ self._text).numpy()[:, self._columns]


def scorer(
    model: LoadedModel,
    vocabulary: Vocabulary,
    prompts: Sequence[str],
    runtime: Runtime,
    cache: Path | None,
    advance: Callable[[int], None] = lambda labels: None,
) -> Scorer:
    """The scorer of a model for labels and prompt templates; a classifier ignores the templates."""
    if model.family != "CLIP":
        return Scorer(len(vocabulary.names), spec=model.spec)
    phrases = vocabulary.phrases(prompts)
    unique = {label: row for row, label in enumerate(dict.fromkeys(phrases))}
    text, truncated = text_features(model, list(unique), runtime, cache, advance)
    return Scorer(len(phrases), text, [unique[label] for label in phrases], truncated)


def text_features(
    model: LoadedModel,
    phrases: Sequence[Sequence[str]],
    runtime: Runtime,
    cache: Path | None = None,
    advance: Callable[[int], None] = lambda labels: None,
) -> tuple[Float[np.ndarray, "U d"], int]:
    """(Unit text embedding of each label, number of phrases that are longer than the model reads).

    Each label's embedding is the normalised mean of its phrases' normalised embeddings. The cache key holds the
    tokens, so a changed tokenizer computes them again. Raises RunError if an embedding is not finite.
    """
    batches = list(_batches(phrases))
    tokens = [model.tokenizer([phrase for label in batch for phrase in label]) for batch in batches]
    folder = model_folder(cache, runtime.identity(model.key))
    file = None if folder is None else folder / f"text-{_digest(tokens, phrases)}.safetensors"
    kept = None if file is None else cached_text(file)
    if kept is not None:
        return kept
    rows = []
    with failures(runtime):
        model.module.to(runtime.device)
        for batch, ids in zip(batches, tokens, strict=True):
            with torch.inference_mode(), runtime.autocast():
                embedding = torch.nn.functional.normalize(model.encode_text(ids.to(runtime.device)), dim=-1)
            parts = embedding.float().split([len(label) for label in batch])
            mean = torch.stack([part.mean(dim=0) for part in parts])
            rows.append((mean / mean.norm(dim=-1, keepdim=True)).cpu().numpy())
            advance(len(batch))
    text = np.concatenate(rows)
    finite = np.isfinite(text).all(axis=1)
    if not finite.all():
        raise RunError(
            f"{model.spec or 'the model'} has no finite embedding for {(~finite).sum()} of {len(phrases)} labels, the "
            f"first is {phrases[int(finite.argmin())][0]!r}; look at its weights, or at --precision {runtime.precision}"
        )
    truncated = sum(_truncated(model.tokenizer, batch, ids) for batch, ids in zip(batches, tokens, strict=True))
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_text(file, text, truncated)
    return text, truncated


def _batches(phrases: Sequence[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    """Labels whose phrases fill one forward pass; the phrases of a label stay together."""
    batch: list[Sequence[str]] = []
    for label in phrases:
        if batch and sum(map(len, batch)) + len(label) > TEXT_BATCH:
            yield batch
            batch = []
        batch.append(label)
    if batch:
        yield batch


def _truncated(tokenizer: Callable, batch: Sequence[Sequence[str]], ids: torch.Tensor) -> int:
    """How many phrases fill the model's context: further words change no token."""
    empty = tokenizer([""])
    padded = ids.shape[1:] == empty.shape[1:]  # to a fixed length: only rows without padding can be truncated
    flat = [phrase for label in batch for phrase in label]
    full = [i for i in range(len(flat)) if not padded or ids[i].flatten()[-1] != empty.flatten()[-1]]
    if not full:
        return 0
    longer = tokenizer([f"{flat[i]} and more" for i in full])
    return int((longer == ids[full]).flatten(1).all(dim=1).sum()) if longer.shape[1:] == ids.shape[1:] else 0


def _digest(tokens: Sequence[torch.Tensor], phrases: Sequence[Sequence[str]]) -> str:
    """A digest of the tokens and of how many phrases each label has."""
    hashed = sha256(repr([len(label) for label in phrases]).encode())
    for ids in tokens:
        hashed.update(f"{ids.dtype} {tuple(ids.shape)}\n".encode())
        hashed.update(np.ascontiguousarray(ids.numpy()))
    return hashed.hexdigest()[:32]


def rank_labels(
    scores: Float[np.ndarray, "N L"], truth: Int[np.ndarray, " N"], space: LabelSpace
) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """(predicted label, rank of the true one, its margin over the best other) among the competing labels.

    Ties go to the lower index, so rank 1 and predicted = truth mean the same. The margin of a tie is 0. A photo with
    a score that is not finite has no answer: predicted NO_ANSWER, the last rank, margin nan.
    """
    answered = np.isfinite(scores).all(axis=1)
    mask = space.mask(truth, scores.shape[1])
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    rows = np.arange(len(truth))
    true = scores[rows, truth][:, None]
    earlier = np.arange(scores.shape[1]) < truth[:, None]
    rank = 1 + ((scores > true) | ((scores == true) & earlier)).sum(axis=1)
    others = scores.copy()
    others[rows, truth] = -np.inf
    last = np.full(len(truth), scores.shape[1]) if mask is None else mask.sum(axis=1)
    with np.errstate(invalid="ignore"):
        margin = (true[:, 0] - others.max(axis=1)).astype(np.float64)
    return (
        np.where(answered, scores.argmax(axis=1), NO_ANSWER),
        np.where(answered, rank, last),
        np.where(answered, margin, np.nan),
    )


Scored = Iterable[tuple[Sequence[Photo], Float[np.ndarray, "N L"]]]


def scored(encoded: Encoded, score: Scorer) -> Scored:
    """The readable photos with their scores, in batches."""
    for start in range(0, len(encoded.photos), PHOTO_BATCH):
        part = slice(start, start + PHOTO_BATCH)
        yield encoded.photos[part], score(encoded.features[part])


def predict(photo_set: PhotoSet, batches: Scored, space: LabelSpace) -> Predictions:
    """Predictions for photos that come with scores of all labels.

    Raises RunError if no photo has a finite score.
    """
    photos: list[Photo] = []
    parts = []
    for some, scores in batches:
        parts.append(rank_labels(scores, np.array([photo.class_index for photo in some], dtype=np.int64), space))
        photos += some
    predicted, rank, margin = (np.concatenate(column) for column in zip(*parts, strict=True))
    if (predicted == NO_ANSWER).all():
        raise RunError(f"the model has no finite score for any of {len(photos)} photos; look at its weights")
    return Predictions(
        tuple(photo.path for photo in photos),
        np.array([photo.class_index for photo in photos], dtype=np.int64),
        np.array([photo.group == "common" for photo in photos]),
        tuple(photo.background for photo in photos),
        predicted,
        rank,
        margin,
        tuple(photo.object for photo in photos) if any(photo.object for photo in photos) else None,
        photo_set.grouped,
    )


def confusing_space(encoded: Encoded, score: Scorer) -> LabelSpace:
    """1 vs 20 label sets from a reference model: the labels of highest mean cosine over a class's photos.

    Photos without finite scores are left out. Raises RunError for a class that has no others.
    """
    classes = sorted({photo.class_index for photo in encoded.photos})
    row = {index: r for r, index in enumerate(classes)}
    total = np.zeros((len(classes), score.labels))
    count = np.zeros(len(classes))
    for photos, scores in scored(encoded, score):
        where = np.array([row[photo.class_index] for photo in photos])
        scores = scores.astype(np.float64)
        finite = np.isfinite(scores).all(axis=1)
        np.add.at(total, where[finite], scores[finite])
        np.add.at(count, where[finite], 1)
    if (count == 0).any():
        raise RunError(f"the reference model has no finite score for class {classes[int(count.argmin())]}")
    return confusing_labels(total / count[:, None], classes)
