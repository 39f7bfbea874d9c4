"The documented behaviour of the routes, and what callers notice of a model server that fails."
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx2
import pytest
import sqlalchemy as sa
from conftest import Service, new_key, until

from yelp_reviews.proxy.tables import predictions

from .conftest import TEXT, read_rows, sample_texts, use_database


def test_a_prediction_has_the_documented_shape_and_a_history_of_answers(stored, services):
    _, proxy, client = services(workers=2)
    created = client.post("/predictions", json={"text": TEXT, "is_positive_user_answered": True})
    prediction = created.json()
    assert created.status_code == 201
    assert set(prediction) == {"id", "text", "is_positive", "probability", "details"}
    assert set(prediction["is_positive"]) == {"user_answered", "model_answered"}
    assert set(prediction["details"]) == {"mlflow_run_id", "model_version", "inference_elapsed", "timestamp"}
    assert prediction["details"]["timestamp"].endswith("+00:00")

    place = created.headers["location"]
    assert client.get(place).json()["history"][0]["is_positive_user_answered"] is True
    client.patch(place, json={"is_positive_user_answered": False})
    row, = client.get("/predictions").json()["predictions"]
    assert set(row) >= {
        "id",
        "text",
        "is_positive_user_answered",
        "is_positive_model_answered",
        "mlflow_run_id",
        "model_version",
        "inference_elapsed",
        "timestamp",
    }
    assert all(TEXT not in line for line in proxy.lines), "a log line contains a review"


def test_pages_list_each_prediction_once_the_newest_first(services):
    _, _, client = services(workers=2)
    client.post("/predictions", json={"text": TEXT})
    client.post("/predictions/batch", json={"texts": sample_texts(300)})
    ids, cursor = [], None
    while True:
        parameters = {"limit": 97} | ({"cursor": cursor} if cursor else {})
        page = client.get("/predictions", params=parameters).json()
        ids += [row["id"] for row in page["predictions"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert len(ids) == len(set(ids)) == 301
    assert ids == sorted(ids, reverse=True)


def test_exports_can_be_read_as_training_data(stored, services):
    _, _, client = services(workers=2)
    batch = client.post("/predictions/batch", json={"texts": sample_texts(300)}).json()["predictions"]
    for prediction in batch:
        client.patch(f"/predictions/{prediction['id']}", json={"is_positive_user_answered": True})
    for format in ("jsonl", "parquet"):
        export = client.get("/predictions/export", params={"format": format})
        file = stored.write(f"answered.{format}", export.content)
        assert re.search(r"rows read +300\n", stored.run("data", file))


def test_texts_are_not_stored_where_the_operator_forbids_it(stored, services):
    _, _, client = services(YELP_KEEP_TEXT="false")
    created = client.post("/predictions", json={"text": TEXT, "is_positive_user_answered": True})
    assert client.get(created.headers["location"]).json()["text"] is None
    assert client.get("/predictions/export").text == ""
    row, = read_rows(stored)
    assert row["text"] is None and len(row["text_sha256"]) == 64


def test_slow_readers_of_exports_hold_up_nobody_else(stored, services):
    _, _, client = services(YELP_DATABASE_POOL="2")
    for _ in range(4):
        client.post("/predictions/batch", json={"texts": [TEXT * 100] * 500})

    async def answer_all(engine):
        async with engine.begin() as connection:
            await connection.execute(sa.update(predictions).values(user_answered=True))

    use_database(stored, answer_all)
    request = f"GET /predictions/export HTTP/1.1\r\nHost: x\r\nX-API-Key: {client.headers['X-API-Key']}\r\n\r\n"
    readers = [socket.create_connection(("127.0.0.1", stored.ports["proxy"])) for _ in range(6)]
    for reader in readers:
        reader.sendall(request.encode())
    time.sleep(1)
    assert [client.get("/predictions?limit=1").status_code for _ in range(5)] == [200] * 5
    for reader in readers:
        reader.close()


def test_without_its_model_server_the_proxy_fails_fast_stores_nothing_and_recovers(stored, services):
    server, _, client = services(YELP_MODEL_TIMEOUT="1")

    def predict():
        return client.post("/predictions", json={"text": TEXT})

    assert predict().status_code == 201
    server.stop(signal.SIGKILL)
    for _ in range(8):
        refused = predict()
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) >= 1
        assert "nothing was stored" in refused.json()["detail"]
    start = time.monotonic()
    assert predict().status_code == 503 and time.monotonic() - start < .3, "the breaker is open"
    assert client.get("/health/ready").status_code == 503 and client.get("/health/live").status_code == 200
    assert client.get("/statistics").json()["statistics"]["predictions"] == 1
    with socket.socket() as silent:  # accepts connections and never answers
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        silent.bind(("127.0.0.1", stored.ports["server"]))
        silent.listen(64)
        time.sleep(2.1)
        start = time.monotonic()
        assert predict().status_code == 503 and time.monotonic() - start < 2.5
    server.start()
    until(lambda: predict().status_code == 201, 6)
    assert len(read_rows(stored)) == 2


IMPOSSIBLE_PROBABILITY = b"""{
    "text": "x",
    "is_positive_review": 1,
    "probability": 7,
    "details": {"mlflow_run_id": "r", "model_version": "1", "inference_elapsed": 1}
}"""
NONSENSE = {
    "an empty object": (200, b"{}"),
    "a probability of 7": (200, IMPOSSIBLE_PROBABILITY),
    "brackets": (200, b"[" * 200_000),
    "another page": (404, b'{"detail": "Not Found"}'),
    "a key": (401, b"{}"),
    "elsewhere": (307, b"{}"),
    "HTML": (200, b"<html>"),
}


@pytest.mark.parametrize("answer", NONSENSE)
def test_a_nonsensical_answer_of_the_model_server_is_a_502_and_not_stored(project, answer):
    status, content = NONSENSE[answer]

    class Nonsense(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", project.ports["server"]), Nonsense)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    proxy = Service(project, "proxy", port="proxy", ready="/health/live")
    headers = {"X-API-Key": new_key(project)}
    response = httpx2.post(f"{proxy.url}/predictions", json={"text": TEXT}, headers=headers)
    proxy.stop()
    server.shutdown()
    server.server_close()
    assert response.status_code == 502, "this review, and not the server, may be the reason"
    assert read_rows(project) == []


def test_misspelled_fields_and_parameters_are_refused_and_nothing_is_stored(stored, services):
    server, _, client = services()
    place = client.post("/predictions", json={"text": TEXT}).headers["location"]
    refused = {
        "is_positive_user_anser": client.post("/predictions", json={"text": TEXT, "is_positive_user_anser": True}),
        "explain": client.post("/predictions/batch", json={"texts": [TEXT], "explain": True}),
        "is_positive": client.patch(place, json={"is_positive_user_answered": True, "is_positive": True}),
        "anwsered": client.get("/predictions?anwsered=true"),
        "modelversion": client.get("/drift?modelversion=1"),
        "explian": httpx2.post(f"{server.url}/predict", json={"text": TEXT, "explian": True}),
        "count": httpx2.post(f"{server.url}/predict/batch", json={"texts": [TEXT], "count": True}),
        "share": httpx2.get(f"{server.url}/experiments?share=1"),
    }
    for name, response in refused.items():
        assert response.status_code == 422 and name in response.json()["detail"], response.text
    row, = read_rows(stored)
    assert row["user_answered"] is None


def test_a_body_of_many_wrong_fields_holds_up_nobody_else(stored, services):
    server, _, _ = services()
    for body in ({"texts": [0] * 1_000_000}, {f"{i}": 0 for i in range(300_000)}):
        start = time.monotonic()
        assert httpx2.post(f"{server.url}/predict/batch", json=body, timeout=30).status_code == 422
        assert time.monotonic() - start < 2


def test_of_answers_to_the_same_state_exactly_one_is_stored(stored, services):
    _, _, client = services(workers=2)
    created = client.post("/predictions", json={"text": TEXT})
    place, etag = created.headers["location"], created.headers["etag"]
    assert client.get(place).headers["etag"] == etag

    def answer(i: int):
        body = {"is_positive_user_answered": i % 2 == 0}
        return client.patch(place, json=body, headers={"If-Match": etag})

    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(answer, range(8)))
    assert sorted(response.status_code for response in responses) == [200] + [412] * 7
    after = client.get(place)
    assert len(after.json()["history"]) == 1 and after.headers["etag"] != etag
    assert client.patch(place, json={"is_positive_user_answered": None}).status_code == 200  # without a condition


def test_every_documented_route_has_a_version_and_works_without_it(stored, services):
    _, proxy, client = services()
    paths = client.get("/openapi.json").json()["paths"]
    versioned = [path for path in paths if path.startswith("/v1/")]
    without = {"/health/live", "/health/ready", "/ping", "/version", "/metrics"}
    assert set(paths) - set(versioned) == without
    assert {path.split("/")[2] for path in versioned} == {"predictions", "statistics", "drift", "models"}
    for prefix in ("/v1", ""):
        place = client.post(f"{prefix}/predictions", json={"text": TEXT}).headers["location"]
        assert place.startswith(f"{prefix}/predictions/")
        assert client.get(place).json() == client.get(f"/v1{place.removeprefix('/v1')}").json()
    assert httpx2.get(f"{proxy.url}/v1/statistics").status_code == 401


@pytest.mark.parametrize("method, path, allowed", [
    ("PATCH", "/predictions/batch", "POST"),
    ("DELETE", "/v1/predictions/export", "GET"),
])
def test_methods_of_other_routes_are_not_allowed(stored, services, method, path, allowed):
    _, _, client = services()
    response = client.request(method, path, json={})
    assert (response.status_code, response.headers["allow"]) == (405, allowed)
