"The predictions tab: pages, filters and corrections."
from playwright.sync_api import expect

from dashboard.pages import MIXED_REVIEW, classify, explained_review, open_tab, prediction_rows


def test_an_answer_is_corrected_in_its_row_and_pages_can_be_turned(visit):
    page = visit()
    for k in range(25):
        classify(page, f"{MIXED_REVIEW} {k}")
        expect(explained_review(page)).to_contain_text(f" {k}")
    open_tab(page, "Predictions")
    rows = prediction_rows(page)
    expect(rows).to_have_count(20)
    expect(rows.first).to_contain_text(f"{MIXED_REVIEW} 24")

    rows.first.get_by_role("combobox").select_option("negative")
    page.get_by_role("combobox", name="Show").select_option("answered")
    not_answered = rows.filter(has_text=f"{MIXED_REVIEW} 23")
    expect(not_answered).to_have_count(0)
    expect(rows.first).to_contain_text(f"{MIXED_REVIEW} 24")
    expect(rows.first.get_by_role("combobox")).to_have_value("false")

    page.get_by_role("combobox", name="Show").select_option("all")
    expect(not_answered).to_have_count(1)
    page.get_by_role("button", name="Older").click()
    expect(rows.first).to_contain_text(f"{MIXED_REVIEW} 4")
    page.get_by_role("button", name="Newer").click()
    expect(rows.first).to_contain_text(f"{MIXED_REVIEW} 24")
