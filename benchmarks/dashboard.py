"""From a visit to a page that can be used, with a kernel that waited for the visitor and without, in Debian's Chromium.

    python benchmarks/dashboard.py --data sample
"""
import os, shutil, signal, subprocess, tempfile, time
import numpy as np
from playwright.sync_api import sync_playwright
from common import arguments, machine, table
from serve import CLI

PORTS = {"cold": 18901, "preheated": 18902}


def visit(browser, port: int) -> float:
    "Seconds from asking for the page to a text area that can be written in."
    page, start = browser.new_context().new_page(), time.perf_counter()
    page.goto(f"http://127.0.0.1:{port}")
    page.get_by_label("Your review").fill("Lovely soup.", timeout=120_000)
    seconds = time.perf_counter() - start
    page.context.close()
    return seconds


if __name__ == "__main__":
    options = arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        env = os.environ | {"YELP_HOME": folder, "YELP_API_KEY": "yelp_none"} # nothing is asked of the proxy before the first click
        servers = {name: subprocess.Popen([*CLI, "dashboard", "--port", str(port), "--kernels", "2" if name == "preheated" else "0"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for name, port in PORTS.items()}
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        try:
            time.sleep(20)
            visit(browser, PORTS["preheated"]) # fills the browser's own caches
            found = {name: [] for name in PORTS}
            for _ in range(options.rounds):
                for name, port in PORTS.items():
                    time.sleep(10) # the pool fills again
                    found[name].append(visit(browser, port))
        finally:
            browser.close()
            for server in servers.values(): server.send_signal(signal.SIGINT)
    print(f"{machine()}; {options.rounds} interleaved visits each\n")
    print(table(["kernel", "median seconds to a usable page", "slowest"], [[name, f"{np.median(seconds):.2f}", f"{max(seconds):.2f}"] for name, seconds in found.items()]))
