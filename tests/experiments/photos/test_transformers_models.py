"""Every family of transformers models gives the scores of the library's own pipeline."""

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.photos.models import load_model

SIZE = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
WORDS = ["[PAD]", "[UNK]", "[BOS]", "[EOS]", "a", "photo", "of", "the", ".", "cat", "dog", "house", "tree"]
LABELS = ["cat", "dog", "the house", "tree of the house", "dog of a cat of a house of a tree of a dog"]
TEXT = {**SIZE, "vocab_size": len(WORDS), "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
VISION = {**SIZE, "image_size": 32, "patch_size": 8}
ROBERTA = {"project_dim": 16, "pooler_fn": "cls", "max_position_embeddings": 80, "type_vocab_size": 1}


def tokenizer(masked):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("[BOS]", 2), ("[EOS]", 3)]
    words.post_processor = processors.TemplateProcessing(single="[BOS] $A [EOS]", special_tokens=ends)
    special = {f"{name.lower()}_token": f"[{name}]" for name in ("PAD", "UNK", "BOS", "EOS")}
    names = ["input_ids", "attention_mask"] if masked else ["input_ids"]
    return PreTrainedTokenizerFast(tokenizer_object=words, model_input_names=names, **special)


def processor():
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(size={"height": 32, "width": 32}, do_center_crop=False)


def saved(folder, family):
    """A tiny saved model of a family, with tokenizer and image processor."""
    import transformers as t

    own = {
        "siglip": {"max_position_embeddings": 64, "projection_size": 16},
        "chinese_clip": {"type_vocab_size": 1},
        "altclip": ROBERTA,
    }
    size = {} if family == "siglip" else {"projection_dim": 8}
    text = {**TEXT, "max_position_embeddings": 77, **own.get(family, {})}
    config = t.AutoConfig.for_model(family, text_config=text, vision_config=VISION, **size)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = t.AutoModelForZeroShotImageClassification.from_config(config).eval()
        for name, value in module.named_parameters():  # initial weights are so small that all texts are nearly one
            if value.ndim > 1 and "text" in name:
                torch.nn.init.normal_(value, std=0.3)
    module.save_pretrained(folder)
    tokenizer(family != "siglip").save_pretrained(folder)
    processor().save_pretrained(folder)
    return module


def photos():
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)) for _ in range(3)]


@pytest.mark.parametrize("family", ["clip", "metaclip_2", "clipseg", "siglip", "chinese_clip", "altclip"])
def test_scores_are_the_pipelines(tmp_path, family):
    from transformers import pipeline

    module = saved(tmp_path, family)
    model = load_model(f"hf:{tmp_path}")
    prompts = [f"A photo of {label}." for label in LABELS]
    with torch.no_grad():
        pixels = torch.stack([model.preprocess(photo) for photo in photos()])
        I = torch.nn.functional.normalize(model.encode_image(pixels), dim=-1)
        T = torch.nn.functional.normalize(model.encode_text(model.tokenizer(prompts)), dim=-1)
        each = torch.cat([model.encode_text(model.tokenizer([prompt])) for prompt in prompts])
        torch.testing.assert_close(torch.nn.functional.normalize(each, dim=-1), T)  # padding changes nothing
        logits = module.logit_scale.exp() * I @ T.T + getattr(module, "logit_bias", torch.zeros(()))
    expected = logits.sigmoid() if family == "siglip" else logits.softmax(-1)
    words, images = tokenizer(family != "siglip"), processor()
    ask = pipeline("zero-shot-image-classification", module, tokenizer=words, image_processor=images)
    for row, photo in zip(expected, photos(), strict=True):
        found = {one["label"]: one["score"] for one in ask(photo, LABELS, hypothesis_template="A photo of {}.")}
        np.testing.assert_allclose([found[label] for label in LABELS], row, atol=1e-5)
    assert float(torch.cdist(T, T).max()) > 0.1


def test_half_precision_weights_are_read_in_single(tmp_path):
    saved(tmp_path, "clip").half().save_pretrained(tmp_path)
    assert {value.dtype for value in load_model(f"hf:{tmp_path}").module.parameters()} == {torch.float32}
