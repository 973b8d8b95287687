"""Twenty labels of a photo on a shared prefix cost at least five times fewer tokens than a pass a label."""

import pytest

from experiments.benchmarks import language, tiny_lvlm
from experiments.counteranimal.models import load


@pytest.mark.parametrize("family", tiny_lvlm.FAMILIES)
def test_tokens_of_twenty_labels(tmp_path, family):
    tiny_lvlm.save(tmp_path, family, side=language.SIDE)
    model = load(f"lvlm:{tmp_path}")
    assert len(set(language.LABELS)) == 20
    row = language.measured(model, "cpu")
    assert row["plain_tokens"] >= language.GOAL * row["tokens"]
    assert min(row.values()) > 0


def test_every_token_of_the_plain_loop_is_counted(tmp_path):
    tiny_lvlm.save(tmp_path, "llava")
    model = load(f"lvlm:{tmp_path}")
    row = language.measured(model, "cpu", ("cat", "ostrich"))
    bare, *answers = (
        len(model.processor.tokenizer(text)["input_ids"])
        for text in (model.prompt.text, model.prompt.answered("cat"), model.prompt.answered("ostrich"))
    )
    prompt = bare - 1 + 16  # 16 patches in place of one <image>
    assert row["plain_tokens"] == sum(prompt + answer - bare for answer in answers)
    rest = [answer - bare - 2 for answer in answers]  # all but the common " A" and each last token
    assert row["tokens"] == prompt + 1 + 2 * max(rest)
