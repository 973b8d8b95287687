"""Networks of other families, built at random: sliding windows, three-axis positions, linear attention."""

import numpy as np
import pytest
import torch
import transformers

from experiments.counteranimal.lvlm.losses import label_losses
from tests.experiments.counteranimal.lvlm.test_losses import whole_loss

LAYERS = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4}
TEXT = {
    **LAYERS,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
VISION = {**LAYERS, "image_size": 32, "patch_size": 8}
THREE_AXES = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
QWEN_VISION = {
    "depth": 2,
    "num_heads": 4,
    "patch_size": 8,
    "spatial_merge_size": 2,
    "hidden_size": 32,
    "out_hidden_size": 32,
    "intermediate_size": 32,
    "num_position_embeddings": 16,
}
QWEN_TOKENS = {"image_token_id": 9, "video_token_id": 20, "vision_start_token_id": 3, "vision_end_token_id": 4}
LINEAR = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "rope_parameters": {**THREE_AXES, "partial_rotary_factor": 1.0},
}
ANSWERS = [(30, 31), (30, 31, 32, 33), (30, 40, 41, 42, 43, 44, 45, 46), (30, 31, 50)]

LLAMA = {**TEXT, "model_type": "llama"}
QWEN = {"vision_config": QWEN_VISION, **QWEN_TOKENS}
SMALL = {**VISION, "image_size": [32, 32], "patch_size": [8, 8]}
FAMILIES = {  # name of the configuration -> its text model, its other arguments
    "Gemma3Config": (
        {**TEXT, "head_dim": 8, "sliding_window": 6},
        {"vision_config": VISION, "mm_tokens_per_image": 4, "image_token_index": 9},
    ),
    "Qwen3VLConfig": (
        {**TEXT, "head_dim": 8, "rope_parameters": THREE_AXES},
        {**QWEN, "vision_config": {**QWEN_VISION, "deepstack_visual_indexes": [0, 1]}},
    ),
    "Qwen3_5Config": ({**TEXT, "head_dim": 8, **LINEAR}, QWEN),
    "InternVLConfig": ({**TEXT, "model_type": "qwen2"}, {"vision_config": SMALL, "image_token_id": 9}),
    "SmolVLMConfig": (LLAMA, {"vision_config": VISION, "image_token_id": 9, "scale_factor": 2}),
    "LlavaNextConfig": (
        LLAMA,
        {
            "vision_config": {**VISION, "model_type": "clip_vision_model"},
            "image_token_id": 9,
            "image_grid_pinpoints": [[32, 32]],
        },
    ),
}


def inputs_of(name):
    photo_tokens = 36 if name == "LlavaNextConfig" else 4
    ids = torch.tensor([[1, 5, 6, *[9] * photo_tokens, 7, 8, 10, 11, 12]])
    generator = torch.Generator().manual_seed(1)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if name.startswith("Qwen"):
        pixels = torch.randn(16, 3 * 2 * 8 * 8, generator=generator)
        kinds, grid = (ids == 9).int(), torch.tensor([[1, 4, 4]])
        return {**inputs, "pixel_values": pixels, "mm_token_type_ids": kinds, "image_grid_thw": grid}
    shape = {"SmolVLMConfig": (1, 1, 3, 32, 32), "LlavaNextConfig": (1, 2, 3, 32, 32)}.get(name, (1, 3, 32, 32))
    inputs["pixel_values"] = torch.randn(shape, generator=generator)
    if name == "LlavaNextConfig":
        inputs["image_sizes"] = torch.tensor([[32, 32]])
    return inputs | ({"token_type_ids": (ids == 9).long()} if name == "Gemma3Config" else {})


@pytest.mark.deep
@pytest.mark.filterwarnings("ignore")  # of kernels that are not installed, and of defaults to come
@pytest.mark.parametrize("name", FAMILIES)
def test_losses_on_a_shared_prefix(name):
    text, arguments = FAMILIES[name]
    if not hasattr(transformers, name):
        pytest.skip(f"this version of transformers has no {name}")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = getattr(transformers, name)(text_config=text, **arguments)
        module = transformers.AutoModelForImageTextToText.from_config(config).eval()
        for value in module.parameters():
            if value.ndim > 1:
                torch.nn.init.normal_(value, std=0.3)
    inputs = inputs_of(name)
    expected = [whole_loss(module, inputs, ids) for ids in ANSWERS]
    assert np.ptp(expected) > 0.3
    np.testing.assert_allclose(label_losses(module, inputs, 0, ANSWERS, 3), expected, rtol=1e-5, atol=1e-5)
