"""Counts and sizes as text."""


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
    return f"{float(f'{size:.3g}'):g} {unit}"
