"""Pictures of the dashboard for docs/img, light and dark, from synthetic reviews on all that `yelp-reviews up` starts.

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

from playwright.sync_api import Page, sync_playwright

from yelp_reviews.core.conventions import THRESHOLD
from yelp_reviews.core.settings import ProxySettings, get_settings
from yelp_reviews.data.sample import generate
from yelp_reviews.proxy.database import open_database
from yelp_reviews.proxy.predictions import add_predictions
from yelp_reviews.proxy.records import PredictionRecord, utc_now, uuid7
from yelp_reviews.registry.versions import load_model
from yelp_reviews.scorer.prediction import predict

OUT = Path(__file__).parent / "img"
PORTS = {"MLFLOW": 15000, "SERVER": 18080, "PROXY": 18000, "DASHBOARD": 18866}
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
REVIEW = "The soup was lovely and the staff were kind, but we waited an hour and the table was dirty."


def past_prediction(text: str, probability: float, chance: random.Random) -> PredictionRecord:
    "A prediction of the past week; two of five have an answer, and most answers agree with the model."
    at = utc_now() - timedelta(hours=chance.random() * 160)
    has_answer = chance.random() < .4
    answer = chance.random() < (probability + .05) / 1.1 if has_answer else None
    return PredictionRecord(
        id=uuid7(at),
        timestamp=at,
        text=text,
        text_sha256="0" * 64,
        user_answered=answer,
        answered_at=at if has_answer else None,
        model_answered=bool(probability >= THRESHOLD),
        probability=float(probability),
        mlflow_run_id=None,
        model_version="1",
        inference_elapsed=2e-4,
        latency=chance.lognormvariate(-6, .4),
        tokens=len(text.split()),
        unknown=0,
        source="screenshots",
        request_id="-",
        key_id="-",
        idempotency_key=None,
        request_sha256=None,
    )


async def store_predictions(settings: ProxySettings):
    "Fill the proxy's database with a week of predictions."
    scorer, _ = load_model("production", settings)
    reviews = [review["text"] for review in generate(3000, seed=3)]
    chance = random.Random(0)
    records = [past_prediction(text, p, chance) for text, p in zip(reviews, predict(scorer, reviews))]
    async with open_database(settings) as engine:
        await add_predictions(engine, [records])


def take_pictures(page: Page, theme: str):
    "One picture of the classify tab and one of the statistics."
    page.goto(f"http://127.0.0.1:{PORTS['DASHBOARD']}")
    page.get_by_label("Your review").fill(REVIEW)
    page.get_by_role("button", name="Classify", exact=True).click()
    page.get_by_text("Probability that it is positive").wait_for()
    page.mouse.click(5, 5)  # removes the focus
    page.screenshot(path=OUT / f"classify-{theme}.png")

    page.get_by_role("tab", name="Statistics").click()
    page.get_by_text("Grey: validation").first.wait_for()
    page.set_viewport_size({"width": 1200, "height": 1720})
    page.wait_for_timeout(3000)  # the charts adapt to the new size
    page.screenshot(path=OUT / f"statistics-{theme}.png")


def start_stack(folder: str) -> subprocess.Popen:
    "Train on the sample and start all services; returns when they are ready."
    ports = {f"YELP_{name}_PORT": str(port) for name, port in PORTS.items()}
    folders = {"YELP_HOME": f"{folder}/home", "YELP_RUNS": f"{folder}/runs"}
    up = subprocess.Popen(
        [sys.executable, "-c", "from yelp_reviews.cli import main; main()", "up", "--data", "sample"],
        cwd=folder,
        env=os.environ | folders | ports | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in up.stdout:
        if "Ctrl-C stops" in line:
            break
    return up


def main():
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        up = start_stack(folder)
        try:
            settings = get_settings(ProxySettings, home=Path(folder, "home"), tracking_uri="", database_url="")
            asyncio.run(store_predictions(settings))
            time.sleep(5)  # kernels that wait for visitors
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
                for theme in ("light", "dark"):
                    size = {"width": 1200, "height": 900}
                    take_pictures(browser.new_page(viewport=size, color_scheme=theme), theme)
                browser.close()
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(30)


if __name__ == "__main__":
    main()
