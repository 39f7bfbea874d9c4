"The tabs that show stored data: statistics and models."
import re
import time
from dataclasses import replace

from conftest import until
from playwright.sync_api import expect

from dashboard.pages import MIXED_REVIEW, classify, explained_review, open_tab
from yelp_reviews.registry.promotion import rollback


def test_statistics_show_charts_and_drift(visit):
    page = visit()
    classify(page, MIXED_REVIEW)
    expect(explained_review(page)).to_be_visible()
    open_tab(page, "Statistics")
    for title in ("Correctness over time", "Predictions", "Calibration", "Unknown words"):
        expect(page.locator(".y-chart", has_text=title).locator("svg").first).to_be_visible()
    expect(page.get_by_text("too little data").first).to_be_visible()


def test_a_promoted_version_answers_and_appears_in_all_tabs(visit, stack):
    page = visit()
    classify(page, MIXED_REVIEW)
    expect(page.get_by_text("Model version 1,")).to_be_visible()
    stack.add_version(replace(stack.scorer, scores=-stack.scorer.scores))
    stack.promote("2")

    def version_2_answers() -> bool:
        page.get_by_role("button", name="Classify", exact=True).click()
        time.sleep(.5)
        return page.get_by_text("Model version 2,").is_visible()

    until(version_2_answers, 15)
    open_tab(page, "Models")
    expect(page.get_by_text("Version 2 is in service since")).to_be_visible()
    mlflow_link = page.get_by_role("link", name="Open MLflow")
    assert mlflow_link.get_attribute("href") == stack.mlflow_url

    rollback(stack.settings, reason="it was always wrong")
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("cell", name="rollback", exact=True)).to_be_visible()
    expect(page.get_by_role("cell", name="it was always wrong", exact=True)).to_be_visible()

    open_tab(page, "Statistics")
    page.get_by_role("combobox", name="Version").select_option("2")
    versions = page.locator("table", has_text=re.compile("By model version")).locator("tbody tr")
    expect(versions).to_have_count(1)
