"""Claims as data: what a claim is (`claim`), then the docket by source.

`Axis`, `Claim` and `Subject` are loaded on first use.
"""

_NAMES = ("Axis", "Claim", "Subject")


def __getattr__(name: str):
    if name in _NAMES:
        from theory.claims import claim

        return getattr(claim, name)
    raise AttributeError(f"module 'theory.claims' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES])
