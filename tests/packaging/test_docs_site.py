"The documentation site, as a visitor without a network sees it."
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from playwright.sync_api import sync_playwright

sys.path[:0] = [str(ROOT / "docs")]
import check_site  # noqa: E402


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    "The built site: that of `make docs` if it is there, as in CI."
    built = ROOT / "_docs/html"
    if (built / "index.html").exists(): return built
    folder = tmp_path_factory.mktemp("docs")
    subprocess.run([sys.executable, ROOT / "docs/collect.py", folder / "source"], check=True)
    sphinx = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--nitpicky", "--quiet"]
    subprocess.run([*sphinx, "-c", ROOT / "docs", folder / "source", folder / "html"], check=True)
    return folder / "html"


@pytest.fixture(scope="module")
def page(site):
    "A page of Chromium, and the requests that it makes to other hosts."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.loaded = []
        page.on("request", lambda request: page.loaded.append(request.url))
        yield page
        browser.close()


@pytest.mark.slow
def test_links_lead_somewhere(site): assert not check_site.problems(site)


@pytest.mark.slow
def test_every_notebook_and_module_has_a_page(site):
    notebooks = {p.relative_to(ROOT).with_suffix("") for p in (ROOT / "nbs").glob("[0-9]*/*.ipynb")}
    pages = {p.relative_to(site).with_suffix("") for p in (site / "nbs").rglob("*.html")}
    migrations = {path for path in notebooks - pages if "_v0" in path.name}
    assert notebooks - pages == migrations
    assert len(list((site / "api").rglob("*.html"))) == len(pages)


@pytest.mark.slow
def test_search_and_pages_work_offline(site, page):
    page.goto(f"{site.as_uri()}/index.html")
    page.get_by_placeholder("Search").first.fill("webhook")
    page.keyboard.press("Enter")
    page.get_by_text("Search finished").wait_for()
    assert page.locator("#search-results li a", has_text="Serving").count()
    page.goto(f"{site.as_uri()}/nbs/30_scorer/02_prediction.html")
    assert page.locator("math").count() and page.locator("math").first.bounding_box()["width"] > 0
    assert "#|" not in page.locator("article").inner_text()
    assert all(url.startswith(("file:", "data:")) for url in page.loaded)


@pytest.mark.slow
def test_reference_shows_comments_of_parameters(site, page):
    page.goto(f"{site.as_uri()}/api/10_core/02_settings.html")
    row = page.locator("table.docments tr", has=page.get_by_text("follow_seconds", exact=True))
    assert "seconds between two polls of the registry" in row.inner_text()


def test_the_checker_sees_broken_links(tmp_path):
    (tmp_path / "a.html").write_text('<a href="b.html#there"></a><a href="gone.html"></a><img src="//cdn.test/x.png">')
    (tmp_path / "b.html").write_text('<p id="here"></p><a href="https://other.test/">fine</a>')
    assert [line.partition(" ")[2] for line in check_site.problems(tmp_path)] == [
        "links to b.html#there, which has no such place",
        "links to gone.html, which does not exist",
        "loads //cdn.test/x.png",
    ]
