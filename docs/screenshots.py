"""The pictures of the dashboard in docs/img, light and dark, from synthetic reviews, on everything that `yelp-reviews up` starts.

    make screenshots
"""
import os, random, shutil, signal, subprocess, sys, tempfile, time
from pathlib import Path
import httpx2
from playwright.sync_api import sync_playwright
from yelp_reviews.sample import generate

PORTS = {"MLFLOW": 15000, "SERVER": 18080, "PROXY": 18000, "DASHBOARD": 18866}
REVIEW = "The soup was lovely and the staff were kind, but we waited an hour and the table was dirty."


def fill(key: str):
    "Predictions with answers, most of them right."
    choose, client = random.Random(0), httpx2.Client(base_url=f"http://127.0.0.1:{PORTS['PROXY']}", headers={"X-API-Key": key}, timeout=60)
    for found in client.post("/predictions/batch", json={"texts": [r["text"] for r in generate(900, seed=3)]}).json()["predictions"]:
        if choose.random() < .4: client.patch(f"/predictions/{found['id']}", json={"is_positive_user_answered": choose.random() < (found["probability"] + .05) / 1.1})


def take(page, out: Path, theme: str):
    "One picture a tab."
    page.goto(f"http://127.0.0.1:{PORTS['DASHBOARD']}")
    page.get_by_label("Your review").fill(REVIEW)
    page.get_by_role("button", name="Classify", exact=True).click()
    page.get_by_text("Probability that it is positive").wait_for()
    page.mouse.click(5, 5)
    page.screenshot(path=out / f"classify-{theme}.png", full_page=True)
    page.get_by_role("tab", name="Statistics").click()
    page.get_by_role("combobox", name="By").select_option("hour")
    page.get_by_text("Grey: validation").first.wait_for()
    page.wait_for_timeout(2000)
    page.locator(".lm-TabPanel, .jupyter-widget-tab").first.screenshot(path=out / f"statistics-{theme}.png")


if __name__ == "__main__":
    out = Path(__file__).parent / "img"
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"YELP_HOME": f"{folder}/home", "YELP_RUNS": f"{folder}/runs", "PYTHONUNBUFFERED": "1", **{f"YELP_{name}_PORT": str(port) for name, port in PORTS.items()}}
        up = subprocess.Popen([sys.executable, "-c", "from yelp_reviews.cli import main; main()", "up", "--data", "sample"], cwd=folder, env=env, stdout=subprocess.PIPE, text=True)
        try:
            for line in up.stdout:
                if "Ctrl-C stops" in line: break
            fill(Path(folder, "home/dashboard.key").read_text().strip())
            time.sleep(5) # kernels that wait for visitors
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
                for theme in ("light", "dark"): take(browser.new_page(viewport={"width": 1200, "height": 760}, color_scheme=theme), out, theme)
                browser.close()
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(30)
