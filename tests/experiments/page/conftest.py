"""One browser for all tests of the page; they skip where there is none."""

import pytest
from browsers import FLAGS, chromium


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    if chromium() is None:
        pytest.skip("no Chromium here that playwright could drive")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p, p.chromium.launch(executable_path=chromium(), args=FLAGS) as running:
        yield running
