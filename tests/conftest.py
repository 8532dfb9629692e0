"""Fixtures for all tests, and the rule that nothing is left out in CI.

With CI=true a skipped test is a failure, and BIND must run in containers (DESIGN §5).
"""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from bindservers import Lab

from tests.dnssec import apart
from tests.peers import ready
from tests.peers.bind_container import BindFactory

IN_CI = os.environ.get("CI") == "true"
#: Real zones for tests stand beside the checkout, see DESIGN §5.
SHARED_ZONES = Path(__file__).resolve().parents[2] / "shared" / "zones"

_lab_notes: set[str] = set()

# Tests share two cores with the servers they start: time per example says nothing.
hypothesis.settings.register_profile("xfer", deadline=None)
hypothesis.settings.load_profile("xfer")


def pytest_configure() -> None:
    ready.use()
    pytest.MonkeyPatch().setattr("xfer.server.keystore.make_key", apart.make_key)


def pytest_unconfigure() -> None:
    ready.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if IN_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, and in CI nothing may be: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if IN_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, and in CI nothing may be: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for note in sorted(_lab_notes):
        terminalreporter.section("bind-lab")
        terminalreporter.line(note)


@pytest.fixture(scope="session")
def bind_lab() -> Iterator[Lab]:
    """The session's lab: BIND in containers; processes where no engine works, never in CI."""
    with Lab(strict=IN_CI) as lab:
        _lab_notes.add(lab.note)
        yield lab


@pytest.fixture
def bind(bind_lab: Lab) -> Iterator[BindFactory]:
    """Starts BINDs (`bind.primary(…)`, `bind.secondary(…)`) that end with the test."""
    factory = BindFactory(bind_lab)
    try:
        yield factory
    finally:
        factory.close()


@pytest.fixture
def no_collector() -> Iterator[None]:
    """The garbage of all tests is not looked through, which takes up to a fifth of a second of the
    thread whose turn it is: what is measured is what is tested."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture(scope="session")
def shared_zones() -> Path:
    """The directory of real zones; a test that needs it is skipped where it is absent."""
    if not SHARED_ZONES.is_dir():
        pytest.skip(f"no real zones: expected the directory {SHARED_ZONES}")
    return SHARED_ZONES
