"""Signs on streams that cannot write them: ν as nu and ≤ as <= in ASCII, so that nothing fails at its last line."""

import codecs
from io import TextIOBase
from unicodedata import normalize

NAME = "spelled-out"
SIGNS = {
    **{"α": "alpha", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "π": "pi", "σ": "sigma", "τ": "tau"},
    **{"≥": ">=", "≤": "<=", "≠": "!=", "≈": "~", "±": "+-", "−": "-", "×": "x", "–": "-", "—": "-", "→": "->"},
    **{"✓": "v", "✗": "x", "†": "+", "‡": "++", "≁": "!~", "“": '"', "”": '"', "‘": "'", "’": "'"},
}


def spell_out(stream: TextIOBase) -> None:
    """From now on the stream spells out what its encoding lacks, in place of a UnicodeEncodeError."""
    if hasattr(stream, "reconfigure"):  # what has none, such as a StringIO, encodes nothing
        codecs.register_error(NAME, spelled_out)
        stream.reconfigure(errors=NAME)


def spelled_out(error: UnicodeError) -> tuple[str, int]:
    """Letters for signs, as a handler of `codecs.register_error`; what has neither is escaped."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spelled, error.object[error.start : error.end])), error.end


def _spelled(sign: str) -> str:
    plain = normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return SIGNS.get(sign) or plain or sign.encode("ascii", "backslashreplace").decode()
