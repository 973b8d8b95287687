"""Scores stay with their photos, however many batches features come in."""

import numpy as np

from experiments.counteranimal import scoring
from experiments.counteranimal.encoding import Runtime, encode_photos
from experiments.counteranimal.labels import SIMPLE, LabelSpace, imagenet
from experiments.counteranimal.models import load_model
from experiments.counteranimal.reading import read_photos
from experiments.counteranimal.scoring import confusing_space, predict, scored, scorer, text_features


def test_prompts_longer_than_the_model_reads_are_counted(tmp_path, tiny_clip):
    """The tiny tower reads 16 tokens, two of which begin and end a text."""
    model = load_model(f"open_clip:local-dir:{tiny_clip}")
    phrases = [["a cat"], ["a " * 13 + "cat", "a " * 14 + "cat"], ["a " * 40]]
    text, cut = text_features(model, phrases, Runtime(), tmp_path)
    assert (text.shape, cut) == ((3, 16), 3)  # the second fills it: it is read to its last word, and no further
    assert text_features(model, phrases, Runtime(), tmp_path)[1] == 3  # as it was kept


def test_batches_of_features_change_no_answer(tmp_path, tiny_clip, shared_tree, monkeypatch):
    model, tree = load_model(f"open_clip:local-dir:{tiny_clip}"), read_photos(shared_tree)
    encoded = encode_photos(tree, model, tmp_path, Runtime(workers=0))
    score = scorer(model, imagenet("open_clip"), SIMPLE, Runtime(), None)
    whole, sets = predict(tree, scored(encoded, score), LabelSpace("1000")), confusing_space(encoded, score)
    monkeypatch.setattr(scoring, "PHOTO_BATCH", 3)
    parts = predict(tree, scored(encoded, score), LabelSpace("1000"))
    assert len(whole.path) > 2 * 3
    assert (parts.path, parts.class_index.tolist()) == (whole.path, whole.class_index.tolist())
    # Products of other sizes round differently, and a few of 1000 labels may lie that near to each other.
    assert np.abs(parts.rank - whole.rank).max() <= 5
    np.testing.assert_allclose(parts.margin, whole.margin, atol=1e-6)
    assert confusing_space(encoded, score).allowed == sets.allowed
