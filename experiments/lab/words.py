"""Counts, sizes and durations as text."""


def counted(number: int, word: str) -> str:
    """A count with its noun.

    >>> counted(1, "cell"), counted(1836, "cell")
    ('1 cell', '1,836 cells')
    """
    return f"{number:,} {word}{'s' * (number != 1)}"


def amount(size: float) -> str:
    """A number of bytes with a unit.

    >>> amount(3_200_000), amount(2.4e25)
    ('3.2 MB', '2.4e+13 TB')
    """
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 999.5 or unit == "TB":
            break
        size /= 1000
    return f"{_digits(size, 3)} {unit}"


def duration(seconds: float) -> str:
    """A rough duration with a unit.

    >>> duration(0.02), duration(119.6), duration(9000)
    ('under a second', 'about 120 s', 'about 2.5 h')
    """
    if seconds < 1:
        return "under a second"
    for unit, length, least in (("days", 86400, 2 * 86400), ("h", 3600, 2 * 3600), ("min", 60, 120)):
        if seconds >= least:
            return f"about {_digits(seconds / length, 2)} {unit}"
    return f"about {_digits(seconds, 2)} s"


def _digits(number: float, digits: int) -> str:
    """A number rounded to some digits, without an exponent below a million."""
    return f"{float(f'{number:.{digits}g}'):g}"
