"""What a claim of any kind has: its id, its words and whose they are. Its fields are checked by one
loop.

Three kinds of claims share this base: about closed forms (`theory.claims.claim`), about trained
towers (`theory.claims.trained`) and about published tables (`experiments.published.claims`).
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from simulator.naming import unlisted

Origin = Literal["printed", "reading", "own"]
# (name of a field, given value) -> the value of the field; raises ValueError
Check = Callable[[str, Any], Any]
Rules = Iterator[tuple[bool, str]]  # whether a claim breaks the rule, and the sentence that says so


def one_of(choices: Collection[str]) -> Check:
    """A name of a table."""

    def choice(name: str, value: Any) -> Any:
        if value not in choices:
            raise ValueError(f"{name} = {unlisted(value, choices)}")
        return value

    return choice


def such_as(good: Callable[[Any], bool], words: str) -> Check:
    """Values that are good; `words` ends the refusal of others."""

    def value(name: str, x: Any) -> Any:
        if not good(x):
            raise ValueError(f"{name} = {x!r} {words}")
        return x

    return value


TEXT = such_as(lambda value: isinstance(value, str), "is not text")


@dataclass(frozen=True, kw_only=True)
class AnyClaim:
    """A claim of any kind. `question` is a key of `experiments.court.registry.QUESTIONS`."""

    id: str
    source: str
    statement: str
    formula: str = ""
    question: str = ""
    origin: Origin = "own"
    sentence: str = ""
    quote: str = ""
    meaning: str = ""

    checks: ClassVar[dict[str, Check]] = {  # by field
        "id": such_as(lambda value: isinstance(value, str) and value != "", "is not text"),
        **dict.fromkeys(
            ("source", "statement", "formula", "question", "sentence", "quote", "meaning"), TEXT
        ),
        "origin": one_of(get_args(Origin)),
    }

    def __post_init__(self):
        for name, check in self.checks.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))
        for broken, sentence in self.rules():
            if broken:
                raise ValueError(sentence)

    def rules(self) -> Rules:
        """The rules between fields."""
        words = (
            f"origin = {self.origin!r} with sentence = {self.sentence!r} and quote = {self.quote!r}"
        )
        needed = "a printed claim or a reading needs both, an own claim neither"
        yield bool(self.sentence and self.quote) == (self.origin == "own"), f"{words}: {needed}"

    def declared(self) -> dict[str, Any]:
        """What gives the claim its meaning, for its digest."""
        raise NotImplementedError
