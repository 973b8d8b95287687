"""What an encoding lacks is spelled out, and nothing else is touched."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.command.signs import SIGNS, spell_out


def written(text: str, encoding: str) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    spell_out(stream)
    stream.write(text)
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("ν ≤ 0.25, μ_spu ≥ 2", "ascii", "nu <= 0.25, mu_spu >= 2"),
        ("ν ± 1", "latin-1", "nu ± 1"),
        ("ν ≤ 0.25", "utf-8", "ν ≤ 0.25"),
        ("Müller … ²", "ascii", "Muller ... 2"),
        ("日", "ascii", "\\u65e5"),
        ("photo\udce9.jpg", "utf-8", "photo\\udce9.jpg"),
    ],
)
def test_signs(text, encoding, shown):
    assert written(text, encoding) == shown


@given(st.text(st.characters(codec=None, exclude_characters="\r\n")))
def test_every_text_can_be_written_and_ascii_is_kept(text):
    shown = written(text, "ascii")
    assert shown.isascii()
    if text.isascii():
        assert shown == text


def test_no_two_signs_of_a_screen_become_one():
    marks = [SIGNS[sign] for sign in "†‡≁≤≥≠≈±"]
    assert len({*marks, "*"}) == len(marks) + 1


def test_a_stream_that_encodes_nothing_is_left_alone():
    spell_out(io.StringIO())
