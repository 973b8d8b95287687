"""Greedy answers are the argmax of whole passes; the labels that they name follow the stated rule."""

import re

import pytest
import tiny_lvlm
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from experiments.counteranimal.lvlm.free import MOST_TOKENS, generated, named, wordings
from experiments.counteranimal.lvlm.language import Inputs
from experiments.counteranimal.lvlm.scoring import extended

LABELS = [("polar bear", "ice bear"), ("bear",), ("great white shark", "white shark"), ("ox",), ("crane",), ("crane",)]


@pytest.mark.parametrize(
    ("answer", "labels"),
    [
        ("The main object is a POLAR  bear.", {0}),
        ("polar\nbears", {0}),
        ("an ice bear", {0}),
        ("a bear", {1}),
        ("a bear beside a polar bear", {0, 1}),
        ("a great white shark", {2}),
        ("A white shark!", {2}),
        ("oxen and foxes", set()),  # no plural of ours, no whole word
        ("two oxes", {3}),
        ("ox-drawn", {3}),
        ("a crane", {4, 5}),  # one word for two labels names neither
        ("", set()),
        ("bear" * 3, set()),
    ],
)
def test_examples(answer, labels):
    assert named(answer, LABELS) == labels


def words_of(text):
    return re.findall(r"\w+", text.lower())


def slowly(answer, labels):
    """The rule on lists of words, which the answers below are made of."""
    words = words_of(answer)

    def same(said, word):
        return said in (word, word + "s", word + "es")

    spans = []
    for label, ways in enumerate(labels):
        for wording in ways:
            parts = wording.split()
            for start in range(len(words) - len(parts) + 1):
                here = words[start : start + len(parts)]
                if here[:-1] == parts[:-1] and same(here[-1], parts[-1]):
                    spans.append((start, start + len(parts), label))
    kept = [
        (start, end, label)
        for start, end, label in spans
        if not any(s <= start and end <= e and e - s > end - start for s, e, _ in spans)
    ]
    return {label for *_, label in kept}


WORD = st.sampled_from(["ox", "fox", "bear", "polar", "ice"])
LABEL = st.lists(st.lists(WORD, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=2)
SAID = st.tuples(WORD, st.sampled_from(["", "s", "es", "x"])).map("".join)


@given(st.lists(SAID, max_size=7), st.lists(LABEL, max_size=4), st.booleans())
@example(["polar", "bears"], [["bear"], ["polar bear"]], True)
@example(["ox"], [["fox"], ["ox", "ox"]], False)
def test_the_rule(words, labels, upper):
    answer = " ".join(words)
    assert named(answer.upper() if upper else f"  {answer}.", labels) == slowly(answer, labels)


@given(st.text(max_size=30), st.lists(st.lists(st.text(min_size=1, max_size=6), max_size=2), max_size=3))
def test_any_text_is_read(answer, labels):
    """Wordings with marks of regular expressions, or none at all, raise nothing."""
    assert named(answer, labels) <= set(range(len(labels)))


def test_synonyms_are_what_commas_part():
    assert wordings("ostrich, Struthio camelus,") == ("ostrich", "Struthio camelus")


def plainly(module, inputs, most):
    said = []
    while len(said) < most:
        with torch.no_grad():
            said.append(int(module(**extended(inputs, 0, said)).logits[0, -1].argmax()))
    return said


@pytest.mark.parametrize("family", tiny_lvlm.FAMILIES)
def test_answers_are_greedy_and_end_where_the_model_ends(model, image, family):
    one = model(family)
    photos = (Inputs(one.processor, one.prompt.text, True)(image(50, 40, seed)) for seed in range(50))
    answers = ((inputs, generated(one.module, inputs, (), 12)) for inputs in photos)
    # A whole pass takes an <image> that a random model says for a photo.
    inputs, said = next(answer for answer in answers if min(answer[1]) >= len(tiny_lvlm.SPECIAL))
    assert said == plainly(one.module, inputs, 12)
    end = next(token for token in said if token != said[0])
    assert generated(one.module, inputs, (len(said) + 10**6, end), 12) == said[: said.index(end) + 1]
    assert generated(one.module, inputs, (said[0],), 12) == said[:1]


@pytest.mark.deep
@pytest.mark.parametrize("family", tiny_lvlm.FAMILIES)
def test_answers_are_the_librarys_own(model, image, family):
    one = model(family)
    inputs = Inputs(one.processor, one.prompt.text, True)(image(50, 40))
    theirs = one.module.generate(**inputs, max_new_tokens=MOST_TOKENS, do_sample=False)[0]
    assert generated(one.module, inputs, one.ends) == theirs[inputs["input_ids"].shape[1] :].tolist()
