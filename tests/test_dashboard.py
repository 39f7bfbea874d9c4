"The dashboard in Debian's Chromium, on the whole stack: MLflow, model server, proxy with PostgreSQL, Voilà."
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import Project, Service, new_database, new_key, until
from playwright.sync_api import expect, sync_playwright

from yelp_reviews.core.settings import get_settings
from yelp_reviews.core.tracking import use_experiment
from yelp_reviews.registry.versions import log_model
from yelp_reviews.registry.promotion import promote
from yelp_reviews.data.sample import generate
from yelp_reviews.scorer.artifact import load_scorer

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
MIXED = "The soup was lovely, but we waited an hour for it."
EVIL = "<script>window.hit = 1</script> <img src=x onerror=\"window.hit = 1\"> lovely soup </textarea><b>bold</b>"
TABS = ["Classify", "Statistics", "Models", "Predictions", "Batch"]


class Stack:
    "Everything that `up` starts, each part by itself, so that it can be killed."
    def __init__(self, project, artifact: str):
        self.project = project
        self.settings = get_settings(home=project.folder / ".yelp", cache=project.folder / "cache", tracking_uri="")
        self.scorer, self.parts = load_scorer(Path(artifact)), []
        self.add(self.scorer)
        uri = f"http://127.0.0.1:{project.ports['mlflow']}"
        self.mlflow = subprocess.Popen([sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{self.settings.home}/mlflow.db", "--workers", "1", "--port", str(project.ports["mlflow"])],
                                       env=project.env | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.promote("1")
        project.env |= {"MLFLOW_TRACKING_URI": uri, "YELP_API_KEY": new_key(project, "predict,answer,read")}
        until(lambda: subprocess.run(["curl", "-sf", f"{uri}/health"], capture_output=True).returncode == 0, 60)
        self.server = self.start("serve", "--follow", "production", "--port", str(project.ports["server"]), port="server")
        self.proxy = self.start("proxy", "--port", str(project.ports["proxy"]), port="proxy")
        self.dashboard = self.start("dashboard", "--port", str(project.ports["dashboard"]), "--idle", "20", port="dashboard", ready="/voila/static/voila-style.js")
        self.url = self.dashboard.url

    def start(self, *args: str, **kw) -> Service:
        self.parts.append(Service(self.project, *args, **kw))
        return self.parts[-1]

    def add(self, scorer):
        with use_experiment(self.settings).start_run(): return log_model(scorer, self.settings)

    def promote(self, version: str): promote(version, self.settings)

    def stop(self):
        for part in reversed(self.parts):
            if part.process.poll() is None: part.stop()
        self.mlflow.terminate()


@pytest.fixture(scope="module")
def stack(tmp_path_factory, artifact, postgres):
    project = Project(tmp_path_factory.mktemp("stack"))
    project.env["YELP_DATABASE_URL"] = new_database(postgres)
    found = Stack(project, artifact)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(stack, browser):
    "A function that opens the page as a new visitor; at the end: nothing came from elsewhere, nothing ran that should not, no error was logged."
    opened = []

    def visit(width: int = 1440, dark: bool = False):
        page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light").new_page()
        page.elsewhere, page.errors = [], []
        page.on("request", lambda r: None if r.url.startswith((stack.url, stack.url.replace("http", "ws"), "data:", "blob:")) else page.elsewhere.append(r.url))
        page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
        page.on("dialog", lambda d: page.errors.append(f"dialog {d.message}"))
        page.goto(stack.url)
        page.get_by_label("Your review").wait_for(timeout=60_000)
        opened.append(page)
        return page
    yield visit
    for page in opened:
        assert page.evaluate("window.hit") is None and page.elsewhere == []
        assert page.errors == []
        assert "import" not in page.inner_text("body") and "Traceback" not in page.inner_text("body")
        page.context.close()


def open_tab(page, name: str):
    page.get_by_role("tab", name=name).click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()


def classify(page, text: str):
    page.get_by_label("Your review").fill(text)
    page.get_by_label("Your review").press("Control+Enter")


def listed(page): return page.get_by_role("region", name="Predictions").locator("tbody tr")


def tile(page, name: str): return page.locator(".y-tiles > div", has=page.get_by_text(name, exact=True)).locator(".y-big")


def test_classify_explain_disagree_undo(visit):
    page = visit()
    open_tab(page, "Statistics")
    expect(page.get_by_text("Nothing is stored for this choice yet")).to_be_visible()
    open_tab(page, "Classify")
    page.get_by_role("button", name="Classify", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("nothing to read yet")
    page.get_by_role("button", name="Try a mixed one").click()
    expect(page.get_by_text(re.compile(r"^\d+ of 20,000 characters"))).to_be_visible()
    classify(page, MIXED)
    expect(page.get_by_text("Probability that it is positive")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert re.match(r"Unsure|Positive|Negative", page.locator(".y-verdict").inner_text())
    words = page.locator(".y-review span")
    assert words.first.inner_text() == "The" and re.fullmatch(r"[+-]\d\.\d{3}", words.first.get_attribute("title"))
    page.get_by_text("All words as a table").click()
    expect(page.locator("details table tbody tr")).to_have_count(words.count())
    page.get_by_role("button", name="Disagree").click()
    expect(page.get_by_text("Thank you. Stored")).to_be_visible()
    open_tab(page, "Statistics")
    expect(tile(page, "right")).to_have_text("0.0%")
    expect(tile(page, "answered")).to_have_text("1")
    open_tab(page, "Classify")
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name=re.compile("^Agree")).click()
    open_tab(page, "Statistics")
    expect(tile(page, "right")).to_have_text("100.0%")
    for picture in ("Correctness over time", "Predictions", "Calibration", "Unknown words"): expect(page.locator(".y-picture", has_text=picture).locator("svg").first).to_be_visible()
    expect(page.get_by_text("too little data").first).to_be_visible()


def test_another_version_appears(visit, stack):
    from dataclasses import replace
    page = visit()
    classify(page, MIXED)
    expect(page.get_by_text("Model version 1,")).to_be_visible()
    stack.add(replace(stack.scorer, scores=-stack.scorer.scores))
    stack.promote("2")
    def second():
        page.get_by_role("button", name="Classify", exact=True).click()
        time.sleep(.5)
        return page.get_by_text("Model version 2,").is_visible()
    until(second, 15)
    open_tab(page, "Models")
    expect(page.get_by_text(re.compile("Version 2 serves since"))).to_be_visible()
    stack.promote("1")
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("cell", name="rollback")).to_be_visible()
    assert page.get_by_role("link", name="Open MLflow").get_attribute("href") == stack.project.env["MLFLOW_TRACKING_URI"]
    open_tab(page, "Statistics")
    page.get_by_role("combobox", name="Version").select_option("2")
    expect(page.locator("table", has_text="By model version").locator("tbody tr")).to_have_count(1)


def test_correct_in_place_and_turn_pages(visit, stack):
    page = visit()
    for k in range(25): classify(page, f"{MIXED} {k}"); expect(page.locator(".y-review")).to_contain_text(f" {k}")
    open_tab(page, "Predictions")
    rows = listed(page)
    expect(rows).to_have_count(20)
    expect(rows.first).to_contain_text(f"{MIXED} 24")
    rows.first.get_by_role("combobox").select_option("negative")
    page.get_by_role("combobox", name="Show").select_option("answered")
    expect(rows.first).to_contain_text(f"{MIXED} 24")
    expect(rows.first.get_by_role("combobox")).to_have_value("false")
    page.get_by_role("combobox", name="Show").select_option("all")
    expect(rows).to_have_count(20)
    page.get_by_role("button", name="Older").click()
    expect(rows.first).to_contain_text(f"{MIXED} 4")
    page.get_by_role("button", name="Newer").click()
    expect(rows.first).to_contain_text(f"{MIXED} 24")


def test_a_file_of_reviews(visit, tmp_path):
    page = visit()
    open_tab(page, "Batch")
    def upload(path):
        with page.expect_file_chooser() as chooser: page.get_by_role("button", name="Choose a file").click()
        chooser.value.set_files(path)
    (tmp_path / "photo.csv").write_bytes(b"\x89PNG\x00\x01")
    upload(tmp_path / "photo.csv")
    expect(page.get_by_role("alert")).to_contain_text("photo.csv")
    (tmp_path / "<img src=x onerror='window.hit=1'>.csv").write_text('text\n"Lovely."\n')
    upload(tmp_path / "<img src=x onerror='window.hit=1'>.csv")
    expect(page.get_by_text("1 reviews:")).to_be_visible()
    texts = [r["text"] for r in generate(450, seed=9)]
    (tmp_path / "reviews.csv").write_text("text\n" + "".join('"' + t.replace('"', '""') + '"\n' for t in [*texts, EVIL, "  "]))
    upload(tmp_path / "reviews.csv")
    expect(page.get_by_text("451 reviews:")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("1 blank or too long")).to_be_visible()
    expect(page.locator(".y-picture svg").first).to_be_visible()
    with page.expect_download() as download: page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "reviews-classified.csv"
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0] == '"text","probability","is_positive_review"' and len(lines) >= 453


def test_the_proxy_is_killed_and_comes_back(visit, stack):
    page = visit()
    classify(page, f"{MIXED} before")
    expect(page.locator(".y-review")).to_contain_text("before")
    stack.proxy.stop(signal.SIGKILL)
    classify(page, f"{MIXED} meanwhile")
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    stack.proxy.start()
    expect(page.locator(".y-review")).to_contain_text("meanwhile", timeout=15_000)
    expect(page.get_by_role("alert")).to_have_count(0)
    open_tab(page, "Predictions")
    expect(listed(page).filter(has_text="meanwhile")).to_have_count(1)


def test_text_is_text(visit):
    page = visit()
    classify(page, EVIL)
    expect(page.locator(".y-review")).to_contain_text("<script>window.hit = 1</script>")
    page.get_by_text("All words as a table").click()
    open_tab(page, "Predictions")
    expect(listed(page).first).to_contain_text("<img src=x onerror=")


def test_too_long_and_a_refused_key(visit, stack, browser):
    page = visit()
    classify(page, "soup " * 4001)
    expect(page.get_by_role("alert")).to_contain_text("20,005 characters; send 20,000 at most")
    other = stack.project.ports["dashboard"]
    from conftest import free_port
    stack.project.ports["dashboard"] = free_port()
    refused = Service(stack.project, "dashboard", "--kernels", "0", "--port", str(stack.project.ports["dashboard"]), port="dashboard", ready="/voila/static/voila-style.js", YELP_API_KEY="yelp_no")
    stack.project.ports["dashboard"] = other
    page = browser.new_page()
    page.goto(refused.url)
    page.get_by_label("Your review").wait_for(timeout=60_000)
    classify(page, MIXED)
    expect(page.get_by_role("alert")).to_contain_text("does not accept this page's key")
    page.close()
    refused.stop()


@pytest.mark.parametrize("dark", [False, True])
def test_everybody_can_use_it(visit, dark):
    "axe finds nothing serious on any tab; on a narrow screen nothing has to be scrolled sideways; the keyboard gets everywhere."
    for width in (1440, 360):
        page = visit(width=width, dark=dark)
        classify(page, MIXED)
        expect(page.locator(".y-review")).to_be_visible()
        for name in TABS:
            open_tab(page, name)
            page.wait_for_timeout(500)
            found = [v for v in Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"] if v["impact"] in ("serious", "critical")]
            assert not found, [(name, v["id"], [n["html"][:200] for n in v["nodes"][:3]]) for v in found]
            assert page.evaluate("document.scrollingElement.scrollWidth") <= width, (name, width)
    open_tab(page, "Classify")
    page.get_by_label("Your review").focus()
    seen = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.textContent.trim()"))
    assert {"Classify", "Try a good one", "All words as a table"} <= seen and any(s.startswith("Disagree") for s in seen), seen


@pytest.mark.slow
def test_each_visitor_has_a_kernel_that_ends(visit, stack):
    def kernels() -> set[str]: return set(subprocess.run(["pgrep", "-g", str(stack.dashboard.process.pid), "-f", "ipykernel"], capture_output=True, text=True).stdout.split()) or set(
        subprocess.run(["pgrep", "-P", str(stack.dashboard.process.pid)], capture_output=True, text=True).stdout.split())
    time.sleep(2)
    one, two = visit(), visit()
    classify(one, f"{MIXED} one"); classify(two, f"{MIXED} two")
    expect(one.locator(".y-review")).to_contain_text("one")
    expect(two.locator(".y-review")).to_contain_text("two")
    until(lambda: len(kernels()) >= 4, 30) # two that are used, two that wait
    for page in (one, two): page.goto("about:blank")
    until(lambda: len(kernels()) <= 2, 90)
