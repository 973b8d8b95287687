"""Scores stay with their photos, however many batches features come in."""

from functools import partialmethod

import numpy as np

from experiments.counteranimal.cache import FeatureCache
from experiments.counteranimal.encoding import Runtime, encode_photos
from experiments.counteranimal.labels import SIMPLE, LabelSpace, imagenet
from experiments.counteranimal.models import load_model
from experiments.counteranimal.photos.reading import read_tree
from experiments.counteranimal.scoring import confusing_space, predict, scorer


def test_batches_of_features_change_no_answer(tmp_path, tiny_clip, shared_tree, monkeypatch):
    model, tree = load_model(f"open_clip:local-dir:{tiny_clip}"), read_tree(shared_tree)
    (encoded,) = encode_photos(tree, [model], tmp_path, Runtime(workers=0))
    score = scorer(model, imagenet("open_clip"), SIMPLE, Runtime(), None)
    whole, sets = predict(tree, encoded, score, LabelSpace("1000")), confusing_space(tree, encoded, score)
    monkeypatch.setattr(FeatureCache, "read", partialmethod(FeatureCache.read, batch=3))
    parts = predict(tree, encoded, score, LabelSpace("1000"))
    assert len(whole.path) > 2 * 3
    assert (parts.path, parts.class_index.tolist()) == (whole.path, whole.class_index.tolist())
    # Products of other sizes round otherwise, and a few of 1000 labels may lie that near to each other.
    assert np.abs(parts.rank - whole.rank).max() <= 5
    np.testing.assert_allclose(parts.margin, whole.margin, atol=1e-6)
    assert confusing_space(tree, encoded, score).allowed == sets.allowed
