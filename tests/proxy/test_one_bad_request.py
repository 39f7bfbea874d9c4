"A request that the model server cannot answer, or that nobody could, fails alone: other callers are served."
import json

import httpx2
import pytest

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


@pytest.mark.parametrize("body", [
    '{"text": "soup", "\\ud83d": 1}',
    '{"text": "soup", "\\u0000": 1}',
    '{"text": "soup", "is_positive_user_answered": "\\ud83d"}',
    '{"text": "soup", "is_positive_user_answered": 0}',
    '{"text": "soup", "explain": 1}',
    '{"text": ["\\ud83d"]}',
])
def test_odd_fields_are_refused_in_a_sentence(proxy_alone, project, body):
    client = proxy_alone(project)
    refused = post(client, "/predictions", body)
    assert refused.status_code == 422 and refused.json()["detail"], refused.text


def test_odd_headers_and_parameters_are_refused(proxy_alone, project):
    "Neither is a failure of the proxy or of the model server, which is away here."
    client = proxy_alone(project)
    odd = [b"\xed\xa0\xbd", b"\xff\xfe", b"a\tb", b"x" * 5000]
    for name in (b"Idempotency-Key", b"X-Request-ID", b"X-Request-Key", b"If-Match", b"traceparent", b"X-API-Key"):
        for value in odd:
            headers = [*client.headers.raw, (name, value)] if name != b"X-API-Key" else [(name, value)]
            answer = httpx2.get(f"{client.base_url}/predictions", headers=headers)
            assert answer.status_code in (200, 400, 401, 422), (name, value, answer.text)
    for value in ("%ED%A0%BD", "%00", "%FF", "%F0%9F"):
        for name in ("cursor", "model_version", "since", "answered", value):
            answer = client.get(f"/predictions?{name}={value}")
            assert answer.status_code == 422, (name, value, answer.text)
        assert client.get(f"/predictions/{value}").status_code == 404
