"""Features of photos compared with labels: scores, predictions, sets of confusing labels."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from experiments.counteranimal.cache import cached_text, save_text
from experiments.counteranimal.encoding import Encoded, Runtime, failures, identity, refuse_other_labels
from experiments.counteranimal.labels import LabelSpace, Vocabulary, confusing_labels
from experiments.counteranimal.loaded import Model
from experiments.counteranimal.metrics import Predictions
from experiments.counteranimal.photos.tree import Photo, Tree
from experiments.errors import RunError

TEXT_BATCH = 256  # texts a forward pass
NO_ANSWER = -1  # predicted index of a photo whose scores are not finite; it counts as wrong


def text_features(
    model: Model,
    phrases: Sequence[Sequence[str]],
    runtime: Runtime,
    cache: Path | None = None,
    advance: Callable[[int], None] = lambda labels: None,
) -> tuple[Float[np.ndarray, "U d"], int]:
    """(Unit text embedding of each label, number of phrases that are longer than the model reads).

    Normalise each of a label's phrases', average, normalise again. They are kept under what the model was loaded from
    and the phrases; where that may change unseen under the tokens, so the key holds all that the tokenizer does.
    Raises RunError if some are not finite.
    """
    file, found = None, None
    if model.origin is not None:
        file, found = _kept(model, runtime, cache, {"origin": model.origin, "phrases": phrases})
    if found is not None:
        return found
    model = model.ready()
    batches = list(_batches(phrases))
    tokens = [model.tokenizer([phrase for label in batch for phrase in label]) for batch in batches]
    if model.origin is None:
        listed = {"tokens": _hashed(tokens), "prompts": [len(label) for label in phrases]}
        file, found = _kept(model, runtime, cache, listed)
        if found is not None:
            return found
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
    cut = sum(_cut(model.tokenizer, batch, ids) for batch, ids in zip(batches, tokens, strict=True))
    if file is not None:
        save_text(file, text, cut)
    return text, cut


def _batches(phrases: Sequence[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    """Labels whose phrases fill a forward pass together; a label is never cut."""
    batch: list[Sequence[str]] = []
    for label in phrases:
        if batch and sum(map(len, batch)) + len(label) > TEXT_BATCH:
            yield batch
            batch = []
        batch.append(label)
    if batch:
        yield batch


def _cut(tokenizer: Callable, batch: Sequence[Sequence[str]], ids: torch.Tensor) -> int:
    """How many phrases fill all that the model reads, so that further words change no token."""
    empty = tokenizer([""])
    padded = ids.shape[1:] == empty.shape[1:]  # to a fixed length: only rows without padding can be cut
    flat = [phrase for label in batch for phrase in label]
    full = [i for i in range(len(flat)) if not padded or ids[i].flatten()[-1] != empty.flatten()[-1]]
    if not full:
        return 0
    longer = tokenizer([f"{flat[i]} and more" for i in full])
    return int((longer == ids[full]).flatten(1).all(dim=1).sum()) if longer.shape[1:] == ids.shape[1:] else 0


def _hashed(tokens: Sequence[torch.Tensor]) -> str:
    hashed = sha256()
    for ids in tokens:
        hashed.update(f"{ids.dtype} {tuple(ids.shape)}\n".encode())
        hashed.update(np.ascontiguousarray(ids.numpy()))
    return hashed.hexdigest()


def _kept(
    model: Model, runtime: Runtime, cache: Path | None, text: dict[str, Any]
) -> tuple[Path | None, tuple[Float[np.ndarray, "U d"], int] | None]:
    """(file where these phrases' embeddings are or shall be kept, what is in it), None for neither."""
    key = identity(model, runtime)
    return (None, None) if cache is None or key is None else cached_text(cache, key | text)


class Scorer:
    """Image features -> scores of the labels: cosines of a CLIP, logits of a classifier.

    Labels with the same phrases share one text embedding and one column of the product, so they tie exactly;
    computed apart they would differ by rounding and the winner would depend on the processor.
    """

    def __init__(
        self,
        labels: int,
        text: Float[np.ndarray, "U d"] | None = None,
        columns: Sequence[int] = (),
        cut: int = 0,
        spec: str = "",
    ):
        self.labels, self.spec = labels, spec
        self.cut = cut  # phrases that are longer than the model reads
        self._text = None if text is None else torch.from_numpy(text.T.copy())
        self._columns = np.array(columns, dtype=np.int64)  # of each label, its row of `text`

    def __call__(self, features: Float[np.ndarray, "N d"]) -> Float[np.ndarray, "N L"]:
        if self._text is None:
            refuse_other_labels(self.spec, features.shape[1:], self.labels)
            return features
        return (torch.from_numpy(features) @ self._text).numpy()[:, self._columns]


def scorer(
    model: Model,
    vocabulary: Vocabulary,
    prompts: Sequence[str],
    runtime: Runtime,
    cache: Path | None,
    advance: Callable[[int], None] = lambda labels: None,
) -> Scorer:
    """The scorer of a model for labels and prompt templates, which a classifier does not look at."""
    if model.family != "CLIP":
        return Scorer(len(vocabulary.names), spec=model.spec)
    phrases = vocabulary.phrases(prompts)
    unique = {label: row for row, label in enumerate(dict.fromkeys(phrases))}
    text, cut = text_features(model, list(unique), runtime, cache, advance)
    return Scorer(len(phrases), text, [unique[label] for label in phrases], cut)


def rank_labels(
    scores: Float[np.ndarray, "N L"], truth: Int[np.ndarray, " N"], space: LabelSpace
) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """(predicted label, rank of the true one, its margin over the best other) among the labels that compete.

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


def scored(tree: Tree, encoded: Encoded, score: Scorer) -> Iterator[tuple[list[Photo], Float[np.ndarray, "N L"]]]:
    """The readable photos in the order of the tree, a batch at a time, with their scores."""
    photos = [photo for photo in tree.photos if photo.path in encoded.keys]
    start = 0
    for features in encoded.cache.read([encoded.keys[photo.path] for photo in photos]):
        yield photos[start : start + len(features)], score(features)
        start += len(features)


def predict(tree: Tree, encoded: Encoded, score: Scorer, space: LabelSpace) -> Predictions:
    """Answers for every readable photo, in the order of the tree; raises RunError as `ranked` does."""
    return ranked(tree, scored(tree, encoded, score), space)


def ranked(
    tree: Tree, batches: Iterable[tuple[list[Photo], Float[np.ndarray, "N L"]]], space: LabelSpace
) -> Predictions:
    """Answers for photos that come with scores of all labels.

    Raises RunError if there are none, since no photo could be read, or none with a finite score.
    """
    photos: list[Photo] = []
    parts = []
    for some, scores in batches:
        parts.append(rank_labels(scores, np.array([photo.class_index for photo in some], dtype=np.int64), space))
        photos += some
    if not parts:
        raise RunError(f"none of the {len(tree.photos)} photos in {str(tree.root)!r} could be read")
    predicted, rank, margin = (np.concatenate(column) for column in zip(*parts, strict=True))
    if (predicted == NO_ANSWER).all():
        raise RunError(f"the model has no finite score for any of {len(photos)} photos; look at its weights")
    return answered(tree, photos, predicted, rank, margin)


def answered(
    tree: Tree,
    photos: Sequence[Photo],
    predicted: Int[np.ndarray, " N"],
    rank: Int[np.ndarray, " N"] | None = None,
    margin: Float[np.ndarray, " N"] | None = None,
) -> Predictions:
    """Answers beside what is known of the photos of a tree that they are about."""
    return Predictions(
        tuple(photo.path for photo in photos),
        np.array([photo.class_index for photo in photos], dtype=np.int64),
        np.array([photo.group == "common" for photo in photos]),
        tuple(photo.background for photo in photos),
        predicted,
        rank,
        margin,
        tuple(photo.object for photo in photos) if any(photo.object for photo in photos) else None,
        tree.grouped,
    )


def confusing_space(tree: Tree, encoded: Encoded, score: Scorer) -> LabelSpace:
    """1 vs 20 label sets from a reference model's features: labels of highest mean cosine over a class's photos.

    Photos without finite scores are left out. Raises RunError for a class that has no others.
    """
    classes = sorted({photo.class_index for photo in tree.photos if photo.path in encoded.keys})
    row = {index: r for r, index in enumerate(classes)}
    total = np.zeros((len(classes), score.labels))
    count = np.zeros(len(classes))
    for photos, scores in scored(tree, encoded, score):
        where = np.array([row[photo.class_index] for photo in photos])
        scores = scores.astype(np.float64)
        finite = np.isfinite(scores).all(axis=1)
        np.add.at(total, where[finite], scores[finite])
        np.add.at(count, where[finite], 1)
    if (count == 0).any():
        raise RunError(f"the reference model has no finite score for class {classes[int(count.argmin())]}")
    return confusing_labels(total / count[:, None], classes)
