"""How every figure looks: one style file, and no other setting of the machine's."""

from functools import wraps
from pathlib import Path

import matplotlib

STYLE = Path(__file__).with_name("style.mplstyle")


def styled(draw):
    """Draw, or write, with the project's style and no other setting of the machine's."""

    @wraps(draw)
    def wrapper(*args, **kwargs):
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.style.use(STYLE)
            return draw(*args, **kwargs)

    return wrapper
