"The model server as a process: swaps, kills and a registry that comes and goes, all under load."
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import httpx2
import numpy as np
import pytest
from conftest import until, wait_json

from yelp_reviews.core.settings import get_settings
from yelp_reviews.core.tracking import use_experiment
from yelp_reviews.registry.versions import log_model
from yelp_reviews.registry.promotion import promote
from yelp_reviews.scorer.prediction import Scorer, predict_one

TEXT = "The soup was lovely, but we waited an hour for it."


class Load(threading.Thread):
    "Callers that ask for predictions, one after the other, until they are told to stop."
    def __init__(self, url: str, callers: int = 4):
        super().__init__(daemon=True)
        self.url, self.answers, self.failures, self.over = url, [], [], threading.Event()
        self.callers = [threading.Thread(target=self.ask, daemon=True) for _ in range(callers)]

    def ask(self):
        with httpx2.Client(timeout=10) as client:
            while not self.over.is_set():
                try:
                    response = client.post(f"{self.url}/predict", json={"text": TEXT})
                    if response.status_code == 200: self.answers.append(response.json())
                    else: self.failures.append(response.text)
                except httpx2.HTTPError as e: self.failures.append(repr(e))

    def __enter__(self):
        for caller in self.callers: caller.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for caller in self.callers: caller.join(10)


class Registry:
    "A registry with a few versions, each of which gives another probability."
    def __init__(self, project):
        self.project = project
        self.settings = get_settings(home=project.folder / ".yelp", cache=project.folder / "cache", tracking_uri="")
        self.scorers = {}

    def add(self, score: float) -> str:
        scorer = Scorer(np.full(2**16, score, np.float32), np.ones(2**16, np.uint16))
        with use_experiment(self.settings).start_run(): version = log_model(scorer, self.settings)
        self.scorers[version] = scorer
        return version

    def promote(self, version: str): promote(version, self.settings)

    def right(self, answer: dict) -> bool:
        "Is the answer's probability that of the version it names?"
        return abs(answer["probability"] - predict_one(self.scorers[answer["details"]["model_version"]], TEXT)) < 1e-9


@pytest.fixture
def registry(project): return Registry(project)


def serve(project, *args: str, **kw) -> tuple[subprocess.Popen, str]:
    "A model server of a project, ready; and its address."
    process = project.popen("serve", "--port", str(project.ports["server"]), *args, **kw)
    url = f"http://127.0.0.1:{project.ports['server']}"
    try: wait_json(f"{url}/health/ready")
    except AssertionError: raise AssertionError(f"{process.poll()}: {process.stderr.read() if process.poll() is not None else 'not ready'}") from None
    threading.Thread(target=process.stdout.read, daemon=True).start() # or its log would fill the pipe
    return process, url


def version(url: str) -> str: return json.load(urllib.request.urlopen(f"{url}/version"))["model_version"]


def end(process: subprocess.Popen):
    process.terminate()
    process.wait(20)


def test_a_hundred_swaps_under_load(project, registry):
    versions = [registry.add(1.), registry.add(-1.), registry.add(.5)]
    registry.promote(versions[0])
    process, url = serve(project, "--follow", "production", env={"YELP_FOLLOW_SECONDS": "0.1"})
    with Load(url) as load:
        for k in range(100):
            wanted = versions[(1, 0, 2, 1, 2, 0)[k % 6]] # now the spare, now one that has to be loaded
            registry.promote(wanted)
            until(lambda: version(url) == wanted, 3)
    end(process)
    assert not load.failures and len(load.answers) > 500
    assert {a["details"]["model_version"] for a in load.answers} == set(versions) and all(map(registry.right, load.answers))


def test_promoted_is_served(project, registry):
    "By looking once a second, and by a webhook."
    from yelp_reviews.serving.watcher import webhook_signature
    versions = [registry.add(k / 10) for k in range(1, 6)]
    registry.promote(versions[0])
    process, url = serve(project, "--follow", "production")
    for wanted in versions[1:3]:
        registry.promote(wanted)
        until(lambda: version(url) == wanted, 10)
    end(process)
    process, url = serve(project, "--follow", "production", env={"YELP_FOLLOW_SECONDS": "60", "YELP_WEBHOOK_SECRET": "s3cret"})
    for wanted in versions[3:]:
        registry.promote(wanted)
        stamp = str(int(time.time()))
        call = urllib.request.Request(f"{url}/webhooks/mlflow", b"{}", {"X-MLflow-Delivery-Id": "d", "X-MLflow-Timestamp": stamp, "X-MLflow-Signature": webhook_signature("s3cret", "d", stamp, b"{}")})
        assert urllib.request.urlopen(call).status == 202
        until(lambda: version(url) == wanted, 10) # and not after sixty seconds
    with pytest.raises(urllib.error.HTTPError, match="401"): urllib.request.urlopen(urllib.request.Request(f"{url}/webhooks/mlflow", b"{}"))
    end(process)


def test_a_killed_worker_is_replaced(project, registry):
    registry.promote(registry.add(1.))
    process, url = serve(project, "--model", "production", "--workers", "2")
    seen = lambda: {json.load(urllib.request.urlopen(f"{url}/version"))["worker"] for _ in range(20)}
    until(lambda: len(seen()) == 2, 30)
    with Load(url) as load:
        time.sleep(1)
        victim = min(seen())
        os.kill(victim, signal.SIGKILL)
        until(lambda: victim not in (now := seen()) and len(now) == 2, 30)
        time.sleep(1)
        lost = len(load.failures)
        time.sleep(2)
    assert len(load.failures) == lost <= 8, "only what the killed worker had in hand is lost"
    assert len(load.answers) > 200
    page = urllib.request.urlopen(f"{url}/metrics").read().decode()
    counted = float(re.search(r'yelp_requests_total\{path="/predict",status="200"\} ([\d.]+)', page)[1])
    assert counted >= len(load.answers) - 8, "the metrics are those of both workers"
    end(process)


def test_a_registry_that_goes_disturbs_nothing(project, registry):
    "Killed, started again, emptied: what is served goes on; and a server that starts meanwhile serves the last good version."
    one = registry.add(1.)
    registry.promote(one)
    start = lambda: subprocess.Popen([sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{registry.settings.home}/mlflow.db", "--workers", "1",
                                      "--port", str(project.ports["mlflow"])], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                     env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})
    def kill():
        os.killpg(mlflow.pid, signal.SIGKILL)
        mlflow.wait()
    mlflow, address = start(), f"http://127.0.0.1:{project.ports['mlflow']}"
    until(lambda: not os.system(f"curl -sf {address}/health > /dev/null"), 60)
    there = {"MLFLOW_TRACKING_URI": address, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "YELP_FOLLOW_SECONDS": "0.2"}
    process, url = serve(project, "--follow", "production", env=there)
    with Load(url) as load:
        kill()
        time.sleep(2)
        assert version(url) == one
        mlflow, two = start(), registry.add(2.)
        registry.promote(two)
        until(lambda: version(url) == two, 60)
        use_experiment(registry.settings).MlflowClient().delete_registered_model("yelp-model")
        time.sleep(1)
        assert version(url) == two
    assert not load.failures and all(map(registry.right, load.answers))
    kill()
    end(process)
    process, url = serve(project, "--follow", "production", env=there)
    assert version(url) == two
    end(process)


def test_a_full_disk_keeps_the_old_version(project, registry):
    "A limit on the size of a file is what a full disk looks like to a process."
    one = registry.add(1.)
    registry.promote(one)
    settings, full = registry.settings, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    subprocess.run([sys.executable, "-c", "from yelp_reviews.registry.versions import load_model; from yelp_reviews.core.settings import get_settings; load_model('production', get_settings())"],
                   env=project.env, cwd=project.folder, check=True)
    process, url = serve(project, "--follow", "production", env={"YELP_FOLLOW_SECONDS": "0.2"}, preexec_fn=full)
    two = registry.add(2.)
    registry.promote(two)
    metrics = lambda: urllib.request.urlopen(f"{url}/metrics").read().decode()
    until(lambda: "yelp_model_swap_failures_total 0.0" not in metrics(), 20)
    assert version(url) == one
    assert not [p for p in (settings.cache / "models").iterdir() if p.name.startswith(".unfinished")]
    end(process)


def test_sigterm_drains(project, registry):
    "Not ready first, answering still, and no request in hand is lost."
    registry.promote(registry.add(1.))
    process, url = serve(project, "--model", "production", env={"YELP_DRAIN_SECONDS": "1.5"})
    import socket
    slow = socket.create_connection(("127.0.0.1", project.ports["server"]))
    slow.sendall(b'POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"text": ')
    with Load(url) as load:
        time.sleep(.5)
        process.terminate()
        def ready() -> int:
            try: return urllib.request.urlopen(f"{url}/health/ready").status
            except urllib.error.HTTPError as e: return e.code
        until(lambda: ready() == 503, 1)
        before = len(load.answers)
        time.sleep(.5)
        assert len(load.answers) > before and not load.failures
        until(lambda: load.failures, 5) # now nothing more is accepted
        slow.sendall(b'"soup"}')
        assert slow.recv(100).startswith(b"HTTP/1.1 200"), "what was in hand is finished"
    assert all("Connect" in f or "disconnected" in f or "reset" in f for f in load.failures), set(load.failures)
    assert process.wait(10) in (0, -signal.SIGTERM)


def test_limits_hold(project, registry):
    "Too many at once are told to come back; a slow body is not waited for."
    registry.promote(registry.add(1.))
    process, url = serve(project, "--model", "production", env={"YELP_MAX_CONCURRENCY": "2", "YELP_BODY_TIMEOUT": "1"})
    import socket
    slow = [socket.create_connection(("127.0.0.1", project.ports["server"])) for _ in range(2)]
    for s in slow: s.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    time.sleep(.3)
    with pytest.raises(urllib.error.HTTPError) as busy: urllib.request.urlopen(urllib.request.Request(f"{url}/predict", b'{"text": "soup"}', {"Content-Type": "application/json"}))
    assert busy.value.code == 503 and busy.value.headers["Retry-After"] == "1" and busy.value.headers["Content-Type"] == "application/problem+json"
    for s in slow: assert s.recv(100).startswith(b"HTTP/1.1 408")
    with socket.create_connection(("127.0.0.1", project.ports["server"])) as half:
        half.sendall(b"POST /predict HTTP/1.1\r\n")
        half.settimeout(20)
        assert half.recv(100) == b"", "half a head is not waited for"
    end(process)


ODD = {'{"text": "\\u0000"}': 200, '{"text": "so\\u0000up"}': 200, '{"text": 3}': 422, '{"text": null}': 422, "[]": 422, "3": 422, "": 422, "{": 422, '{"text": "\\ud800"}': 422,
       '{"text": "' + "a" * 5_000_000 + '"}': 413, '{"text": "' + "a" * 30_000 + '"}': 422, '{"text": "' + "a" + "\u0301" * 15_000 + '"}': 200, '{"text": "soup", "explain": "maybe"}': 422,
       '{"text": "' + "((((" * 4000 + '"}': 200, '{"text": NaN}': 422, '{"text": "soup"}' * 2: 422, '{"text": {"a": [[[[]]]]}}': 422}


def test_odd_bodies_have_answers(project, registry):
    registry.promote(registry.add(1.))
    process, url = serve(project, "--model", "production")
    with httpx2.Client(base_url=url) as client:
        for body, status in ODD.items():
            response = client.post("/predict", content=body.encode("utf-8", "surrogatepass"), headers={"Content-Type": "application/json"})
            assert response.status_code == status, (body[:40], response.text)
            assert status == 200 or response.headers["Content-Type"] == "application/problem+json"
            assert client.post("/predict", content=body.encode("utf-8", "surrogatepass"), headers={"Content-Type": "text/plain"}).status_code in (413, 422)
            assert client.post("/predict/batch", content=body.encode("utf-8", "surrogatepass"), headers={"Content-Type": "application/json"}).status_code in (413, 422)
        assert client.post("/predict", json={"text": "so\x00up"}).json()["text"] == "so\x00up"
    end(process)


@pytest.mark.slow
def test_fuzzed_by_the_openapi_document(project, registry):
    registry.promote(registry.add(1.))
    process, url = serve(project, "--model", "production")
    fuzz = subprocess.run([sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
                           "--max-examples", "1000", "--phases", "examples,coverage,fuzzing", "--workers", "1", "--no-color"], capture_output=True, text=True, timeout=280, cwd=project.folder)
    assert fuzz.returncode == 0, fuzz.stdout[-4000:]
    end(process)
