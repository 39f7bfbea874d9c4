"""The model server under load, beside other servers of the same model.

    python benchmarks/serve.py --data sample

The others are a bare FastAPI route of the same shape (`plain_server.py`), `mlflow models serve` of the same version,
and LitServe where it is installed (`litserve_server.py`). The load generator is wrk (Debian's), with 16 connections on
the loopback and reviews of 50 words.
"""
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from common import arguments, machine, table

from yelp_reviews.data.sample import generate

CLI = [sys.executable, "-c", "from yelp_reviews.cli import main; main()"]
SILENT = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
OURS, BARE, MLFLOW, LITSERVE = "yelp-reviews", "bare FastAPI route", "mlflow models serve", "LitServe, the same scorer"
START_SECONDS = 120 # until a server must answer
BATCH = 64          # reviews in a batch request


# What all benchmarks of servers need


def review(words: int = 50) -> str:
    "A synthetic review of so many words."
    text = " ".join(row["text"] for row in generate(200))
    return " ".join(text.replace('"', "").replace("\\", "").split()[:words])


def project_env(folder: str) -> dict[str, str]:
    "Environment of commands that keep all their state in a folder."
    return {
        "YELP_HOME": f"{folder}/home",
        "YELP_CACHE": f"{folder}/cache",
        "YELP_RUNS": f"{folder}/runs",
        "MLFLOW_TRACKING_URI": "",
    }


def train_model(data: str, folder: str) -> str:
    "Train and promote a model with the state in a folder; returns the path of its artifact."
    command = [*CLI, "train", "--data", data, "--run-name", "bench", "--promote"]
    training = subprocess.run(command, env=os.environ | project_env(folder), capture_output=True, text=True)
    if training.returncode: raise SystemExit(f"training failed: {training.stderr}")
    return str(next(Path(folder, "home/artifacts").rglob("model.safetensors")))


def free_port() -> int:
    "A port that nothing listens on."
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# wrk

MILLISECONDS = {"us": .001, "ms": 1, "s": 1000}
ERRORS = r"(?:Non-2xx or 3xx responses:|connect|read|write|timeout) (\d+)"


def quantile(printed: str, percent: int) -> float:
    "Milliseconds within which so many percent of the requests were answered; nan if wrk has not printed it."
    match = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", printed)
    return float(match[1]) * MILLISECONDS[match[2]] if match else math.nan


def load_script(body: str, headers: dict[str, str], delay: int|None) -> str:
    "A script for wrk: what a request contains, and the milliseconds between two requests of a connection."
    lines = ['wrk.method = "POST"', f"wrk.body = {json.dumps(body)}"]
    if delay is not None: lines.append(f"function delay() return {delay} end")
    lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    return "\n".join(lines) + "\n"


class Server:
    "A process that answers at a port until it is stopped."
    def __init__(
        self,
        command: list[str],  # PORT stands for the port
        path: str,           # the route that is measured
        body: dict|None,     # of each request; None sends GET
        env: dict[str, str], # in addition to this process's
        key: str = "",       # API key; empty sends none
    ):
        self.port = free_port()
        self.url, self.body = f"http://127.0.0.1:{self.port}{path}", json.dumps(body) if body else ""
        self.headers = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {})
        words = [word.replace("PORT", str(self.port)) for word in command]
        self.process = subprocess.Popen(words, env=os.environ | env, start_new_session=True, **SILENT)
        self.started = self.wait()

    def wait(self) -> float:
        "Seconds until the first request was answered."
        start = time.perf_counter()
        request = urllib.request.Request(self.url, self.body.encode() or None, self.headers)
        while time.perf_counter() - start < START_SECONDS:
            try:
                urllib.request.urlopen(request, timeout=5).read()
                return time.perf_counter() - start
            except OSError: time.sleep(.02)
        self.stop()
        raise SystemExit(f"{self.url} did not answer within {START_SECONDS} s")

    def load(
        self,
        seconds: int,
        rate: float = 0,       # requests a second; 0 sends as many as are answered
        connections: int = 16,
        spent: float = 0,      # milliseconds that a request takes, so that a rate is reached
    ) -> dict[str, float]:
        "Requests a second, errors, and milliseconds at the median and the 99th percentile."
        delay = int(1000 * connections / rate - spent) if rate else None
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(load_script(self.body, self.headers, delay))
            script.flush()
            options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script.name]
            printed = subprocess.run(["wrk", *options, self.url], capture_output=True, text=True, check=True).stdout
        return {
            "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", printed)[1]),
            "p50": quantile(printed, 50),
            "p99": quantile(printed, 99),
            "errors": sum(map(int, re.findall(ERRORS, printed))),
        }

    def memory(self) -> float:
        "Resident megabytes."
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000

    def stop(self):
        "Stop the process and those that it has started."
        try: os.killpg(self.process.pid, signal.SIGTERM)
        except ProcessLookupError: return
        self.process.wait(20)


# The comparison


def start_servers(folder: str, artifact: str, running: ExitStack) -> dict[str, Server]:
    "Start all servers; returns them by name. `running` stops them."
    env, here = project_env(folder), Path(__file__).parent
    text = review()

    def start(command: list[str], path: str = "/predict", body: dict|None = None, **more: str) -> Server:
        server = Server(command, path, body or {"text": text}, env | more)
        running.callback(server.stop)
        return server

    mlflow = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/yelp-model/1"]
    mlflow += ["--env-manager", "local", "-p", "PORT", "-w", "1"]
    frame = {"dataframe_split": {"columns": ["text"], "data": [[text]]}}
    mlflow_env = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/home/mlflow.db",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", # MLflow calls uvicorn by name
    }
    servers = {
        OURS: start([*CLI, "serve", "--model", artifact, "--port", "PORT"]),
        BARE: start([sys.executable, str(here / "plain_server.py"), "PORT"]),
        MLFLOW: start(mlflow, "/invocations", frame, **mlflow_env),
    }
    if find_spec("litserve"):
        servers[LITSERVE] = start([sys.executable, str(here / "litserve_server.py"), "PORT", artifact])
    return servers


def measure_rates(servers: dict[str, Server], rounds: int, seconds: int) -> dict[str, tuple[float, int]]:
    "Median of the requests a second in interleaved rounds, and the sum of all errors, by server."
    results = {name: [] for name in servers}
    for _ in range(rounds):
        for name, server in servers.items(): results[name].append(server.load(seconds))
    return {
        name: (float(np.median([run["rate"] for run in runs])), sum(run["errors"] for run in runs))
        for name, runs in results.items()
    }


def measure_batches(folder: str, artifact: str, seconds: int) -> float:
    "Reviews a second in batches, from 4 connections."
    command = [*CLI, "serve", "--model", artifact, "--port", "PORT"]
    server = Server(command, "/predict/batch", {"texts": [review()] * BATCH}, project_env(folder))
    try: return BATCH * server.load(seconds, connections=4)["rate"]
    finally: server.stop()


def report_rates(rates: dict[str, tuple[float, int]]) -> str:
    "The table of all servers."
    ours, _ = rates[OURS]
    rows = [[name, f"{rate:,.0f}", f"{ours / rate:.2f}", errors] for name, (rate, errors) in rates.items()]
    return table(["server", "requests a second", "ours against it", "errors"], rows)


def report_ours(server: Server, half: dict[str, float], batches: float) -> str:
    "The table of what was measured of this project's server only."
    at_half = f"{half['p99']:.1f} ms at {half['rate']:,.0f} a second, {half['errors']} errors"
    return table(["what", "figure"], [
        ["99th percentile at half of that load", at_half],
        [f"batches of {BATCH}", f"{batches:,.0f} reviews a second"],
        ["from start to the first answer", f"{server.started:.2f} s"],
        ["resident after the load", f"{server.memory():.0f} MB"],
    ])


def main(data: str, rounds: int, seconds: int):
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        artifact = train_model(data, folder)
        servers = start_servers(folder, artifact, running)
        rates = measure_rates(servers, rounds, seconds)
        ours, _ = rates[OURS]
        half = servers[OURS].load(seconds, ours / 2)
        batches = measure_batches(folder, artifact, seconds)
        print(
            f"{machine()}; one worker each, 16 connections, 50 words, "
            f"{rounds} interleaved rounds of {seconds} s, medians\n"
        )
        print(report_rates(rates), "\n")
        print(report_ours(servers[OURS], half, batches))


if __name__ == "__main__":
    options = arguments(__doc__, seconds=(int, 5, "of load a round"))
    main(options.data, options.rounds, options.seconds)
