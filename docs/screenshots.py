"""Take the pictures of the dashboard in docs/img, light and dark, from synthetic reviews and a complete stack.

    make screenshots
"""
import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import sync_playwright

from yelp_reviews.core.settings import ProxySettings, get_settings
from yelp_reviews.data.sample import generate
from yelp_reviews.proxy.database import open_database
from yelp_reviews.proxy.predictions import add_predictions
from yelp_reviews.proxy.records import PredictionRecord, utc_now, uuid7
from yelp_reviews.registry.versions import load_model
from yelp_reviews.scorer.prediction import predict

PORTS = {"MLFLOW": 15000, "SERVER": 18080, "PROXY": 18000, "DASHBOARD": 18866}
REVIEW = "The soup was lovely and the staff were kind, but we waited an hour and the table was dirty."
BROWSER_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def synthetic_record(choose: random.Random, text: str, probability: float) -> PredictionRecord:
    "A prediction of the last week; two in five have an answer, which is mostly right."
    at = utc_now() - timedelta(hours=choose.random() * 160)
    answer = choose.random() < (probability + .05) / 1.1 if choose.random() < .4 else None
    return PredictionRecord(
        id=uuid7(at),
        timestamp=at,
        text=text,
        text_sha256="0" * 64,
        user_answered=answer,
        answered_at=None if answer is None else at,
        model_answered=bool(probability >= .5),
        probability=float(probability),
        mlflow_run_id=None,
        model_version="1",
        inference_elapsed=2e-4,
        latency=choose.lognormvariate(-6, .4),
        tokens=len(text.split()),
        unknown=0,
        source="screenshots",
        request_id="-",
        key_id="-",
        idempotency_key=None,
        request_sha256=None,
    )


async def fill(settings: ProxySettings):
    "Store 3,000 predictions."
    choose, scorer = random.Random(0), load_model("production", settings)[0]
    texts = [review["text"] for review in generate(3000, seed=3)]
    records = [synthetic_record(choose, text, p) for text, p in zip(texts, predict(scorer, texts))]
    async with open_database(settings) as engine: await add_predictions(engine, [records])


def take(page, out: Path, theme: str):
    "One picture per tab."
    page.goto(f"http://127.0.0.1:{PORTS['DASHBOARD']}")
    page.get_by_label("Your review").fill(REVIEW)
    page.get_by_role("button", name="Classify", exact=True).click()
    page.get_by_text("Probability that it is positive").wait_for()
    page.mouse.click(5, 5)
    page.screenshot(path=out / f"classify-{theme}.png")
    page.get_by_role("tab", name="Statistics").click()
    page.get_by_text("Grey: validation").first.wait_for()
    page.set_viewport_size({"width": 1200, "height": 1720})
    page.wait_for_timeout(3000)
    page.screenshot(path=out / f"statistics-{theme}.png")


def start_stack(folder: str) -> subprocess.Popen:
    "Start `yelp-reviews up` with its state in a folder; returns when everything is ready."
    env = os.environ | {"YELP_HOME": f"{folder}/home", "YELP_RUNS": f"{folder}/runs", "PYTHONUNBUFFERED": "1"}
    env |= {f"YELP_{name}_PORT": str(port) for name, port in PORTS.items()}
    command = [sys.executable, "-c", "from yelp_reviews.cli import main; main()", "up", "--data", "sample"]
    up = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True)
    for line in up.stdout:
        if "Ctrl-C stops" in line: break
    return up


def take_all(out: Path):
    "All pictures, in both themes."
    size = {"width": 1200, "height": 900}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=BROWSER_ARGS)
        for theme in ("light", "dark"): take(browser.new_page(viewport=size, color_scheme=theme), out, theme)
        browser.close()


if __name__ == "__main__":
    out = Path(__file__).parent / "img"
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        up = start_stack(folder)
        try:
            settings = get_settings(ProxySettings, home=Path(folder, "home"), tracking_uri="", database_url="")
            asyncio.run(fill(settings))
            time.sleep(5)  # until kernels wait for visitors
            take_all(out)
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(30)
