"""Twenty labels of a photo on a shared prefix cost at least five times fewer tokens than one pass per label."""

import numpy as np
import pytest
import tiny_lvlm
from PIL import Image

from experiments.counteranimal.encoding import Runtime
from experiments.counteranimal.lvlm.losses import label_losses, plain_loss
from experiments.counteranimal.lvlm.model import Inputs
from experiments.counteranimal.lvlm.prompt import answer_tokens, special_tokens
from experiments.counteranimal.models import load

SIDE = 128  # pixels: 256 patches, an eighth of the tokens that LLaVA-1.5 has per photo
LABELS = tuple(
    f"{colour} {animal}"
    for colour in ("red", "blue", "grey", "tan")
    for animal in ("bear", "fish", "bird", "cat", "dog")
)


def tokens(folder, labels, side) -> tuple[int, int]:
    """Tokens that pass through the language model, with the shared prefix and with a loop over labels."""
    model = load(f"lvlm:{folder}")
    model.place(Runtime("cpu"))
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))
    answers = answer_tokens(model.processor, model.prompt, labels)
    inputs = Inputs(model.processor, model.prompt.text, special_tokens(model.processor, model.prompt.text))
    seen: list[int] = []
    model.module.get_input_embeddings().register_forward_hook(lambda _, args, __: seen.append(args[0].numel()))
    label_losses(model.module, inputs(image), answers.dropped, answers.ids, len(labels))
    shared = sum(seen)
    for name, ids in zip(labels, answers.ids, strict=True):
        plain_loss(model, image, name, ids)
    return shared, sum(seen) - shared


@pytest.mark.parametrize("family", tiny_lvlm.FAMILIES)
def test_tokens_of_twenty_labels(tmp_path, family):
    tiny_lvlm.save(tmp_path, family, side=SIDE)
    shared, plain = tokens(tmp_path, LABELS, SIDE)
    assert plain >= 5 * shared > 0


def test_every_token_is_counted(tmp_path):
    tiny_lvlm.save(tmp_path, "llava")
    model = load(f"lvlm:{tmp_path}")
    bare, *answers = (
        len(model.processor.tokenizer(text)["input_ids"])
        for text in (model.prompt.text, model.prompt.answered("cat"), model.prompt.answered("ostrich"))
    )
    prompt = bare - 1 + 16  # 16 patches in place of one <image>
    rest = [answer - bare - 2 for answer in answers]  # without the common " A" and each last token
    expected = prompt + 1 + 2 * max(rest), sum(prompt + answer - bare for answer in answers)
    assert tokens(tmp_path, ("cat", "ostrich"), 32) == expected
