"The webhook hears that a model is right less often than before, and that it has recovered."
from dataclasses import replace
from datetime import timedelta

from conftest import until

from yelp_reviews.proxy.predictions import add_predictions
from yelp_reviews.proxy.records import Caller, PredictionRecord, record_answer, utc_now, uuid7

from .conftest import use_database


def answered_prediction(model: dict, is_correct: bool, days_ago: float = 0) -> PredictionRecord:
    "An answered prediction of a model."
    answer = {
        "text": "Lovely soup.",
        "is_positive_review": 1,
        "probability": .9,
        "details": model | {"inference_elapsed": 6e-5},
        "words": {"total": 2, "unknown": 0},
    }
    at = utc_now() - timedelta(days=days_ago)
    record = record_answer(answer, Caller("k1", "shop", "request-1"), .002, user_answered=is_correct)
    return replace(record, id=uuid7(at), timestamp=at)


def test_the_webhook_hears_of_falling_correctness_and_of_the_recovery(services, stored, webhook):
    address = f"http://127.0.0.1:{webhook.server_port}/"
    _, _, client = services(YELP_DRIFT_SECONDS="1", YELP_DRIFT_WEBHOOK=address)
    report = client.get("/drift").json()
    model = {name: report[name] for name in ("model_version", "mlflow_run_id")}
    assert report["correctness"]["state"] == "too little data"

    def store(right: int, wrong: int, days_ago: float = 0):
        records = [answered_prediction(model, i < right, days_ago) for i in range(right + wrong)]
        use_database(stored, lambda engine: add_predictions(engine, [records]))

    def events() -> list[tuple[str, str]]:
        return [(event["before"], event["state"]) for event in webhook.events if event["signal"] == "correctness"]

    store(right=270, wrong=30, days_ago=2)
    store(right=90, wrong=10)
    until(lambda: events() == [("too little data", "ok")], 20)

    store(right=0, wrong=100)
    until(lambda: events()[1:] == [("ok", "alert")], 20)
    alert = next(event for event in webhook.events if event["state"] == "alert" and event["signal"] == "correctness")
    assert (alert["correctness_rate"], alert["reference_rate"], alert["answered"]) == (.45, .9, 200)
    assert alert["model_version"] == model["model_version"]
    assert client.get("/drift").json()["correctness"]["state"] == "alert"
    assert 'yelp_drift_state{signal="correctness"} 2.0' in client.get("/metrics").text

    store(right=3000, wrong=0)
    until(lambda: events()[2:] == [("alert", "ok")], 20)
    assert 'yelp_drift_state{signal="correctness"} 0.0' in client.get("/metrics").text
