"The documentation of both servers can be read in a browser that reaches nothing but the server."
import shutil
from urllib.parse import urlsplit

import pytest
from conftest import Service
from playwright.sync_api import expect, sync_playwright

SERVERS = {
    "proxy": (["proxy"], "/v1/predictions/batch"),
    "server": (["serve", "--follow", "production"], "/predict/batch"),
}


@pytest.fixture
def page():
    "A page of Debian's Chromium."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


@pytest.mark.parametrize("name", SERVERS)
def test_the_documentation_needs_no_key_and_no_other_host(project, page, name):
    command, route = SERVERS[name]
    service = Service(project, *command, port=name, ready="/health/live")
    hosts, errors = set(), []
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(f"{service.url}/docs")
    try: expect(page.get_by_text(route, exact=False).first).to_be_visible(timeout=15_000)
    finally: service.stop()
    assert errors == []
    assert hosts - {""} == {urlsplit(service.url).netloc}
