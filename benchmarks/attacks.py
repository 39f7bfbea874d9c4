"""An ordinary caller's success and latency, without and during attacks by one hostile client.

    python benchmarks/attacks.py
    python benchmarks/attacks.py --before FOLDER_WITH_ANOTHER_CHECKOUT --only "slow readers"

The attacks are in `attackers.py`; each runs in a process of its own, against services that were just started. The
ordinary caller opens a connection for each call; latencies are those of the calls that succeeded.
"""
import argparse
import http.client
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import httpx2
import numpy as np
import psutil
from attackers import ATTACKS, Attack, Target, kernel_of, run_attack, slow_readers
from common import machine, table
from serve import CLI, Server, project_env, review, train_model

HERE = Path(__file__).parents[1]
CALLERS = 4              # threads of the ordinary caller
PAUSE = .05              # seconds between two calls of a thread
CALL_SECONDS = 5         # until the ordinary caller gives up
VISIT_SECONDS = 30       # until a visitor of the dashboard gives up
DASHBOARD_FACTOR = 3     # the dashboard is measured longer, since opening the page takes seconds
BUILD_UP_SECONDS = 3     # from the start of an attack to the first call that is counted
MOST_MEMORY = 4_000      # resident megabytes at which an attack is ended early; at twice as many, the service is killed
ADDRESS_SPACE = 12 * 2**30  # bytes of a process
LONG_TEXTS = 3_000       # answered reviews in an export, of 19,000 characters each
RATE = "1000000/second"  # limit of the keys: not what is measured


# The ordinary caller


def predict(service: Server) -> bool:
    "Ask for one prediction, over a connection of its own."
    with closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=CALL_SECONDS)) as connection:
        connection.request("POST", service.url.split(str(service.port))[1], service.body, service.headers)
        response = connection.getresponse()
        response.read()
        return 200 <= response.status < 300


def visit(service: Server) -> bool:
    "Open the page of the dashboard and leave it."
    with httpx2.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=VISIT_SECONDS) as client:
        kernel = kernel_of(client.get("/").text)
        client.post(f"/voila/api/shutdown/{kernel}", headers={"X-XSRFToken": client.cookies.get("_xsrf", "")})
        return True


def call_for(seconds: float, call: Callable[[], bool]) -> list[tuple[bool, float]]:
    "Success and milliseconds of each call of one thread."
    calls, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        start, success = time.monotonic(), False
        with suppress(OSError, ValueError, http.client.HTTPException, httpx2.HTTPError): success = call()
        calls.append((success, 1000 * (time.monotonic() - start)))
        time.sleep(PAUSE)
    return calls


def measure_calls(service: Server, attacked: str, seconds: float) -> tuple[str, str]:
    "Success rate of an ordinary caller, and the 99th percentile of the latency of its successful calls."
    call, callers = (visit, 1) if attacked == "dashboard" else (predict, CALLERS)
    seconds *= DASHBOARD_FACTOR if attacked == "dashboard" else 1
    with ThreadPoolExecutor(callers) as threads:
        parts = threads.map(lambda _: call_for(seconds, lambda: call(service)), range(callers))
        calls = [one for part in parts for one in part]
    latencies = [milliseconds for success, milliseconds in calls if success]
    slowest = f"{np.quantile(latencies, .99):,.0f}" if latencies else "none"
    return f"{len(latencies) / len(calls):.1%} of {len(calls)}", slowest


# Services


def tree(service: Server) -> list[psutil.Process]:
    "A service's process and all its descendants, kernels included."
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(service.process.pid)
        return [process, *process.children(recursive=True)]
    return []


def kill(service: Server):
    "An attacked service may not react to anything else."
    for process in tree(service):
        with suppress(psutil.NoSuchProcess): process.kill()
    service.process.wait(20)


class Memory(threading.Thread):
    "Follows the resident megabytes of a service, and ends the attack, then the service, when they are too many."
    def __init__(self, service: Server, attacker: multiprocessing.Process):
        super().__init__(daemon=True)
        self.service, self.attacker, self.peak, self.ended = service, attacker, 0, threading.Event()

    def run(self):
        while not self.ended.wait(.1):
            resident = 0
            for process in tree(self.service):
                with suppress(psutil.NoSuchProcess): resident += process.memory_info().rss
            self.peak = max(self.peak, resident / 1e6)
            if self.peak > MOST_MEMORY: self.attacker.kill()
            if self.peak > 2 * MOST_MEMORY: return kill(self.service)

    def __str__(self):
        if self.peak < MOST_MEMORY: return f"{self.peak:,.0f}"
        return f"{self.peak:,.0f} ({'service killed' if self.peak > 2 * MOST_MEMORY else 'attack ended early'})"


class Checkout:
    "A version of the project whose services are attacked, with state of its own."
    def __init__(self, path: Path, folder: str, artifact: str):
        self.path, self.folder, self.artifact = path, folder, artifact
        safe = {"PYTHONPATH": str(path), "PYTHONSAFEPATH": "1"} # not the package in the working directory
        self.env = project_env(folder) | safe | {"YELP_API_KEY": "yelp_none"}

    def key(self, name: str) -> str:
        command = [*CLI, "keys", "create", name, "--scopes", "predict,answer,read", "--limit", RATE]
        created = subprocess.run(command, env=os.environ | self.env, capture_output=True, text=True, check=True)
        return created.stdout.strip()

    def start(self, name: str, files: int, running: ExitStack, key: str = "") -> Server:
        "Start one service under limits; `running` kills it."
        options = {"server": ["serve", "--model", self.artifact], "proxy": ["proxy"], "dashboard": ["dashboard"]}
        route = {"server": "/predict", "proxy": "/predictions", "dashboard": "/voila/static/voila-style.js"}
        body = None if name == "dashboard" else {"text": review()}
        limits = ["prlimit", f"--nofile={files}", f"--as={ADDRESS_SPACE}"]
        service = Server([*limits, *CLI, *options[name], "--port", "PORT"], route[name], body, self.env, key)
        running.callback(kill, service)
        return service

    def store_texts(self, proxy: Server):
        "Store long texts, so that an export is large, and answer them."
        text, batch = review(10**5)[:19_000], 200
        for _ in range(LONG_TEXTS // batch):
            url = f"http://127.0.0.1:{proxy.port}/predictions/batch"
            httpx2.post(url, json={"texts": [text] * batch}, headers=proxy.headers, timeout=60).raise_for_status()
        database = next(Path(self.folder, "home").glob("*.db"))
        with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
            connection.execute("UPDATE predictions SET user_answered = 1")


def measure(checkout: Checkout, attack: Attack, seconds: float) -> list[str]:
    "What an ordinary caller and the service experience before and during an attack."
    with ExitStack() as running:
        name, env = attack.service, checkout.env
        server = checkout.start("server", attack.files if name == "server" else 4096, running)
        env["YELP_SERVER_URL"] = f"http://127.0.0.1:{server.port}"
        key = checkout.key("ordinary") if name == "proxy" else ""
        service = server if name == "server" else checkout.start(name, attack.files, running, key)
        if attack.connection is slow_readers: checkout.store_texts(service)
        quiet = measure_calls(service, name, seconds)
        target = Target(service.port, checkout.key("hostile") if name == "proxy" else "none")
        attacker = multiprocessing.Process(target=run_attack, args=(attack, target), daemon=True)
        attacker.start()
        running.callback(attacker.kill)
        memory = Memory(service, attacker)
        memory.start()
        time.sleep(BUILD_UP_SECONDS)
        attacked = measure_calls(service, name, seconds)
        memory.ended.set()
        return [*quiet, *attacked, str(memory)]


HEADER = ["attack", "version", "success", "99th percentile, ms", "success during", "the same during, ms", "peak MB"]


def main(checkouts: dict[str, Path], only: str, seconds: float):
    attacks = {name: attack for name, attack in ATTACKS.items() if only in name}
    if not attacks: raise SystemExit(f"--only {only!r} is not in the name of any attack: {', '.join(ATTACKS)}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        artifact, rows = train_model("sample", folder), []
        for name, attack in attacks.items():
            for version, path in checkouts.items():
                with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as state:
                    rows.append([name, version, *measure(Checkout(path, state, artifact), attack, seconds)])
                print(*rows[-1], sep=", ", file=sys.stderr, flush=True)
    print(f"{machine()}; {seconds:g} s without and during each attack\n")
    print(table(HEADER, rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="another checkout, attacked in turn with this one")
    parser.add_argument("--only", default="", help="part of the names of attacks")
    parser.add_argument("--seconds", type=float, default=10, help="of ordinary calls, without and during an attack")
    options = parser.parse_args()
    before = {"before": options.before.resolve()} if options.before else {}
    main(before | {"after" if before else "this": HERE}, options.only, options.seconds)
