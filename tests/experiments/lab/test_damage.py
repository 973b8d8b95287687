"""Damaged study files and stores: one sentence, or the numbers of an undamaged run."""

import random
from shutil import copytree

import numpy as np
import pytest

from experiments.errors import RequestError
from experiments.lab.studies import read, study

SWEEP = study(axes={"p_spu": "0.5:1:3", "sigma_xi": [0.0, 1.0]}, learners=["infonce"])
TEXT = """learners = ["linear"]
routes = ["drawn"]
[axes]
n = [50, 60]
p_spu = "0.5:0.9:3"
mu_spu = [1.0, 2.0]
[world]
sigma_xi = 1.0
[recipe]
"""
VALUES = (
    "nan", "inf", "-1", "1e400", "1e30", "true", "[]", "{}", '""', "[[1]]", "[nan]", "1979-05-27",
    '"nan:1:3"', '"0:inf:3"', '"1:2:3:log"', "9223372036854775808", "[1, 1]", "[{}]", '["linear", 3]', '"::"', "-0.0",
)  # fmt: skip
KEYS = ("prompts", "device", "width", "attribute", "views", "mitigation", "loss", "n-", "é", "p_inv")


def changed(text: str, rng: random.Random) -> str:
    """The text with another value, a further key, a lost line or another character."""
    lines = text.splitlines()
    i, how = rng.randrange(len(lines)), rng.randrange(4)
    if how == 0:
        lines[i] = f"{lines[i].partition('=')[0]} = {rng.choice(VALUES)}"
    elif how == 1:
        lines.insert(i, f"{rng.choice(KEYS)} = {rng.choice(VALUES)}")
    elif how == 2:
        del lines[i]
    else:
        lines[i] = lines[i][: rng.randrange(len(lines[i]))] + chr(rng.randrange(1, 300))
    return "\n".join(lines)


def test_a_changed_study_file_is_read_or_refused_in_one_sentence():
    rng, said = random.Random(0), []
    for _ in range(200):
        try:
            read(changed(TEXT, rng))
        except RequestError as error:
            said.append(str(error))
    assert 60 < len(said) < 200
    assert not any("\n" in sentence for sentence in said)


@pytest.mark.usefixtures("small_blocks")
def test_a_changed_store_is_repaired_to_the_same_numbers_or_refused(tmp_path):
    whole, rng, said = SWEEP.run(tmp_path / "whole"), random.Random(0), []
    files = sorted(path for path in (tmp_path / "whole").rglob("*") if path.is_file())
    for i in range(20):
        where = tmp_path / str(i)
        copytree(tmp_path / "whole", where)
        file = where / rng.choice(files).relative_to(tmp_path / "whole")
        content = bytearray(file.read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(rng.choice([content, content[: len(content) // 2], b"", bytes(len(content))]))
        if rng.random() < 0.2:
            file.unlink()
        try:
            again = SWEEP.run(where)
        except RequestError as error:
            said.append(str(error))
            continue
        for name in {*whole.data_vars} - {"seconds", "legend"}:
            np.testing.assert_array_equal(again[name], whole[name])
    assert 0 < len(said) < 20
    assert not any("\n" in sentence for sentence in said)
