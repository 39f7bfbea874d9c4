"The batch tab: uploads, progress and the download."
from pathlib import Path

import pytest
from playwright.sync_api import expect

from dashboard.pages import SCRIPT_REVIEW, open_tab
from yelp_reviews.data.sample import generate


@pytest.fixture
def upload(visit):
    "A function that uploads a file in the batch tab, and the page."
    page = visit()
    open_tab(page, "Batch")

    def upload_file(path: Path):
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose a file").click()
        chooser.value.set_files(path)
        return page

    return upload_file


def write_csv(path: Path, texts: list[str]) -> Path:
    quoted = ['"' + text.replace('"', '""') + '"' for text in texts]
    path.write_text("\n".join(["text", *quoted]) + "\n")
    return path


def test_a_file_that_cannot_be_read_is_reported_by_name(upload, tmp_path):
    (tmp_path / "photo.csv").write_bytes(b"\x89PNG\x00\x01")
    page = upload(tmp_path / "photo.csv")
    expect(page.get_by_role("alert")).to_contain_text("photo.csv")


def test_a_file_name_is_shown_as_text(upload, tmp_path):
    page = upload(write_csv(tmp_path / "<img src=x onerror='window.hit=1'>.csv", ["Lovely."]))
    expect(page.get_by_text("1 reviews:")).to_be_visible()


def test_a_long_file_is_classified_and_downloaded(upload, tmp_path):
    texts = [review["text"] for review in generate(450, seed=9)]
    page = upload(write_csv(tmp_path / "reviews.csv", [*texts, SCRIPT_REVIEW, "  "]))
    expect(page.get_by_text("451 reviews:")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("1 blank or too long")).to_be_visible()
    expect(page.locator(".y-chart svg").first).to_be_visible()

    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "reviews-classified.csv"
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0] == '"text","probability","is_positive_review"'
    assert len(lines) >= 453
