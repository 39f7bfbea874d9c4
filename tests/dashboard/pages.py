"What a visitor does on the page, and where things are on it."
from playwright.sync_api import Locator, Page, expect

TABS = ["Classify", "Statistics", "Models", "Predictions", "Batch"]
MIXED_REVIEW = "The soup was lovely, but we waited an hour for it."
SCRIPT_REVIEW = (
    "<script>window.hit = 1</script> <img src=x onerror=\"window.hit = 1\"> lovely soup </textarea><b>bold</b>"
)


def open_tab(page: Page, name: str):
    page.get_by_role("tab", name=name).click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()


def classify(page: Page, text: str):
    page.get_by_label("Your review").fill(text)
    page.get_by_label("Your review").press("Control+Enter")


def explained_review(page: Page) -> Locator:
    return page.locator(".y-review")


def prediction_rows(page: Page) -> Locator:
    return page.get_by_role("region", name="Predictions").locator("tbody tr")


def tile(page: Page, name: str) -> Locator:
    "The number in a tile of the statistics."
    tiles = page.locator(".y-tiles > div", has=page.get_by_text(name, exact=True))
    return tiles.locator(".y-tile-value")
