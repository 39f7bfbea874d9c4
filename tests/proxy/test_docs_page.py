"The proxy's documentation can be read in a browser that reaches nothing but the proxy."
import shutil
from urllib.parse import urlsplit

import pytest
from conftest import Service
from playwright.sync_api import expect, sync_playwright


@pytest.fixture
def page():
    "A page of Debian's Chromium."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


def test_the_documentation_needs_no_key_and_no_other_host(project, page):
    proxy = Service(project, "proxy", port="proxy", ready="/health/live")
    hosts, errors = set(), []
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(f"{proxy.url}/docs")
    expect(page.get_by_text("/v1/predictions/batch", exact=False).first).to_be_visible(timeout=30_000)
    proxy.stop()
    assert errors == []
    assert hosts - {""} == {urlsplit(proxy.url).netloc}
