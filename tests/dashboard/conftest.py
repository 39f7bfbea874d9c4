"The stack of the dashboard (MLflow, model server, proxy with PostgreSQL, Voilà) and a visitor in Debian's Chromium."
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import Project, Service, new_database, new_key, until
from playwright.sync_api import expect, sync_playwright

from yelp_reviews.core.settings import get_settings
from yelp_reviews.core.tracking import use_experiment
from yelp_reviews.registry.promotion import move_alias, version_in_service
from yelp_reviews.registry.versions import log_model
from yelp_reviews.scorer.artifact import load_scorer

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
VOILA_READY = "/voila/static/voila-style.js"  # answered as soon as Voilà is started


class Stack:
    "Everything that `yelp-reviews up` starts, as single processes that a test can kill."

    def __init__(self, project: Project, artifact: str):
        self.project = project
        self.settings = get_settings(home=project.folder / ".yelp", cache=project.folder / "cache", tracking_uri="")
        self.scorer = load_scorer(Path(artifact))
        self.services = []
        self.add_version(self.scorer)
        self.promote("1")
        self.mlflow_url = f"http://127.0.0.1:{project.ports['mlflow']}"
        self.mlflow = self._start_mlflow()
        project.env |= {
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            "YELP_API_KEY": new_key(project, "predict,answer,read"),
        }
        until(self._mlflow_answers, 60)
        self.server = self.start("serve", "--follow", "production", port="server")
        self.proxy = self.start("proxy", port="proxy")
        # pages of ended tests keep their kernels for a while
        limit = {"YELP_DASHBOARD_KERNELS": "64"}
        self.dashboard = self.start("dashboard", "--idle", "20", port="dashboard", ready=VOILA_READY, **limit)

    def start(self, command: str, *options: str, port: str, **more) -> Service:
        "Start a command of the project and wait until it is ready."
        number = str(self.project.ports[port])
        service = Service(self.project, command, *options, "--port", number, port=port, **more)
        self.services.append(service)
        return service

    def _start_mlflow(self) -> subprocess.Popen:
        database = f"sqlite:///{self.settings.home}/mlflow.db"
        options = {"backend-store-uri": database, "workers": 1, "port": self.project.ports["mlflow"]}
        return subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *(f"--{name}={value}" for name, value in options.items())],
            env=self.project.env | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _mlflow_answers(self) -> bool:
        return subprocess.run(["curl", "-sf", f"{self.mlflow_url}/health"], capture_output=True).returncode == 0

    def add_version(self, scorer):
        "Register a version of the model."
        with use_experiment(self.settings).start_run():
            log_model(scorer, self.settings)

    def promote(self, version: str):
        move_alias(self.settings, version, version_in_service(self.settings), "promotion")

    def stop(self):
        for service in reversed(self.services):
            if service.process.poll() is None:
                service.stop()
        self.mlflow.terminate()


@pytest.fixture(scope="session")
def stack(tmp_path_factory, artifact, postgres):
    "The stack, shared by all tests: no test relies on what another one has stored."
    project = Project(tmp_path_factory.mktemp("stack"))
    project.env["YELP_DATABASE_URL"] = new_database(postgres)
    running = Stack(project, artifact)
    yield running
    running.stop()


@pytest.fixture
def empty_store(stack, postgres):
    "Deletes what earlier tests have stored."
    database = urlsplit(stack.project.env["YELP_DATABASE_URL"]).path.strip("/")
    postgres.psql(f"\\connect {database}\nTRUNCATE predictions, answers, tallies;")


@pytest.fixture(scope="module")
def browser():
    "Chromium, closed after each file, because an open Playwright keeps an event loop running."
    expect.set_options(timeout=20_000)  # a busy machine takes longer than Playwright's five seconds
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


class Visit:
    "One visitor's page, and what happens on it that should not."

    def __init__(self, browser, url: str, width: int, dark: bool):
        scheme = "dark" if dark else "light"
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = context.new_page()
        self.allowed = (url, url.replace("http", "ws"), "data:", "blob:")
        self.foreign_requests, self.errors = [], []
        self.page.on("request", self._note_request)
        self.page.on("console", self._note_message)
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog {dialog.message}"))
        self.page.goto(url)
        self.page.get_by_label("Your review").wait_for(timeout=60_000)

    def _note_request(self, request):
        if not request.url.startswith(self.allowed):
            self.foreign_requests.append(request.url)

    def _note_message(self, message):
        if message.type == "error":
            self.errors.append(message.text)

    def close(self):
        "Check that nothing came from elsewhere, no injected script ran, and no error was shown or logged; then leave."
        assert self.foreign_requests == []
        assert self.errors == []
        assert self.page.evaluate("window.hit") is None
        text = self.page.inner_text("body")
        assert "import" not in text and "Traceback" not in text
        self.page.context.close()


@pytest.fixture
def visit(stack, browser):
    "A function that opens the page as a new visitor. Each visit is checked at the end of the test."
    visits = []

    def open_page(width: int = 1440, dark: bool = False):
        visits.append(Visit(browser, stack.dashboard.url, width, dark))
        return visits[-1].page

    yield open_page
    for one in visits:
        one.close()
