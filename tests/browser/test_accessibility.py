"""The page for everyone: axe-core's rules, contrast and alternative texts among them."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("browser")  # what its tests share is made once

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
RUN = """async () => {
    const found = await axe.run(document, {resultTypes: ["violations"]});
    return found.violations.map(rule => [rule.id, rule.nodes.map(node => node.html.slice(0, 150))]);
}"""


@pytest.fixture
def violations(visit, report):
    def check(change: str = "", **options):
        # The policy of the page forbids every script but its own, and so the examiner's.
        page = visit(report, bypass_csp=True, **options)
        page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
        if change:
            page.evaluate(change)
        return page.evaluate(RUN)

    return check


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_axe_finds_nothing(violations, scheme, width):
    assert violations(width=width, color_scheme=scheme) == []


def test_axe_would_find_weak_contrast_and_a_missing_text(violations):
    change = """document.querySelector(".kicker").style.color = "#ddd";
        document.querySelector(".plot").removeAttribute("aria-label");"""
    assert {rule for rule, _ in violations(change)} == {"color-contrast", "role-img-alt"}


def luminance(color: str) -> float:
    parts = [int(part) / 255 for part in color.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_figures_say_stands_out_from_the_card(visit, report, scheme):
    """Text 4.5 to 1 and the first three series 3 to 1, as WCAG 2.2 asks (1.4.3, 1.4.11)."""
    page = visit(report, color_scheme=scheme)
    card = page.evaluate("getComputedStyle(document.querySelector('figure')).backgroundColor")
    colors = page.evaluate(
        """() => [...document.querySelectorAll(".plot.wide svg")].map(svg => ({
            texts: [...svg.querySelectorAll("g[id*=text_] g")].map(e => getComputedStyle(e).fill),
            lines: [...svg.querySelectorAll("[id*=LineCollection] path")]
                .map(e => getComputedStyle(e).stroke),
        }))"""
    )
    texts = {color for figure in colors for color in figure["texts"]}
    lines = {color for figure in colors for color in figure["lines"]}
    assert texts
    assert len(lines) >= 3

    def contrast(color: str) -> float:
        light, dark = sorted((luminance(color), luminance(card)), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    assert min(map(contrast, texts)) >= 4.5
    assert min(map(contrast, lines)) >= 3
