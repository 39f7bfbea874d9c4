"A request that the model server cannot answer, or that nobody could, fails alone: other callers are served."
import json

import httpx2

from .conftest import TEXT, read_rows

VERY_POSITIVE = ("Amazing, wonderful, delicious! Best ever, perfect, loved it, highly recommend. " * 7)[:527]
HALF_PAIR = json.dumps({"text": "Lovely soup \ud83d"})


def post(client, path: str, body: str) -> httpx2.Response:
    return client.post(path, content=body.encode(), headers={"Content-Type": "application/json"})


def test_a_very_positive_review_is_explained(stored, services):
    server, _, client = services()
    request = {"text": VERY_POSITIVE, "explain": True}
    direct = httpx2.post(f"{server.url}/predict", json=request).json()
    stored_answer = client.post("/predictions", json=request)
    assert stored_answer.status_code == 201, stored_answer.text
    assert stored_answer.json()["explanation"] == direct["explanation"]


def test_half_a_surrogate_pair_is_refused_and_others_are_served(stored, services):
    _, _, client = services()
    for _ in range(6):
        single = post(client, "/predictions", HALF_PAIR)
        assert single.status_code == 422, single.text
        assert single.json()["detail"].startswith("text holds half of a surrogate pair")
        batch = post(client, "/predictions/batch", json.dumps({"texts": [TEXT, "soup \udc00"]}))
        assert batch.status_code == 422, batch.text
        assert batch.json()["detail"].startswith("texts.1 holds half of a surrogate pair")
    assert client.post("/predictions", json={"text": TEXT}).status_code == 201
    assert len(read_rows(stored)) == 1
