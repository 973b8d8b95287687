"""Required files of a folder, dependence of the cache key, and question and answers in each template."""

import json
import shutil
from types import SimpleNamespace

import pytest
import tiny_lvlm
import torch

from experiments.errors import RequestError
from experiments.photos.language_models import QUESTION, Inputs, special_tokens
from experiments.photos.models import load
from experiments.photos.options import Options


@pytest.fixture
def copy(folder, tmp_path):
    """Family -> a copy of its folder that a test may damage."""

    def of(family="llava"):
        return shutil.copytree(folder(family), tmp_path / family)

    return of


def edit(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("missing", ["processor_config.json", "tokenizer.json", "model.safetensors", "config.json"])
def test_a_file_that_is_missing_is_noticed(copy, missing):
    spoilt = copy()
    (spoilt / missing).unlink()
    with pytest.raises(RequestError, match="llava"):
        load(f"lvlm:{spoilt}")


def test_the_key_holds_everything_that_changes_an_answer(copy):
    whole = copy()
    key = load(f"lvlm:{whole}").key
    assert load(f"lvlm:{shutil.copytree(whole, whole.parent / 'again')}").key == key
    changes = {
        "processor_config.json": lambda d: d["image_processor"].update(image_mean=[0.1, 0.2, 0.3]),
        "tokenizer.json": lambda d: d["model"]["merges"].pop(),
        "config.json": lambda d: d["text_config"].update(rms_norm_eps=1e-3),
    }
    keys = {key}
    for n, (file, change) in enumerate(changes.items()):
        other = shutil.copytree(whole, whole.parent / str(n))
        edit(other / file, change)
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
def test_inputs_are_those_of_the_librarys_own_conversation(model, image, family):
    one, photo = model(family), image(50, 40)
    asked = [{"role": "user", "content": [{"type": "image", "image": photo}, {"type": "text", "text": QUESTION}]}]
    library = one.processor.apply_chat_template(
        asked, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    ours = Inputs(one.processor, one.prompt.text)(photo)
    assert set(ours) == set(library)
    assert all((ours[name] == library[name]).all() for name in ours)
    processor = SimpleNamespace(tokenizer=tiny_lvlm.tokenizer())
    for text in ("a bear", "<s>a bear"):  # a text begins once
        ids = processor.tokenizer(text, add_special_tokens=special_tokens(processor, text))["input_ids"]
        assert ids.count(1) == 1


def test_another_architecture_is_refused(copy, folder):
    spoilt = copy()
    shutil.copy(folder("qwen2_vl") / "model.safetensors", spoilt)
    with pytest.raises(RequestError, match="missing or have a wrong shape"):
        load(f"lvlm:{spoilt}")
    for kind in ("clip", "bert", "florence2"):
        (spoilt / "config.json").write_text(json.dumps({"model_type": kind, "is_encoder_decoder": kind == "florence2"}))
        with pytest.raises(RequestError, match=repr(kind)):
            load(f"lvlm:{spoilt}")
