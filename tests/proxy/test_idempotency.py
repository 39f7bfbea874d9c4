"A request that is sent again with its idempotency key is stored once."
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
