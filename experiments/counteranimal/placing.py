"""Where the names of crowded points go: beside their points, over no other name and no point, wherever there is room.

Greedy and without chance, so a figure is the same whenever it is drawn. Letters: m points, in pixels.
"""

import numpy as np
from jaxtyping import Float

DIRECTIONS = 16
RINGS = np.array(
    [0.0, 4, 9, 15, 22, 30, 40, 55, 75, 100]
)  # beyond the point's own mark; farther words belong to nobody


def placed(
    points: Float[np.ndarray, "m 2"],
    sizes: Float[np.ndarray, "m 2"],
    frame: Float[np.ndarray, " 4"],
    radii: Float[np.ndarray, " m"],
) -> Float[np.ndarray, "m 2"]:
    """Centres of the points' names.

    Points in the thickest crowd choose first, each the nearest free place on rings around it. Where there is none it
    takes the place that covers least.
    """
    marks = np.hstack([points - radii[:, None], points + radii[:, None]])
    taken = np.empty((0, 4))
    centres = np.array(points, dtype=float)
    apart = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    for i in np.argsort(np.sort(apart, axis=1)[:, : min(6, len(points))].sum(axis=1), kind="stable"):
        choice = _around(points[i], sizes[i], radii[i])
        boxes = np.hstack([choice - sizes[i] / 2, choice + sizes[i] / 2])
        covered = _overlap(boxes, np.vstack([marks, taken])).sum(axis=1)
        outside = np.maximum(frame[:2] - boxes[:, :2], 0) + np.maximum(boxes[:, 2:] - frame[2:], 0)
        best = int((covered + 1e3 * outside.sum(axis=1)).argmin())  # the first, so the nearest, of those that are free
        centres[i] = choice[best]
        taken = np.vstack([taken, boxes[best]])
    return centres


def _around(point: np.ndarray, size: np.ndarray, radius: float) -> Float[np.ndarray, "c 2"]:
    """Centres at which a box of this size touches the rings around a point, the nearest first."""
    angles = np.pi / 4 + 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    towards = np.clip(np.sqrt(2) * np.column_stack([np.cos(angles), np.sin(angles)]), -1, 1)
    return (point + towards * (radius + RINGS[:, None, None] + size / 2)).reshape(-1, 2)


def _overlap(boxes: Float[np.ndarray, "c 4"], others: Float[np.ndarray, "k 4"]) -> Float[np.ndarray, "c k"]:
    """Areas that pairs of boxes (left, bottom, right, top) share."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.maximum(high - low, 0).prod(axis=2)
