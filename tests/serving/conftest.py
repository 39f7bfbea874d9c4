"What the tests of the model server share: registered versions, servers as processes, and callers."
import json
import socket
import threading
import urllib.request

import httpx2
import numpy as np
import pytest
from conftest import Project, Service

from yelp_reviews.core.settings import get_settings
from yelp_reviews.core.tracking import use_experiment
from yelp_reviews.registry.promotion import move_alias, version_in_service
from yelp_reviews.registry.versions import log_model
from yelp_reviews.scorer.prediction import Scorer, predict_one

TEXT = "The soup was lovely, but we waited an hour for it."
BITS = 16


# Models


def constant_scorer(score: float, **fields) -> Scorer:
    "A model that gives every n-gram the same score, so that each score leads to another probability."
    return Scorer(np.full(2**BITS, score, np.float32), np.ones(2**BITS, np.uint16), **fields)


class Registry:
    "The registry of a project, and the models that were registered by a test."
    def __init__(self, project: Project):
        self.project = project
        home, cache = project.folder / ".yelp", project.folder / "cache"
        self.settings = get_settings(home=home, cache=cache, tracking_uri="")
        self.scorers = {}

    def add(self, scorer: Scorer) -> str:
        "Register a model; returns its version."
        with use_experiment(self.settings).start_run():
            version = log_model(scorer, self.settings)
        self.scorers[version] = scorer
        return version

    def promote(self, version: str):
        move_alias(self.settings, version, version_in_service(self.settings), "promotion")

    def add_production(self, scorer: Scorer) -> str:
        "Register a model and promote it; returns its version."
        version = self.add(scorer)
        self.promote(version)
        return version

    def is_right(self, answer: dict) -> bool:
        "Is the probability for `TEXT` the one that the version named in the answer gives?"
        scorer = self.scorers[answer["details"]["model_version"]]
        return abs(answer["probability"] - predict_one(scorer, TEXT)) < 1e-9


@pytest.fixture
def registry(project):
    return Registry(project)


# Servers


def start_server(project: Project, *args: str, **options) -> Service:
    "Start a project's model server and wait until it is ready; the options are those of `Service`."
    return Service(project, "serve", "--port", str(project.ports["server"]), *args, port="server", **options)


@pytest.fixture
def serve(project):
    "A function that starts the project's model server. What still runs at the end of the test is stopped."
    started = []

    def start(*args: str, **options) -> Service:
        server = start_server(project, *args, **options)
        started.append(server)
        return server

    yield start
    for server in started:
        if server.process.poll() is None: server.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    "A model server that the tests of a module share, and the registry with its only version."
    project = Project(tmp_path_factory.mktemp("served"))
    registry = Registry(project)
    registry.add_production(constant_scorer(1.))
    server = start_server(project, "--model", "production")
    yield server, registry
    server.stop()


@pytest.fixture(scope="module")
def client(served):
    "An HTTP client of the shared server."
    server, _ = served
    with httpx2.Client(base_url=server.url, timeout=30) as client: yield client


def read_page(server: Service, path: str) -> str:
    "A page of a server, over a connection of its own, so that any worker may answer."
    return urllib.request.urlopen(f"{server.url}{path}", timeout=10).read().decode()


def served_version(server: Service) -> str:
    return json.loads(read_page(server, "/version"))["model_version"]


# Callers


class Callers:
    "Threads that ask for predictions, one after the other, until the block ends."
    def __init__(self, server: Service, count: int = 4):
        self.url = f"{server.url}/predict"
        self.answers, self.failures = [], []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]

    def _ask(self):
        with httpx2.Client(timeout=10) as client:
            while not self._ended.is_set():
                try: response = client.post(self.url, json={"text": TEXT})
                except httpx2.HTTPError as e: self.failures.append(repr(e))
                else: self._record(response)

    def _record(self, response):
        if response.status_code == 200: self.answers.append(response.json())
        else: self.failures.append(response.text)

    def __enter__(self):
        for thread in self._threads: thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        for thread in self._threads: thread.join(10)


def begin_request(server: Service, body: bytes, length: int) -> socket.socket:
    "Send the head of a request for a prediction, and the beginning of a body of so many bytes."
    connection = socket.create_connection(("127.0.0.1", server.project.ports["server"]))
    head = (
        "POST /predict HTTP/1.1\r\n"
        "Host: x\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {length}\r\n"
        "\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection
