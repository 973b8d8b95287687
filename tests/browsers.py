"""What runs the page's scripts: node, on its own or as playwright brings it, and a Chromium of the machine's."""

import importlib.util
import os
import shutil
from pathlib import Path

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# A container's root has no sandbox of Chromium's; what it would load in the background is not the page's.
FLAGS = ["--disable-gpu", "--disable-background-networking", *(["--no-sandbox"] if os.geteuid() == 0 else [])]


def node() -> str | None:
    """A node that can be started."""
    found = importlib.util.find_spec("playwright")
    brought = Path(found.origin).parent / "driver" / "node" if found else None
    return shutil.which("node") or (str(brought) if brought and brought.is_file() else None)


def chromium() -> str | None:
    """A Chromium that playwright can drive."""
    if importlib.util.find_spec("playwright") is None:
        return None
    return next((found for name in CHROMIUM if (found := shutil.which(name))), None)
