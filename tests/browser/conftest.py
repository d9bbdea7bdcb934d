"""Headless Chromium for the report page; everything here skips where there is none."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from modiva.measure import summarise
from modiva.report.page import write_report
from modiva.report.plots import figures

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator:
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: install the Debian package chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser):
    """Open a page; what it logs, throws or asks of the network fails the test at its end."""
    contexts, wrong = [], []

    def go(path: Path, *, width: int = 1200, height: int = 900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        address = path.as_uri()

        def asked(request) -> None:
            if request.url != address and not request.url.startswith(("data:", "blob:")):
                wrong.append(f"request to {request.url}")

        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("request", asked)
        page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (wrong.append("dialog"), dialog.dismiss()))
        page.goto(address)
        return page

    yield go
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture(scope="session")
def simulated():
    """Rows as a real audit makes them, as the tests of the report use them."""
    path = Path(__file__).parent.parent / "modiva" / "report" / "conftest.py"
    spec = importlib.util.spec_from_file_location("simulated_rows", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.simulate


@pytest.fixture(scope="session")
def make_page(tmp_path_factory):
    def make(rows, summary=None, *, draw: bool = True, **settings) -> Path:
        folder = tmp_path_factory.mktemp("page")
        drawn = figures(rows, folder / "figures") if draw else []
        groups = summarise(rows) if summary is None else summary
        return write_report(folder, rows, groups, settings, drawn)

    return make


@pytest.fixture(scope="session")
def report(browser, make_page, simulated) -> Path:
    """The report of an audit with two attacks; asked for with a browser only."""
    rows = simulated(attacks=("coordinate", "random"), models=3)
    return make_page(rows, command="modiva audit --models 3", models=3)
