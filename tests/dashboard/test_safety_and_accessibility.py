"Texts of visitors are never executed, and everybody can use the page."
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from dashboard.pages import (
    MIXED_REVIEW,
    SCRIPT_REVIEW,
    TABS,
    classify,
    explained_review,
    open_tab,
    prediction_rows,
)


def test_markup_in_a_review_is_shown_as_text(visit):
    page = visit()
    classify(page, SCRIPT_REVIEW)
    expect(explained_review(page)).to_contain_text("<script>window.hit = 1</script>")
    page.get_by_text("All words as a table").click()
    open_tab(page, "Predictions")
    expect(prediction_rows(page).first).to_contain_text("<img src=x onerror=")


def serious_violations(page) -> list[tuple]:
    "What axe finds on a page that keeps people from using it."
    response = Axe().run(page, options={"resultTypes": ["violations"]}).response
    return [
        (violation["id"], [node["html"][:200] for node in violation["nodes"][:3]])
        for violation in response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("width", [1440, 360])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_tab_is_accessible_and_fits_the_screen(visit, width, dark):
    page = visit(width=width, dark=dark)
    classify(page, MIXED_REVIEW)
    expect(explained_review(page)).to_be_visible()
    for name in TABS:
        open_tab(page, name)
        page.wait_for_timeout(500)
        assert serious_violations(page) == [], name
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width, name


def test_the_keyboard_reaches_every_control(visit):
    page = visit(width=360)
    classify(page, MIXED_REVIEW)
    expect(page.get_by_role("button", name="Disagree")).to_be_visible()
    page.get_by_label("Your review").focus()
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent.trim()"))
    assert {"Classify", "Try a positive review", "All words as a table"} <= reached
    assert any(text.startswith("Disagree") for text in reached)
