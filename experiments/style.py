"""The style of every figure, independent of the machine's own matplotlib settings, and that of
every page.
"""

from io import BytesIO
from pathlib import Path

import matplotlib.style
from matplotlib.figure import Figure

STYLE = Path(__file__).with_name("style.mplstyle")
SHEET = Path(__file__).with_name("style.css")  # of pages, light and dark
# Decorates a function that draws or saves: only the project's style applies.
styled = matplotlib.style.context(STYLE, after_reset=True)


class NotebookFigure(Figure):
    """A figure that notebooks show as an image. They show a plain Figure only after pyplot was
    imported.
    """

    @styled
    def _repr_png_(self) -> bytes:
        image = BytesIO()
        self.savefig(image, format="png", metadata={"Software": None})
        return image.getvalue()
