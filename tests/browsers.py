"""Finds programs that run the page's scripts: node, alone or from playwright, and an installed
Chromium.
"""

import importlib.util
import os
import shutil
from pathlib import Path

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Chromium has no sandbox for root in a container; its background downloads are not requests of the
# page.
FLAGS = [
    "--disable-gpu",
    "--disable-background-networking",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]


def node() -> str | None:
    """Path of node, or None."""
    found = importlib.util.find_spec("playwright")
    brought = Path(found.origin).parent / "driver" / "node" if found else None
    return shutil.which("node") or (str(brought) if brought and brought.is_file() else None)


def chromium() -> str | None:
    """Path of a Chromium that playwright can drive, or None."""
    if importlib.util.find_spec("playwright") is None:
        return None
    return next((found for name in CHROMIUM if (found := shutil.which(name))), None)
