"""Amounts and durations in words, to about two digits."""


def amount(size: float) -> str:
    """Bytes for a reader.

    >>> amount(3_200_000)
    '3.2 MB'
    """
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.3g} {unit}"


def duration(seconds: float) -> str:
    """Seconds for a reader.

    >>> duration(0.02), duration(90), duration(9000)
    ('under a second', '90 s', '2.5 h')
    """
    if seconds < 1:
        return "under a second"
    for unit, length, least in (("days", 86400, 2 * 86400), ("h", 3600, 2 * 3600), ("min", 60, 120)):
        if seconds >= least:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds:.2g} s"
