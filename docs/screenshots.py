"""The pictures of the dashboard in docs/img, light and dark, from synthetic reviews, on everything that `yelp-reviews up` starts.

    make screenshots
"""
import asyncio, os, random, shutil, signal, subprocess, sys, tempfile, time
from datetime import timedelta
from pathlib import Path
from playwright.sync_api import sync_playwright
from yelp_reviews.core.settings import ProxySettings, get_settings
from yelp_reviews.registry.versions import load_model
from yelp_reviews.data.sample import generate
from yelp_reviews.scorer.prediction import predict
from yelp_reviews.proxy.predictions import add_predictions
from yelp_reviews.proxy.records import PredictionRecord, uuid7, utc_now
from yelp_reviews.proxy.database import open_database

PORTS = {"MLFLOW": 15000, "SERVER": 18080, "PROXY": 18000, "DASHBOARD": 18866}
REVIEW = "The soup was lovely and the staff were kind, but we waited an hour and the table was dirty."


async def fill(settings):
    "A week of predictions with answers, most of them right."
    choose, scorer = random.Random(0), load_model("production", settings)[0]
    rows = []
    for review, p in zip(reviews := [r["text"] for r in generate(3000, seed=3)], predict(scorer, reviews)):
        at = utc_now() - timedelta(hours=choose.random() * 160)
        answer = choose.random() < (p + .05) / 1.1 if choose.random() < .4 else None
        rows.append(PredictionRecord(id=uuid7(at), timestamp=at, text=review, text_sha256="0" * 64, user_answered=answer, answered_at=None if answer is None else at, model_answered=bool(p >= .5), probability=float(p), mlflow_run_id=None,
            model_version="1", inference_elapsed=2e-4, latency=choose.lognormvariate(-6, .4), tokens=len(review.split()), unknown=0, source="screenshots", request_id="-", key_id="-", idempotency_key=None, request_sha256=None))
    async with open_database(settings) as engine: await add_predictions(engine, [rows])


def take(page, out: Path, theme: str):
    "One picture a tab."
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


if __name__ == "__main__":
    out = Path(__file__).parent / "img"
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"YELP_HOME": f"{folder}/home", "YELP_RUNS": f"{folder}/runs", "PYTHONUNBUFFERED": "1", **{f"YELP_{name}_PORT": str(port) for name, port in PORTS.items()}}
        up = subprocess.Popen([sys.executable, "-c", "from yelp_reviews.cli import main; main()", "up", "--data", "sample"], cwd=folder, env=env, stdout=subprocess.PIPE, text=True)
        try:
            for line in up.stdout:
                if "Ctrl-C stops" in line: break
            asyncio.run(fill(get_settings(ProxySettings, home=Path(folder, "home"), tracking_uri="", database_url="")))
            time.sleep(5) # kernels that wait for visitors
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
                for theme in ("light", "dark"): take(browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme=theme), out, theme)
                browser.close()
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(30)
