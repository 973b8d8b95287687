"""Names of digits and of colours, in class order."""

DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# CIELAB distances are at least 36 between two colours, and 44 from white and black.
COLOURS = {
    "red": (230, 25, 45),
    "green": (40, 160, 50),
    "blue": (40, 80, 230),
    "yellow": (255, 220, 40),
    "purple": (150, 30, 180),
    "cyan": (60, 210, 230),
    "orange": (245, 130, 40),
    "pink": (250, 140, 200),
    "brown": (130, 80, 40),
    "lime": (170, 240, 60),
}
