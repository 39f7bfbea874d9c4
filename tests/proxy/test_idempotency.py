"A request that is sent again with its idempotency key is stored once."
import httpx2
from conftest import new_key

from .conftest import TEXT, assert_tallies_equal_a_recount, read_rows, sample_texts


def test_a_repeated_batch_returns_the_predictions_of_the_first(stored, services):
    _, _, client = services(workers=2)
    texts, headers = sample_texts(300), {"Idempotency-Key": "file"}
    first = client.post("/predictions/batch", json={"texts": texts}, headers=headers).json()["predictions"]
    assert [prediction["text"] for prediction in first] == texts
    second = client.post("/predictions/batch", json={"texts": texts}, headers=headers).json()["predictions"]
    assert [prediction["id"] for prediction in second] == [prediction["id"] for prediction in first]
    assert len(read_rows(stored)) == 300
    assert_tallies_equal_a_recount(stored)


def test_a_key_that_was_used_for_another_request_is_refused_and_nothing_is_stored(stored, services):
    _, _, client = services(workers=2)
    texts, headers = sample_texts(30), {"Idempotency-Key": "file"}
    assert client.post("/predictions/batch", json={"texts": texts}, headers=headers).status_code == 201
    refused = client.post("/predictions/batch", json={"texts": [TEXT, *texts]}, headers=headers)
    assert refused.status_code == 422 and "another request" in refused.json()["detail"]
    assert len(read_rows(stored)) == 30
    assert_tallies_equal_a_recount(stored)


def test_a_replay_after_an_erasure_stores_nothing(stored, services):
    _, _, client = services(workers=2)
    requests = [
        ("/predictions", {"text": TEXT}, {"Idempotency-Key": "one"}),
        ("/predictions/batch", {"texts": sample_texts(3)}, {"Idempotency-Key": "batch"}),
    ]
    for path, body, headers in requests:
        answer = client.post(path, json=body, headers=headers).json()
        for prediction in answer.get("predictions", [answer]):
            assert client.delete(f"/predictions/{prediction['id']}").status_code == 204
            again = client.post(path, json=body, headers=headers)
            assert again.status_code == 409 and "were erased since" in again.json()["detail"]
    assert read_rows(stored) == []
    assert client.post("/predictions", json={"text": TEXT}, headers={"Idempotency-Key": "new"}).status_code == 201
    assert_tallies_equal_a_recount(stored)


def test_a_refused_batch_leaves_the_limit_to_others(stored, services):
    _, proxy, _ = services()
    key = {"X-API-Key": new_key(stored, limit="20/hour")}
    statuses = [
        httpx2.post(f"{proxy.url}/predictions/batch", json={"texts": [TEXT] * size}, headers=key).status_code
        for size in (15, 15, 15, 2)
    ]
    assert statuses == [201, 429, 429, 201]
