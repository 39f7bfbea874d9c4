"A registry that fails or a full disk changes nothing for callers: the last good version stays in service."
import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from conftest import until, wait_answer

from yelp_reviews.core.tracking import use_experiment

from .conftest import Callers, constant_scorer, read_page, served_version

LOAD_PRODUCTION = """
from yelp_reviews.core.settings import get_settings
from yelp_reviews.registry.versions import load_model
load_model("production", get_settings())
"""


class MLflowServer:
    "MLflow's server of a project's registry, which can be killed and started again."
    def __init__(self, registry, port: int):
        self.url = f"http://127.0.0.1:{port}"
        database = f"sqlite:///{registry.settings.home}/mlflow.db"
        options = ["--backend-store-uri", database, "--workers", "1", "--port", str(port)]
        self.command = [sys.executable, "-m", "mlflow", "server", *options]
        self.start()

    def start(self):
        env = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(self.command, env=env, start_new_session=True, **quiet)

    def kill(self):
        if self.process.poll() is not None: return
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def mlflow_server(project, registry):
    use_experiment(registry.settings)  # creates the tables, which two processes cannot do at the same time
    server = MLflowServer(registry, project.ports["mlflow"])
    yield server
    server.kill()


def test_a_registry_that_is_killed_restarted_and_emptied_disturbs_nobody(registry, serve, mlflow_server):
    first = registry.add_production(constant_scorer(1.))
    wait_answer(f"{mlflow_server.url}/health", 60)
    env = {
        "MLFLOW_TRACKING_URI": mlflow_server.url,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "YELP_FOLLOW_SECONDS": "0.2",
    }
    server = serve("--follow", "production", **env)
    with Callers(server) as callers:
        mlflow_server.kill()
        time.sleep(2)
        assert served_version(server) == first

        mlflow_server.start()
        second = registry.add_production(constant_scorer(2.))
        until(lambda: served_version(server) == second, 60)

        use_experiment(registry.settings).MlflowClient().delete_registered_model("yelp-model")
        time.sleep(1)
        assert served_version(server) == second
    assert not callers.failures
    assert all(map(registry.is_right, callers.answers))

    # a server that starts while the registry is away serves the last good version
    mlflow_server.kill()
    server.stop()
    assert served_version(serve("--follow", "production", **env)) == second


def limit_file_size():
    "Limit the size of files that the process writes, which to the process is the same as a full disk."
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_full_disk_keeps_the_old_version_and_leaves_no_unfinished_download(project, registry, serve):
    first = registry.add_production(constant_scorer(1.))
    download = [sys.executable, "-c", LOAD_PRODUCTION]
    subprocess.run(download, env=project.env, cwd=project.folder, check=True)
    server = serve("--follow", "production", preexec_fn=limit_file_size, YELP_FOLLOW_SECONDS="0.2")
    registry.add_production(constant_scorer(2.))
    until(lambda: "yelp_model_swap_failures_total 0.0" not in read_page(server, "/metrics"), 20)
    assert served_version(server) == first
    models = registry.settings.cache / "models"
    assert not [path for path in models.iterdir() if path.name.startswith(".unfinished")]
