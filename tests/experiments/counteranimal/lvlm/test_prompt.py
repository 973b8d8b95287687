"""The question as each template puts it, and the tokens of the answers."""

from types import SimpleNamespace

import pytest
import tiny_lvlm

from experiments.counteranimal.lvlm.model import Inputs
from experiments.counteranimal.lvlm.prompt import (
    QUESTION,
    Prompt,
    answer_tokens,
    prompt_of,
    tokens,
)
from experiments.errors import RequestError


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


def test_a_text_begins_once():
    processor = SimpleNamespace(tokenizer=tiny_lvlm.tokenizer())
    for text in ("a bear", "<s>a bear"):
        assert tokens(processor, text).count(1) == 1


def test_answers_that_merge_with_the_prompts_end():
    processor = SimpleNamespace(tokenizer=tiny_lvlm.tokenizer())
    prompt = Prompt("a bear? ", "")  # the space becomes part of " A"
    answers = answer_tokens(processor, prompt, ["cat", "bear"])
    assert answers.dropped == 1
    bare = tokens(processor, prompt.text)
    for name, ids in zip(("cat", "bear"), answers.ids, strict=True):
        assert [*bare[:-1], *ids] == tokens(processor, f"a bear? A {name}")


def test_what_no_prompt_can_be_made_of_is_said():
    def complain(*_, **__):
        raise TypeError("text only\nand more")

    with pytest.raises(RequestError, match=r"chat template .*text only and more\)$"):
        prompt_of("lvlm:m", SimpleNamespace(apply_chat_template=complain))
