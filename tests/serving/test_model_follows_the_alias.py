"A server that follows an alias serves the version that it names, soon after it moves and without a lost request."
import json
import time

import httpx2
from conftest import until

from yelp_reviews.core.tracking import use_mlflow
from yelp_reviews.serving.watcher import webhook_signature

from .conftest import TEXT, Callers, constant_scorer, read_page, served_version

SECRET = "s3cret"


def promote_and_wait(registry, server, version: str, seconds: float):
    "Promote a version and wait until the server serves it."
    registry.promote(version)
    until(lambda: served_version(server) == version, seconds)


def test_a_hundred_swaps_under_load_lose_no_request_and_mix_no_versions(registry, serve):
    versions = [registry.add(constant_scorer(score)) for score in (1., -1., .5)]
    registry.promote(versions[0])
    server = serve("--follow", "production", YELP_FOLLOW_SECONDS="0.1")
    with Callers(server) as callers:
        for swap in range(100):
            # sometimes the spare version, which is in memory, and sometimes one that has to be loaded
            place = (1, 0, 2, 1, 2, 0)[swap % 6]
            promote_and_wait(registry, server, versions[place], 3)
    assert not callers.failures
    assert len(callers.answers) > 500
    assert {answer["details"]["model_version"] for answer in callers.answers} == set(versions)
    assert all(map(registry.is_right, callers.answers))


def test_a_promoted_version_is_served_after_the_next_poll(registry, serve):
    versions = [registry.add(constant_scorer(score)) for score in (.1, .2, .3)]
    registry.promote(versions[0])
    server = serve("--follow", "production")
    for version in versions[1:]:
        promote_and_wait(registry, server, version, 10)


def call_webhook(server, body: bytes = b"{}") -> httpx2.Response:
    "Call the webhook as MLflow does."
    timestamp = str(int(time.time()))
    headers = {
        "X-MLflow-Delivery-Id": "d",
        "X-MLflow-Timestamp": timestamp,
        "X-MLflow-Signature": webhook_signature(SECRET, "d", timestamp, body),
    }
    return httpx2.post(f"{server.url}/webhooks/mlflow", content=body, headers=headers)


def test_a_signed_webhook_makes_the_server_look_at_once(registry, serve):
    versions = [registry.add(constant_scorer(score)) for score in (.3, .4, .5)]
    registry.promote(versions[0])
    server = serve("--follow", "production", YELP_FOLLOW_SECONDS="60", YELP_WEBHOOK_SECRET=SECRET)
    for version in versions[1:]:
        registry.promote(version)
        assert call_webhook(server).status_code == 202
        until(lambda expected=version: served_version(server) == expected, 10)  # and not after 60 seconds
    assert httpx2.post(f"{server.url}/webhooks/mlflow", content=b"{}").status_code == 401, "the call is not signed"


def describe_workers(server, field: str) -> dict[int, str|None]:
    "A field of what each worker says about itself, as far as forty requests reach them all."
    try: descriptions = [json.loads(read_page(server, "/version")) for _ in range(40)]
    except OSError: return {}  # a worker is not ready yet
    return {description["worker"]: description[field] for description in descriptions}


def versions_by_worker(server) -> dict[int, str|None]: return describe_workers(server, "model_version")


def test_a_signed_webhook_reaches_every_worker(registry, serve):
    versions = [registry.add(constant_scorer(score)) for score in (.3, .4, .5)]
    registry.promote(versions[0])
    settings = {"YELP_FOLLOW_SECONDS": "60", "YELP_WEBHOOK_SECRET": SECRET}
    server = serve("--follow", "production", "--workers", "2", **settings)
    until(lambda: len(versions_by_worker(server)) == 2, 30)
    for version in versions[1:]:
        registry.promote(version)
        assert call_webhook(server).status_code == 202
        until(lambda expected=version: list(versions_by_worker(server).values()) == [expected] * 2, 15)


def candidates_by_worker(server) -> dict[int, str|None]: return describe_workers(server, "candidate")


def batch_versions(server) -> set[str]:
    "The versions that answer a batch of different reviews."
    texts = [f"{TEXT} {i}" for i in range(40)]
    predictions = httpx2.post(f"{server.url}/predict/batch", json={"texts": texts}).json()["predictions"]
    return {prediction["details"]["model_version"] for prediction in predictions}


def test_a_candidate_is_replaced_and_removed_without_a_restart(registry, serve):
    versions = [registry.add(constant_scorer(score)) for score in (.3, .4, .5)]
    registry.promote(versions[0])
    options = ("--candidate", "candidate", "--share", "0.5")
    server = serve("--follow", "production", *options, "--workers", "2", YELP_FOLLOW_SECONDS="0.2")
    mlflow = use_mlflow(registry.settings).MlflowClient()
    for candidate in versions[1:]:
        mlflow.set_registered_model_alias("yelp-model", "candidate", candidate)
        until(lambda expected=candidate: list(candidates_by_worker(server).values()) == [expected] * 2, 30)
        assert batch_versions(server) == {versions[0], candidate}
        answers = json.loads(read_page(server, "/experiments"))["arms"]["candidate"]
        assert answers["model_version"] == candidate
        assert 0 < answers["predictions"] < 40, "those of the candidate before are not counted"

    mlflow.delete_registered_model_alias("yelp-model", "candidate")
    until(lambda: list(candidates_by_worker(server).values()) == [None] * 2, 30)
    assert batch_versions(server) == {versions[0]}
