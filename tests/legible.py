"""Words of a figure, and checks that a phone can show them."""

from matplotlib.text import Text

from experiments.page.plot.frame import PHONE

SMALLEST_ON_A_PHONE = 7.0  # pixels


def smallest_letters(figure):
    """Height in pixels of the smallest letters of a figure that is PHONE pixels wide."""
    sizes = [t.get_fontsize() for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    return min(sizes) * PHONE / (72 * figure.get_figwidth())


def words(figure):
    return " ".join(t.get_text() for t in figure.findobj(Text)).replace("\n", " ")


def legible(figure):
    """Assert that no text is too small for a phone, leaves the paper, or covers another text."""
    assert smallest_letters(figure) >= SMALLEST_ON_A_PHONE
    figure.draw_without_rendering()
    paper = figure.bbox
    boxes = [part.get_window_extent() for part in (figure._suptitle, *figure.legends)]
    boxes += [ax.get_tightbbox() for ax in figure.axes]
    for box in boxes:
        assert box.x0 >= paper.x0 - 1
        assert box.x1 <= paper.x1 + 1
        assert box.y0 >= paper.y0 - 1
        assert box.y1 <= paper.y1 + 1
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            width = min(one.x1, other.x1) - max(one.x0, other.x0)
            height = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert width <= 1 or height <= 1, (one, other)
