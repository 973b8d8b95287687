"""Words of a figure, and checks that a phone can show them."""

from itertools import combinations

from matplotlib.text import Text

from experiments.page.plot.frame import PHONE

SMALLEST_ON_A_PHONE = 7.0  # pixels


def smallest_letters(figure):
    """Height in pixels of the smallest letters of a figure that is PHONE pixels wide."""
    sizes = [
        t.get_fontsize() for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()
    ]
    return min(sizes) * PHONE / (72 * figure.get_figwidth())


def words(figure):
    return " ".join(t.get_text() for t in figure.findobj(Text)).replace("\n", " ")


def legible(figure):
    """Assert that no text is too small for a phone, leaves the paper, or covers another text."""
    assert smallest_letters(figure) >= SMALLEST_ON_A_PHONE
    figure.draw_without_rendering()
    paper = figure.bbox.padded(1)
    boxes = [part.get_window_extent() for part in (figure._suptitle, *figure.legends)]
    boxes += [ax.get_tightbbox() for ax in figure.axes]
    for box in boxes:
        assert paper.x0 <= box.x0 <= box.x1 <= paper.x1
        assert paper.y0 <= box.y0 <= box.y1 <= paper.y1
    for one, other in combinations(boxes, 2):
        assert not one.padded(-1).overlaps(other), (one, other)
