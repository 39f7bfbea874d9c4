"""Seconds from opening the dashboard to a usable page in Chromium, with and without a kernel started in advance.

    python benchmarks/dashboard.py --data sample
"""
import os
import shutil
import signal
import subprocess
import tempfile
import time

import numpy as np
from common import arguments, machine, table
from playwright.sync_api import Browser, sync_playwright
from serve import CLI

KERNELS = {"cold": 0, "preheated": 2}           # kernels that wait for visitors
PORTS = {"cold": 18901, "preheated": 18902}
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
START_SECONDS = 20                              # until both servers are started and their kernels wait
REFILL_SECONDS = 10                             # until another kernel waits after a visit


def visit(browser: Browser, port: int) -> float:
    "Seconds from requesting the page to a text area that can be written in."
    page, start = browser.new_context().new_page(), time.perf_counter()
    page.goto(f"http://127.0.0.1:{port}")
    page.get_by_label("Your review").fill("Lovely soup.", timeout=120_000)
    seconds = time.perf_counter() - start
    page.context.close()
    return seconds


def start_server(name: str, home: str) -> subprocess.Popen:
    "Start a dashboard. Its key is never used: the page asks nothing of the proxy before the first click."
    return subprocess.Popen(
        [*CLI, "dashboard", "--port", str(PORTS[name]), "--kernels", str(KERNELS[name])],
        env=os.environ | {"YELP_HOME": home, "YELP_API_KEY": "yelp_none"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def measure(browser: Browser, rounds: int) -> dict[str, list[float]]:
    "Seconds of interleaved visits to both servers."
    visit(browser, PORTS["preheated"])  # fills the browser's own caches
    seconds = {name: [] for name in PORTS}
    for _ in range(rounds):
        for name, port in PORTS.items():
            time.sleep(REFILL_SECONDS)
            seconds[name].append(visit(browser, port))
    return seconds


def main():
    options = arguments(__doc__)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        servers = [start_server(name, home) for name in PORTS]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        try:
            time.sleep(START_SECONDS)
            seconds = measure(browser, options.rounds)
        finally:
            browser.close()
            for server in servers:
                server.send_signal(signal.SIGINT)
    print(f"{machine()}; {options.rounds} interleaved visits each\n")
    rows = [[name, f"{np.median(values):.2f}", f"{max(values):.2f}"] for name, values in seconds.items()]
    print(table(["kernel", "median seconds to a usable page", "slowest"], rows))


if __name__ == "__main__":
    main()
