"""The fixtures of the tests in a browser: a real Chromium, and a server that records what arrives."""

import os
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

sys.dont_write_bytecode = True

from recording_server import RecordingServer  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "Tests" / "EndToEnd"))


@pytest.fixture(scope="session")
def browser_files():
    return REPOSITORY / "Services" / "Ingestion" / "Server" / "Browser"


@pytest.fixture(scope="session")
def chromium_path():
    return os.environ.get("MARTLET_CHROMIUM", "/usr/bin/chromium")


@pytest.fixture(scope="session")
def chromium(chromium_path):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def server(browser_files):
    """One for each test: what pages send while they close must not reach the next."""
    server = RecordingServer(browser_files / "martlet.js").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def martlet():
    """An installation, as the end-to-end tests have it."""
    from installation import Installation

    installation = Installation("browser", examples=False)
    try:
        yield installation.start()
    finally:
        installation.remove()


@pytest.fixture
def visitor(chromium):
    """A browser with nothing stored, and no error of a page left unnoticed."""
    context = chromium.new_context()
    context.set_default_timeout(15_000)
    errors = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    context.close()
    assert errors == [], "the page saw an error"


@pytest.fixture
def wait_until():
    """The first true value of a condition; lets the browser's events be handled in between."""

    def wait(page, condition, what, within=15.0):
        deadline = time.monotonic() + within
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < deadline, f"after {within:.0f} s still waiting for {what}"
            page.wait_for_timeout(20)

    return wait
