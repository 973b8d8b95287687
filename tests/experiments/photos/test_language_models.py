"""Vision language models: losses from a cached prefix are those of full passes; cache, templates,
refusals, verbs.
"""

import json
import logging
import shutil
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_lvlm
import torch
from PIL import Image

from experiments.errors import RequestError, RunError
from experiments.photos import language_models
from experiments.photos.labels import LabelSpace
from experiments.photos.language_models import (
    QUESTION,
    answer_tokens,
    label_losses,
    photo_inputs,
    score_labels,
    special_tokens,
)
from experiments.photos.models import load
from experiments.photos.options import Options
from experiments.photos.photos import read_photos
from experiments.photos.scoring import predict
from simulator.pixels.decoding import decode


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """(family, image side in pixels) -> folder of its model."""

    @cache
    def of(family, side=32):
        path = tmp_path_factory.mktemp("lvlm") / family
        tiny_lvlm.save(path, family, side=side)
        return path

    return of


@pytest.fixture(scope="module")
def model(folder):
    """(family, image side in pixels) -> loaded model, on the CPU in single precision."""
    logging.getLogger("transformers").setLevel(logging.ERROR)

    @cache
    def of(family, side=32):
        loaded = load(f"lvlm:{folder(family, side)}")
        loaded.place(Options())
        return loaded

    return of


def noise(width, height):
    """A photo."""
    return Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    )


def inputs_of(model, image, dropped=0):
    return photo_inputs(model.processor, model.prompt, dropped, image)


def library_losses(model, image, spoken):
    """The library's loss for labelled tokens, from texts only, without our answer tokens."""

    def inputs(text):
        return model.processor(images=[image], text=[text], return_tensors="pt")

    prompt = model.prompt.rstrip(" ")
    found = []
    start = inputs(prompt)["input_ids"].shape[1]
    for answer in spoken:
        whole = inputs(prompt + answer)
        labels = torch.where(
            torch.arange(whole["input_ids"].shape[1]) < start, -100, whole["input_ids"]
        )
        with torch.no_grad():
            found.append(float(model.module(**whole, labels=labels).loss))
    return found


# class 30 of the tree is the last
THINGS = tuple(f"{'bear of the sea ' * (i % 3)}{i}" for i in range(31))
SETS = LabelSpace("20", {9: (9, 3, 4), 10: (10, 9, 16, 1, 2), 16: (16, 9), 30: (30, 10, 16)})


@pytest.fixture
def score_all(model, tree, tmp_path):
    """Score the labels with the tiny LLaVA; (encoded, predictions, settings)."""

    def run(space=SETS, names=THINGS, one=None):
        (tmp_path / "names.csv").write_text(
            "class,name\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names))
        )
        options = Options(cache=tmp_path / "cache", classes=tmp_path / "names.csv", batch_size=3)
        scored = score_labels(read_photos(tree), one or model("llava"), options, space)
        return scored, predict(scored, space), scored.settings

    return run


@pytest.mark.parametrize("family", tiny_lvlm.FAMILIES)
def test_predictions_are_those_of_the_librarys_loss(model, tree, score_all, family):
    """In batches of labels; photos before leave no trace, also in caches of Qwen's positions."""
    # it becomes a part of the answer's first token
    one = model(family)
    space = " " if family == "llava" else ""
    encoded, predictions, settings = score_all(one=one)
    assert (encoded.passes, settings) == (32, {"score": language_models.SCORE})
    assert len(set(predictions.predicted_index)) > 2
    for row in predictions[::5].itertuples():
        labels = SETS.allowed[row.class_index]
        image = decode(tree / row.path)
        score = -np.array(
            library_losses(one, image, [f"{space}A {THINGS[label]}" for label in labels])
        )
        assert row.predicted_index == labels[int(score.argmax())]
        mine = np.array(labels) == row.class_index
        assert row.rank == 1 + (score > score[mine]).sum()
        assert row.margin == pytest.approx(float(score[mine][0] - score[~mine].max()), abs=1e-5)


def test_twenty_labels_cost_at_least_five_times_fewer_tokens(model):
    """A photo has 256 patches, an eighth of its tokens in LLaVA-1.5."""
    one = model("llava", 128)
    fed = []
    answers, dropped = answer_tokens(one.processor, one.prompt, THINGS[:20])
    hook = one.module.get_input_embeddings().register_forward_hook(
        lambda _, given, __: fed.append(given[0].numel())
    )
    label_losses(one.module, inputs_of(one, noise(128, 128), dropped), answers, 64)
    hook.remove()
    assert sum(fed[0] + len(ids) for ids in answers) > 5 * sum(fed)


def test_the_cache_depends_on_labels_photo_question_model_and_precision(
    model, score_all, tree, monkeypatch
):
    score_all()
    # only photos of class 16
    assert score_all(LabelSpace("20", {**SETS.allowed, 16: (16, 10)}))[0].passes == 11
    renamed = list(THINGS)
    renamed[4] = "another"  # competes for class 9
    assert score_all(names=tuple(renamed))[0].passes == 9
    first = next((tree / "9 ostrich, Struthio camelus" / "common-ground").iterdir())
    first.touch()
    assert score_all()[0].passes == 1
    one = model("llava")
    assert score_all(one=replace(one, prompt=one.prompt.rstrip()))[0].passes == 32
    assert score_all(one=replace(one, key="other"))[0].passes == 32
    assert score_all()[0].passes == 0


def test_labels_of_one_name_tie_exactly(score_all):
    names = list(THINGS)
    names[9] = names[4]
    _, predictions, *_ = score_all(names=tuple(names))
    ostriches = predictions.class_index == 9
    assert 9 not in set(predictions.predicted_index[ostriches])  # a tie goes to the lower index
    assert (predictions.margin[ostriches] <= 0).all()
    assert (predictions.margin[ostriches] == 0).any()


def test_unreadable_and_refused_photos_are_left_out(score_all, tree, model, photo):
    folder = tree / "16 bulbul" / "counter-grass"
    (folder / "broken.jpg").write_bytes(b"no photo")
    photo(folder / "long.png", 0, (2100, 10))  # Qwen's processor refuses sides with ratio 200
    encoded, predictions, *_ = score_all(one=model("qwen2_vl"))
    assert [photo["path"].rpartition("/")[2] for photo in encoded.skipped] == [
        "broken.jpg",
        "long.png",
    ]
    assert len(predictions.path) == 32


def test_what_cannot_be_scored_is_one_sentence(score_all, model, monkeypatch):
    one = model("llava")
    answers, dropped = answer_tokens(
        one.processor, one.prompt, [THINGS[label] for label in SETS.allowed[10]]
    )
    longest = inputs_of(one, noise(50, 40), dropped)["input_ids"].shape[1] + max(map(len, answers))
    assert score_all(one=replace(one, longest=longest, key="long"))[0].passes == 32
    with pytest.raises(RunError, match=f"reads {longest - 1} tokens"):
        score_all(one=replace(one, longest=longest - 1, key="shorter"))
    with pytest.raises(RequestError, match="'an <image>'"):
        score_all(names=("an <image>", *THINGS[1:]), space=LabelSpace("1000"))
    monkeypatch.setattr(
        language_models, "label_losses", lambda *arguments: np.full(len(arguments[2]), 1.0)
    )
    with pytest.raises(RunError, match="'llava' cannot be scored"):
        score_all()
    monkeypatch.setattr(language_models, "label_losses", lambda *_: {}["image_sizes"])
    with pytest.raises(RunError, match="KeyError: 'image_sizes'"):
        score_all()


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of the tiny LLaVA that a test may damage."""
    return shutil.copytree(folder("llava"), tmp_path / "llava")


KINDS = "clip", "bert", "florence2"
FILES = "processor_config.json", "tokenizer.json", "model.safetensors", "config.json"
SPOILT = [  # file, its new content if it has one, words
    *((name, None, "llava") for name in FILES),
    *(
        ("config.json", {"model_type": kind, "is_encoder_decoder": kind == KINDS[2]}, repr(kind))
        for kind in KINDS
    ),
]


@pytest.mark.parametrize(("file", "content", "words"), SPOILT)
def test_a_folder_that_holds_no_such_model_is_refused(copy, file, content, words):
    (copy / file).unlink()
    if content:
        (copy / file).write_text(json.dumps(content))
    with pytest.raises(RequestError, match=words):
        load(f"lvlm:{copy}")


def test_weights_of_another_architecture_are_refused(copy, folder):
    shutil.copy(folder("qwen2_vl") / "model.safetensors", copy)
    with pytest.raises(RequestError, match="missing or have a wrong shape"):
        load(f"lvlm:{copy}")


def test_the_key_holds_everything_that_changes_an_answer(copy):
    keys = {load(f"lvlm:{copy}").key}
    assert {load(f"lvlm:{shutil.copytree(copy, copy.parent / 'again')}").key} == keys
    changes = {
        "processor_config.json": lambda d: d["image_processor"].update(image_mean=[0.1, 0.2, 0.3]),
        "tokenizer.json": lambda d: d["model"]["merges"].pop(),
        "config.json": lambda d: d["text_config"].update(rms_norm_eps=1e-3),
    }
    for n, (file, change) in enumerate(changes.items()):
        other = shutil.copytree(copy, copy.parent / str(n))
        document = json.loads((other / file).read_text())
        change(document)
        (other / file).write_text(json.dumps(document))
        keys.add(load(f"lvlm:{other}").key)
    assert len(keys) == 1 + len(changes)


def test_half_precision_holds_the_weights_and_not_the_positions(folder):
    model = load(f"lvlm:{folder('qwen2_vl')}")
    model.module.register_buffer("running_mean", torch.zeros(2))  # as in batch normalisation
    model.place(Options(precision="bf16"))
    assert model.module.running_mean.dtype == torch.bfloat16
    assert {value.dtype for value in model.module.parameters()} == {torch.bfloat16}
    frequencies = [value for name, value in model.module.named_buffers() if "inv_freq" in name]
    assert frequencies
    assert {value.dtype for value in frequencies} == {torch.float32}


@pytest.mark.parametrize("family", tiny_lvlm.FAMILIES)
def test_inputs_are_those_of_the_librarys_own_conversation(model, family):
    one = model(family)
    photo = noise(50, 40)
    asked = [
        {
            "role": "user",
            "content": [{"type": "image", "image": photo}, {"type": "text", "text": QUESTION}],
        }
    ]
    library = one.processor.apply_chat_template(
        asked, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    ours = photo_inputs(one.processor, one.prompt.rstrip(" "), 0, photo)
    assert set(ours) == set(library)
    assert all((ours[name] == library[name]).all() for name in ours)
    processor = SimpleNamespace(tokenizer=tiny_lvlm.tokenizer())
    for text in ("a bear", "<s>a bear"):  # a text begins once
        ids = processor.tokenizer(text, add_special_tokens=special_tokens(processor, text))[
            "input_ids"
        ]
        assert ids.count(1) == 1


def test_the_verbs_score_a_language_model_beside_a_clip(
    run, folder, shared_tree, tiny_clip, tmp_path
):
    """Of four classes it selects the labels that compete, for both models; then it selects
    backgrounds.
    """
    spec = f"lvlm:{folder('llava')}"
    out = tmp_path / "out"
    (tmp_path / "classes.txt").write_text(
        "".join(f"{path.name}\n" for path in shared_tree.iterdir() if path.is_dir())
    )
    common = (
        "--data",
        shared_tree,
        "--classes",
        tmp_path / "classes.txt",
        "--cache",
        tmp_path / "cache",
    )
    common = (*common, "--json", "--model", spec, "--output")
    clip = ("--model", f"open_clip:local-dir:{tiny_clip}")
    (first, second), _ = run("evaluate", *common, out, *clip, "--labels", 20, "--reference", spec)
    assert (first["family"], second["family"]) == ("LVLM", "CLIP")
    assert first["label_sets"] == second["label_sets"]
    sets = json.loads((out / "confusing.json").read_text())["labels"]
    assert {tuple(sorted(labels)) for labels in sets.values()} == {(0, 1, 2, 3)}
    (again,), said = run(
        "evaluate", *common, tmp_path / "again", "--labels", 20, "--reference", spec
    )
    assert "1 vs 20 is an oracle label space" in said
    # the same labels: scores are cached
    assert (again["macro"], again["image_passes"]) == (first["macro"], 0)
    document, _ = run("discover", *common, tmp_path / "discovered", "--min-photos", 2)
    assert document["model"]["spec"] == spec
