"The classify tab: verdict, explanation and feedback."
import re

from playwright.sync_api import expect

from dashboard.pages import MIXED_REVIEW, classify, explained_review, open_tab, tile


def test_a_blank_review_is_reported_and_the_next_one_is_classified(visit):
    page = visit()
    page.get_by_role("button", name="Classify", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("nothing to read yet")
    classify(page, MIXED_REVIEW)
    expect(page.get_by_text("Probability that it is positive")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert re.match(r"Unsure|Positive|Negative", page.locator(".y-verdict").inner_text())


def test_a_review_that_is_too_long_is_reported_with_its_length(visit):
    page = visit()
    classify(page, "soup " * 4001)
    expect(page.get_by_role("alert")).to_contain_text("20,005 characters; send 20,000 at most")


def test_an_example_fills_the_box_and_updates_the_counter(visit):
    page = visit()
    page.get_by_role("button", name="Try a mixed review").click()
    expect(page.get_by_label("Your review")).to_have_value(re.compile("^Great view"))
    expect(page.get_by_text(re.compile(r"^\d\d+ of 20,000 characters"))).to_be_visible()


def test_each_word_is_explained_in_the_review_and_in_the_table(visit):
    page = visit()
    classify(page, MIXED_REVIEW)
    words = page.locator(".y-review span")
    expect(words.first).to_have_text("The")
    expect(words.first).to_have_attribute("title", re.compile(r"^[+-]\d\.\d{3}$"))
    page.get_by_text("All words as a table").click()
    expect(page.locator("details table tbody tr")).to_have_count(words.count())


def test_line_breaks_of_a_review_are_kept(visit):
    page = visit()
    classify(page, "Lovely soup.\nCold coffee.")
    expect(explained_review(page)).to_be_visible()
    assert explained_review(page).inner_text() == "Lovely soup.\nCold coffee."


def test_feedback_counts_in_the_statistics_and_can_be_undone(visit, empty_store):
    page = visit()
    open_tab(page, "Statistics")
    expect(page.get_by_text("No stored prediction matches this selection")).to_be_visible()
    open_tab(page, "Classify")
    classify(page, MIXED_REVIEW)
    page.get_by_role("button", name="Disagree").click()
    expect(page.get_by_text("Thank you. Your answer is stored")).to_be_visible()

    open_tab(page, "Statistics")
    expect(tile(page, "correct")).to_have_text("0.0%")
    expect(tile(page, "answered")).to_have_text("1")

    open_tab(page, "Classify")
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name=re.compile("^Agree")).click()
    open_tab(page, "Statistics")
    expect(tile(page, "correct")).to_have_text("100.0%")
