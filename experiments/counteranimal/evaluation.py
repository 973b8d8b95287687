"""Features of photos compared with labels: scores, predictions, sets of confusing labels."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from experiments.counteranimal.cache import cached_text, save_text
from experiments.counteranimal.dataset import Tree, read_tree
from experiments.counteranimal.encoding import Encoded, Runtime, encode_photos, identity
from experiments.counteranimal.labels import LabelSpace, class_names, confusing_labels, digest, templates
from experiments.counteranimal.metrics import Predictions
from experiments.counteranimal.models import LoadedModel, activations, weights_hash
from experiments.errors import RequestError, RunError

TEXT_BATCH = 256  # texts a forward pass


def text_features(
    model: LoadedModel,
    names: Sequence[str],
    prompts: Sequence[str],
    runtime: Runtime,
    cache: Path | None = None,
    advance: Callable[[int], None] = lambda names: None,
) -> Float[np.ndarray, "U d"]:
    """Unit text embedding of each name: normalise each template's, average, normalise again."""
    key = identity(model, runtime) | {"names": digest(names), "prompts": digest(prompts)}
    file, found = cached_text(cache, key) if cache else (None, None)
    if found is not None:
        return found
    model.module.to(runtime.device)
    rows = []
    step = max(1, TEXT_BATCH // len(prompts))
    for start in range(0, len(names), step):
        batch = names[start : start + step]
        tokens = model.tokenizer([prompt.format(name) for name in batch for prompt in prompts]).to(runtime.device)
        with torch.inference_mode(), runtime.autocast():
            embedding = torch.nn.functional.normalize(model.encode_text(tokens), dim=-1)
        mean = embedding.float().reshape(len(batch), len(prompts), -1).mean(dim=1)
        rows.append((mean / mean.norm(dim=-1, keepdim=True)).cpu().numpy())
        advance(len(batch))
    text = np.concatenate(rows)
    if file is not None:
        save_text(file, text)
    return text


class Scorer:
    """Image features -> scores of the 1000 labels: cosines of a CLIP, logits of a classifier.

    Labels with the same name share one text embedding and one column of the product, so they tie exactly;
    computed apart they would differ by rounding and the winner would depend on the processor.
    """

    def __init__(self, names: Sequence[str] | None, text: Float[np.ndarray, "U d"] | None):
        self._text = None if text is None else torch.from_numpy(text.T.copy())
        unique = list(dict.fromkeys(names)) if names else []
        self._columns = np.array([unique.index(name) for name in names]) if names else None

    def __call__(self, features: Float[np.ndarray, "N d"]) -> Float[np.ndarray, "N L"]:
        if self._text is None:
            return features
        return (torch.from_numpy(features) @ self._text).numpy()[:, self._columns]


def scorer(
    model: LoadedModel,
    names: Sequence[str],
    prompts: Sequence[str],
    runtime: Runtime,
    cache: Path | None,
    advance: Callable[[int], None] = lambda names: None,
) -> Scorer:
    """The scorer of a model for class names and prompt templates, which a classifier does not look at."""
    if model.encode_text is None:
        return Scorer(None, None)
    unique = list(dict.fromkeys(names))
    return Scorer(names, text_features(model, unique, prompts, runtime, cache, advance))


def rank_labels(
    scores: Float[np.ndarray, "N L"], truth: Int[np.ndarray, " N"], space: LabelSpace
) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """(predicted label, rank of the true one, its margin over the best other) among the labels that compete.

    Ties go to the lower index, so rank 1 and predicted = truth mean the same. The margin of a tie is 0.
    """
    mask = space.mask(truth)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    rows = np.arange(len(truth))
    true = scores[rows, truth][:, None]
    earlier = np.arange(scores.shape[1]) < truth[:, None]
    rank = 1 + ((scores > true) | ((scores == true) & earlier)).sum(axis=1)
    others = scores.copy()
    others[rows, truth] = -np.inf
    return scores.argmax(axis=1), rank, (true[:, 0] - others.max(axis=1)).astype(np.float64)


def predict(tree: Tree, encoded: Encoded, score: Scorer, space: LabelSpace) -> Predictions:
    """Answers for every readable photo, in the order of the tree."""
    photos = [photo for photo in tree.photos if photo.path in encoded.keys]
    truth = np.array([photo.class_index for photo in photos], dtype=np.int64)
    parts, start = [], 0
    for features in encoded.cache.read([encoded.keys[photo.path] for photo in photos]):
        parts.append(rank_labels(score(features), truth[start : start + len(features)], space))
        start += len(features)
    if not parts:
        raise RunError(f"none of the {len(tree.photos)} photos in {str(tree.root)!r} could be read")
    predicted, rank, margin = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Predictions(
        tuple(photo.path for photo in photos),
        truth,
        np.array([photo.group == "common" for photo in photos]),
        tuple(photo.background for photo in photos),
        predicted,
        rank,
        margin,
    )


def confusing_space(tree: Tree, encoded: Encoded, score: Scorer) -> LabelSpace:
    """1 vs 20 label sets from a reference model's features: labels of highest mean cosine over a class's photos."""
    paths = [photo for photo in tree.photos if photo.path in encoded.keys]
    classes = sorted({photo.class_index for photo in paths})
    row = {index: r for r, index in enumerate(classes)}
    total = np.zeros((len(classes), 1000))
    count = np.zeros(len(classes))
    start = 0
    for features in encoded.cache.read([encoded.keys[photo.path] for photo in paths]):
        where = [row[photo.class_index] for photo in paths[start : start + len(features)]]
        np.add.at(total, where, score(features).astype(np.float64))
        np.add.at(count, where, 1)
        start += len(features)
    return confusing_labels(total / count[:, None], classes)


def evaluate(
    model: Any,
    preprocess: Callable,
    tokenizer: Callable | None,
    data: Path | str | Tree,
    *,
    prompts: str = "simple",
    names: str | Sequence[str] = "open_clip",
    space: LabelSpace | None = None,
    runtime: Runtime | None = None,
    cache: Path | None = None,
) -> Predictions:
    """Predictions of any model on a CounterAnimal tree.

    A CLIP has encode_image and encode_text and comes with a tokenizer (list of strings -> token ids); without
    one `model` maps pixels to the 1000 ImageNet-1k logits. `metrics.summary(metrics.class_counts(...))` turns
    the answer into accuracies. Features are kept only if a cache folder is given.
    """
    tree = data if isinstance(data, Tree) else read_tree(Path(data))
    runtime = runtime or Runtime()
    is_clip = tokenizer is not None
    if isinstance(model, torch.nn.Module):
        model.eval()
        settings = {"weights_hash": weights_hash(model), "activation": activations(model)}
    elif cache is not None:
        raise RequestError("a model that is no torch.nn.Module has no weights to key a cache by; leave cache out")
    else:
        settings = {"weights_hash": "", "activation": "unknown"}
    module = model if isinstance(model, torch.nn.Module) else _Unmoved()
    loaded = LoadedModel(
        type(model).__name__,
        "CLIP" if is_clip else "ImageNet",
        module,
        model.encode_image if is_clip else model,
        preprocess,
        model.encode_text if is_clip else None,
        tokenizer,
        settings,
    )
    labels = class_names(names) if isinstance(names, str) else tuple(names)
    with TemporaryDirectory() if cache is None else nullcontext(cache) as folder:
        encoded = encode_photos(tree, [loaded], Path(folder), runtime)[0]
        score = scorer(loaded, labels, templates(prompts) if is_clip else (), runtime, cache)
        return predict(tree, encoded, score, space or LabelSpace("1000"))


class _Unmoved:
    """Stands in for the module of a plain callable, which looks after its own device."""

    def to(self, device: str) -> None:
        pass
