"What a visitor sees when a part of the stack fails, and how a page recovers."
import signal

from conftest import Service, free_port
from playwright.sync_api import expect

from dashboard.conftest import VOILA_READY
from dashboard.pages import MIXED_REVIEW, classify, explained_review, open_tab, prediction_rows


def test_a_page_continues_after_the_proxy_was_killed_and_stores_nothing_twice(visit, stack):
    page = visit()
    classify(page, f"{MIXED_REVIEW} before")
    expect(explained_review(page)).to_contain_text("before")
    stack.proxy.stop(signal.SIGKILL)
    classify(page, f"{MIXED_REVIEW} meanwhile")
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()

    stack.proxy.start()
    expect(explained_review(page)).to_contain_text("meanwhile", timeout=15_000)
    expect(page.get_by_role("alert")).to_have_count(0)
    open_tab(page, "Predictions")
    expect(prediction_rows(page).filter(has_text="meanwhile")).to_have_count(1)


def test_a_rejected_api_key_is_reported(stack, browser, monkeypatch):
    port = free_port()
    monkeypatch.setitem(stack.project.ports, "dashboard", port)
    options = ("--kernels", "0", "--port", str(port))
    rejected = Service(
        stack.project, "dashboard", *options, port="dashboard", ready=VOILA_READY, YELP_API_KEY="yelp_no"
    )
    page = browser.new_page()
    page.goto(rejected.url)
    page.get_by_label("Your review").wait_for(timeout=60_000)
    classify(page, MIXED_REVIEW)
    expect(page.get_by_role("alert")).to_contain_text("does not accept this page's key")
    page.close()
    rejected.stop()
