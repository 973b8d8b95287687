"""The style of every figure, independent of the machine's own matplotlib settings."""

from functools import wraps
from pathlib import Path

import matplotlib

STYLE = Path(__file__).with_name("style.mplstyle")


def styled(draw):
    """Decorate a function that draws or saves: only the project's style applies."""

    @wraps(draw)
    def wrapper(*args, **kwargs):
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.style.use(STYLE)
            return draw(*args, **kwargs)

    return wrapper
