"""Scores of labels per photo: cache, resumed runs, errors and predictions."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.errors import RequestError, RunError
from experiments.photos import language_models
from experiments.photos.labels import LabelSpace, own_classes
from experiments.photos.language_models import answer_tokens, plain_loss, score_labels
from experiments.photos.photos import read_photos
from experiments.photos.scoring import predict
from simulator.pixels.decoding import decode
from tests.experiments.conftest import here

NAMES = tuple(f"thing {i}" for i in range(31))  # class 30 of the tree is the last
SETS = LabelSpace("20", {9: (9, 3, 4), 10: (10, 9, 16, 1, 2), 16: (16, 9), 30: (30, 10, 16)})


@pytest.fixture
def score_all(model, tree, tmp_path):
    """Score the labels with the tiny LLaVA; (encoded, predictions, settings)."""

    def run(space=SETS, names=NAMES, one=None):
        (tmp_path / "names.csv").write_text("class,name\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names)))
        options = here(cache=tmp_path / "cache", classes=tmp_path / "names.csv")
        scored = score_labels(read_photos(tree), one or model("llava"), options, space)
        return scored.encoded, predict(scored, space), scored.settings

    return run


def test_predictions_are_those_of_the_plain_loop(model, tree, score_all):
    one = model("llava")
    encoded, predictions, settings = score_all()
    assert (encoded.passes, settings) == (32, {"score": language_models.SCORE})
    assert len(set(predictions.predicted_index)) > 2
    for k in range(0, 32, 5):
        labels = SETS.allowed[int(predictions.class_index[k])]
        image = decode(tree / predictions.path[k])
        ids, _ = answer_tokens(one.processor, one.prompt, [NAMES[label] for label in labels])
        score = -np.array([plain_loss(one, image, NAMES[i], answer) for i, answer in zip(labels, ids, strict=True)])
        assert predictions.predicted_index[k] == labels[int(score.argmax())]
        true = score[labels.index(int(predictions.class_index[k]))]
        assert predictions["rank"][k] == 1 + (score > true).sum()
        others = max(s for s, label in zip(score, labels, strict=True) if label != predictions.class_index[k])
        assert predictions.margin[k] == pytest.approx(true - others, abs=1e-5)


def test_the_cache_depends_on_labels_photo_question_model_and_precision(model, score_all, tree, monkeypatch):
    score_all()
    assert score_all(LabelSpace("20", {**SETS.allowed, 16: (16, 10)}))[0].passes == 11  # only photos of class 16
    renamed = list(NAMES)
    renamed[4] = "another"  # competes for class 9
    assert score_all(names=tuple(renamed))[0].passes == 9
    first = next((tree / "9 ostrich, Struthio camelus" / "common-ground").iterdir())
    first.touch()
    assert score_all()[0].passes == 1
    one = model("llava")
    assert score_all(one=replace(one, prompt=replace(one.prompt, before="")))[0].passes == 32
    assert score_all(one=replace(one, key="other"))[0].passes == 32
    assert score_all()[0].passes == 0


def test_labels_of_one_name_tie_exactly(score_all):
    names = list(NAMES)
    names[9] = names[4]
    _, predictions, *_ = score_all(names=tuple(names))
    ostriches = predictions.class_index == 9
    assert 9 not in set(predictions.predicted_index[ostriches])  # a tie goes to the lower index
    assert (predictions.margin[ostriches] <= 0).all()
    assert (predictions.margin[ostriches] == 0).any()
    _, own, *_ = score_all(own_classes([9, 10, 16, 30]))
    assert set(own.predicted_index) <= {9, 10, 16, 30}
    assert own["rank"].max() <= 4


def test_unreadable_and_refused_photos_are_left_out(score_all, tree, model, photo):
    folder = tree / "16 bulbul" / "counter-grass"
    (folder / "broken.jpg").write_bytes(b"no photo")
    photo(folder / "long.png", 0, (2100, 10))  # Qwen's processor refuses sides with ratio 200
    encoded, predictions, *_ = score_all(one=model("qwen2_vl"))
    assert [photo["path"].rpartition("/")[2] for photo in encoded.skipped] == ["broken.jpg", "long.png"]
    assert len(predictions.path) == 32
    for file in tree.glob("*/*/*"):
        file.write_bytes(b"no photo")
    with pytest.raises(RunError, match=r"none of the 34 photos .* the first is '10 "):
        score_all()


def test_answers_longer_than_the_model_reads_are_refused(score_all, model, image):
    one = model("llava")
    asks = len(one.processor(images=[image(50, 40)], text=[one.prompt.text])["input_ids"][0])
    longest = asks + max(map(len, answer_tokens(one.processor, one.prompt, NAMES)[0]))
    assert score_all(one=replace(one, longest=longest))[0].passes == 32
    with pytest.raises(RunError, match=f"reads {longest - 1} tokens"):
        score_all(one=replace(one, longest=longest - 1, key="shorter"))


def test_a_model_that_cannot_continue_its_prefix_is_refused(score_all, monkeypatch):
    monkeypatch.setattr(language_models, "label_losses", lambda *arguments: np.full(len(arguments[2]), 1.0))
    with pytest.raises(RunError, match="'llava' cannot be scored"):
        score_all()

    def complain(*_):
        raise KeyError("image_sizes")

    monkeypatch.setattr(language_models, "label_losses", complain)
    with pytest.raises(RunError, match="KeyError: 'image_sizes'"):
        score_all()


def test_labels_with_special_tokens_are_refused(score_all):
    with pytest.raises(RequestError, match="'an <image>'"):
        score_all(names=("an <image>", *NAMES[1:]), space=LabelSpace("1000"))
