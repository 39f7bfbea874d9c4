"Shifted reviews raise an alert, which the webhook receives once."
import re
import time

import numpy as np
from conftest import until

from yelp_reviews.core.settings import get_settings
from yelp_reviews.data.preparation import prepare


def test_ten_thousand_shifted_reviews_raise_the_alert_once_and_unshifted_ones_do_not(services, trained, webhook):
    _, _, client = services(
        YELP_DRIFT_SECONDS="1",
        YELP_DRIFT_WEBHOOK=f"http://127.0.0.1:{webhook.server_port}/",
        YELP_MAX_BODY_BYTES="20000000",
        YELP_CONNECT_TIMEOUT="5",
        YELP_MODEL_TIMEOUT="30",
    )
    settings = get_settings(cache=trained.folder / "cache")
    prepared = prepare("sample", limit=3000, settings=settings, progress=False)
    reference = prepared.part("validation")["text"].to_pylist()
    choose = np.random.default_rng(0)

    def states() -> dict[str, str]:
        return {signal["signal"]: signal["state"] for signal in client.get("/drift").json()["signals"]}

    def predict_ten_thousand(texts: list[str]):
        for _ in range(10):
            batch = [texts[i] for i in choose.integers(len(texts), size=1000)]
            assert client.post("/predictions/batch", json={"texts": batch}).status_code == 201

    def alerts() -> int:
        return sum(event["signal"] == "unknown" and event["state"] == "alert" for event in webhook.events)

    assert set(states().values()) == {"too little data"}
    predict_ten_thousand(reference)
    assert set(states().values()) == {"ok"}

    some = [text for text in reference if "not" in text or len(text) < 150]
    predict_ten_thousand([re.sub(r"[aeiou]", "oo", text, count=6) for text in some])
    assert states()["unknown"] == "alert"
    until(alerts, 5)
    time.sleep(1.5)
    assert alerts() == 1
    assert re.search(r'yelp_drift_state{signal="unknown"} 2.0', client.get("/metrics").text)
