"""Predictions match the libraries' own, and label spaces match masks made by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from experiments.photos.encoding import Encoded
from experiments.photos.labels import LabelSpace, imagenet, own_classes, templates
from experiments.photos.models import load
from experiments.photos.options import Options
from experiments.photos.photos import read_photos
from experiments.photos.scoring import confusing_space, predict, score_photos

EVERY = LabelSpace("1000")


def test_predictions_are_open_clips_own(clip, tiny_clip, shared_tree, tmp_path):
    """Of the mean of two prompts, and of its own zero-shot classifier and preprocessing, one photo
    at a time.
    """
    import open_clip

    tree = read_photos(shared_tree)
    (tmp_path / "prompts.txt").write_text("A photo of {}.\n{} at night\n")
    found = predict(score_photos(tree, clip, Options(prompts=str(tmp_path / "prompts.txt"))), EVERY)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tiny_clip}")
    prompts = [lambda name: f"A photo of {name}.", lambda name: f"{name} at night"]
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tiny_clip}")
    classifier = open_clip.build_zero_shot_classifier(
        model.eval(), tokenizer, open_clip.IMAGENET_CLASSNAMES, prompts
    )
    with torch.no_grad():
        photos = [preprocess(Image.open(tree.root / path))[None] for path in tree.photos.path]
        scores = torch.cat(
            [model.encode_image(pixels, normalize=True) @ classifier for pixels in photos]
        ).numpy()
    assert len(templates("openai80")) == 80
    assert list(found.path) == list(tree.photos.path)
    assert (found.predicted_index == scores.argmax(axis=1)).all()
    truth = found.class_index.to_numpy()
    true = scores[np.arange(len(scores)), truth]
    others = np.where(np.arange(1000) == truth[:, None], -np.inf, scores).max(axis=1)
    rounding = 2e-6  # float32 products of unit vectors, summed in another order
    assert np.allclose(found.margin, true - others, atol=rounding)
    assert (found["rank"] >= 1 + (scores > true[:, None] + rounding).sum(axis=1)).all()
    assert (found["rank"] <= (scores >= true[:, None] - rounding).sum(axis=1)).all()
    # a model that always predicts one label would test nothing
    assert len(set(found.predicted_index.tolist())) > 3


def torchvision_parts():
    import torchvision

    transform = torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1.transforms()
    return torchvision.models.squeezenet1_1(weights=None), transform


def timm_parts():
    import timm

    module = timm.create_model("test_resnet.r160_in1k", pretrained=False)
    return module, timm.data.create_transform(
        **timm.data.resolve_model_data_config(module), is_training=False
    )


@pytest.mark.parametrize(
    ("spec", "file", "parts"),
    [
        ("torchvision:squeezenet1_1", "squeezenet", torchvision_parts),
        ("timm:test_resnet.r160_in1k", "timm_weights", timm_parts),
    ],
)
def test_classifiers_are_their_own_forward_pass(spec, file, parts, shared_tree, request):
    weights = request.getfixturevalue(file)
    tree = read_photos(shared_tree)
    found = predict(score_photos(tree, load(spec, weights), Options()), EVERY)
    module, transform = parts()
    module.eval().load_state_dict(load_file(weights))
    with torch.no_grad():
        pixels = torch.stack(
            [transform(Image.open(tree.root / path).convert("RGB")) for path in tree.photos.path]
        )
        order = np.argsort(-module(pixels).numpy(), axis=1, kind="stable")
    assert (found.predicted_index == order[:, 0]).all()
    truth = found.class_index.to_numpy()
    assert (found["rank"] == 1 + np.argmax(order == truth[:, None], axis=1)).all()


def test_duplicated_names_tie_exactly(clip, shared_tree):
    names = imagenet().names
    assert len(set(names)) == 998
    scores = score_photos(read_photos(shared_tree), clip, Options()).scores
    missile = [i for i, name in enumerate(names) if name == "missile"]
    assert (scores[:, missile[0]] == scores[:, missile[1]]).all()


def test_ranks_agree_with_sorting():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 30, size=(200, 1000)).astype(np.float32)  # many ties
    truth = rng.integers(0, 1000, size=200)
    found = predict(
        Encoded(pd.DataFrame({"class_index": truth, "object": ""}), scores, [], 0, scores, {}),
        EVERY,
    )
    rank = found["rank"].to_numpy()
    margin = found.margin
    order = np.argsort(-scores, axis=1, kind="stable")
    assert (found.predicted_index == order[:, 0]).all()
    assert (rank == 1 + np.argmax(order == truth[:, None], axis=1)).all()
    assert (margin[rank == 1] >= 0).all()
    assert (margin[rank > 1] <= 0).all()


def test_45_way_and_1_vs_20_are_masking_by_hand(clip, shared_tree):
    tree = read_photos(shared_tree)
    scored = score_photos(tree, clip, Options())
    scores = scored.scores
    truth = tree.photos.class_index.to_numpy()
    own = sorted(tree.classes)
    assert (
        predict(scored, own_classes(own)).predicted_index == np.array(own)[scores[:, own].argmax(1)]
    ).all()

    space = confusing_space(scored)
    for index in own:
        mean = scores[truth == index].astype(float).mean(axis=0)
        best = sorted(range(1000), key=lambda j, mean=mean: (-mean[j], j))[:20]
        assert set(space.allowed[index]) == set(best) | {index}
        assert (index in space.added) == (index not in best)
    found = predict(scored, space)
    for i, index in enumerate(truth):
        allowed = sorted(space.allowed[int(index)])
        assert found.predicted_index[i] == allowed[int(scores[i, allowed].argmax())]
        assert 1 <= found["rank"][i] <= len(allowed)


def test_only_prompts_of_competing_labels_are_embedded(clip, shared_tree):
    tree = read_photos(shared_tree)
    columns = [9, 10, 16, 30]
    texts = []
    listening = replace(
        clip, key=None, encode_text=lambda ids: texts.append(len(ids)) or clip.encode_text(ids)
    )
    space = own_classes(columns)
    found = score_photos(tree, listening, Options(), space)
    every = score_photos(tree, clip, Options())
    assert sum(texts) == 4
    assert (space.name, own_classes(range(45)).name) == ("data", "45")
    assert found.scores.shape == (32, 1000)
    assert np.allclose(found.scores[:, columns], every.scores[:, columns], atol=2e-6)
    assert (predict(found, space).predicted_index == predict(every, space).predicted_index).all()


def test_confusing_labels_add_the_truth_and_break_ties_low():
    scores = np.zeros((2, 1000))
    scores[0, 500:520] = 1
    photos = pd.DataFrame({"class_index": [3, 900]})
    space = confusing_space(Encoded(photos, scores, [], 0, scores, {}))
    assert space.allowed[3] == (*range(500, 520), 3)
    assert space.allowed[900] == (*range(20), 900)
    assert space.added == (3, 900)
