"""The fixtures of the end-to-end tests: each module gets an installation and an SMTP server of its own."""

import sys

import pytest

sys.dont_write_bytecode = True

from installation import EXECUTABLES, SEED, SERVICES, Installation, remove_leftovers  # noqa: E402
from mailbox_server import Mailbox  # noqa: E402


def pytest_report_header():
    return f"MARTLET_SEED={SEED}, executables from {EXECUTABLES}"


def pytest_sessionstart():
    remove_leftovers()


def pytest_collection_modifyitems(items):
    missing = [name for name in ["martlet", *(f"martlet-{service}" for service in SERVICES)]
               if not (EXECUTABLES / name).exists()]
    if missing and items:
        raise pytest.UsageError(f"{EXECUTABLES} lacks {', '.join(missing)}: run `swift build` first")


@pytest.fixture(scope="module")
def mailbox():
    server = Mailbox().start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def martlet(request, mailbox):
    """An installation with the examples, as a rehearsal, whose mails go to `mailbox`."""
    name = request.module.__name__.removeprefix("test_").replace("_", "-")
    settings = {"MARTLET_SMTP_URL": mailbox.url} | getattr(request.module, "SETTINGS", {})
    installation = Installation(
        name, environment=settings, rehearsal=getattr(request.module, "REHEARSAL", True),
        examples=getattr(request.module, "EXAMPLES", True))
    try:
        yield installation.start()
    finally:
        installation.remove()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Puts what the services complained about under a failed test."""
    outcome = yield
    report = outcome.get_result()
    installation = getattr(item, "funcargs", {}).get("martlet")
    if report.failed and installation is not None:
        report.sections.append(("the services' complaints", installation.complaints()))
