"""Random vision language models in transformers' format, with the processors and chat templates of
two families.
"""

from pathlib import Path
from typing import Any

FAMILIES = ("llava", "qwen2_vl")
SPECIAL = (
    "<pad>",
    "<s>",
    "</s>",
    "<image>",
    "<video>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
CORPUS = (
    "What is the main object in the image?",
    "A bird of the sea, a bear of the ice and a fish of the river.",
    "USER: ASSISTANT: A bear. user assistant: A bird.",
)
TURN = "{{ '<|im_start|>' + m['role'] + '\\n' }}"
PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
PARTS = (
    f"{{% for c in m['content'] %}}{{{{ c['text'] if c['type'] == 'text' else '{PICTURE}' }}}}{{%"
    " endfor %}"
)
TEMPLATES = {
    "llava": (
        "{% for m in messages %}{{ m['role'].upper() + ': ' }}{% for c in m['content'] %}"
        "{{ c['text'] + ' ' if c['type'] == 'text' else '<image>\\n' }}{% endfor %}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
    ),
    "qwen2_vl": (
        f"{{% for m in messages %}}{TURN}{PARTS}{{{{ '<|im_end|>\\n' }}}}{{% endfor %}}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
}


def save(folder: Path, family: str, side: int = 32) -> None:
    """Write a model of one of FAMILIES to `folder`; photos are scaled to `side` pixels, in patches
    of eight.
    """
    import torch
    from transformers import AutoModelForImageTextToText

    words = tokenizer()
    config = _config(family, words, side)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = AutoModelForImageTextToText.from_config(config).eval()
        for value in module.parameters():  # with initial weights all labels score nearly alike
            if value.ndim > 1:
                torch.nn.init.normal_(value, std=0.3)
    module.generation_config.eos_token_id = words.eos_token_id
    module.generation_config.pad_token_id = words.pad_token_id
    module.save_pretrained(folder)
    _processor(family, words, side).save_pretrained(folder)


def tokenizer() -> Any:
    """A byte-level BPE with the special tokens of every family; texts begin with <s>, as in
    LLaMA.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    sizes = {"vocab_size": 400, "special_tokens": list(SPECIAL), "initial_alphabet": alphabet}
    words.train_from_iterator(CORPUS, trainers.BpeTrainer(**sizes, show_progress=False))
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    tokens = {
        "pad_token": "<pad>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "extra_special_tokens": list(SPECIAL[3:]),
    }
    return PreTrainedTokenizerFast(tokenizer_object=words, **tokens, padding_side="left")


def _config(family: str, words: Any, side: int) -> Any:
    import transformers as t

    width = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    ends = {name: getattr(words, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    text = {
        **width,
        **ends,
        "num_key_value_heads": 2,
        "vocab_size": len(words),
        "max_position_embeddings": 512,
    }
    ids = {token: words.convert_tokens_to_ids(token) for token in SPECIAL}
    if family == "llava":
        return t.LlavaConfig(
            vision_config=t.CLIPVisionConfig(**width, image_size=side, patch_size=8),
            text_config=t.LlamaConfig(**text),
            image_token_id=ids["<image>"],
            image_seq_length=(side // 8) ** 2,
        )
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
    own = {"embed_dim": 32, "hidden_size": 32, "mlp_ratio": 1}
    return t.Qwen2VLConfig(
        text_config={**text, "rope_parameters": rope},
        vision_config={"depth": 1, "num_heads": 4, "patch_size": 8, "spatial_merge_size": 2, **own},
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )


def _processor(family: str, words: Any, side: int) -> Any:
    import transformers as t

    chat = TEMPLATES[family]
    if family == "llava":
        square = {"height": side, "width": side}
        photos = t.CLIPImageProcessor(size=square, crop_size=square)
        return t.LlavaProcessor(photos, words, 8, "default", chat, num_additional_image_tokens=1)
    photos = t.Qwen2VLImageProcessor(
        patch_size=8, min_pixels=side**2, max_pixels=side**2, merge_size=2
    )
    return t.Qwen2VLProcessor(
        photos, words, t.Qwen2VLVideoProcessor(patch_size=8), chat_template=chat
    )
