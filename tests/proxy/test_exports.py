"Slow readers of an export hold neither memory, nor the database, nor the exports of others."
import socket

import httpx2
from conftest import new_key, until

from yelp_reviews.proxy.predictions import add_predictions
from yelp_reviews.proxy.records import Caller, record_answer

from .conftest import use_database

REVIEW = "The soup was lovely. " * 400
ROWS = 2000
"An export of 17 MB, far more than the buffers of a connection hold."


def store_answered_reviews(project):
    "Fill the project's database with answered predictions."
    details = {"mlflow_run_id": "abc", "model_version": "1", "inference_elapsed": 1e-4}
    answer = {"text": REVIEW, "is_positive_review": 1, "probability": .9, "details": details}
    caller = Caller("k1", "shop", "request-1")
    records = [record_answer(answer, caller, latency=.002, user_answered=True) for _ in range(ROWS)]
    use_database(project, lambda engine: add_predictions(engine, [records]))


def start_export(client: httpx2.Client, key: str) -> socket.socket:
    "A connection that has asked for an export and does not read it."
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect((client.base_url.host, client.base_url.port))
    reader.sendall(f"GET /predictions/export HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode())
    reader.settimeout(10)
    return reader


def status(reader: socket.socket) -> int:
    return int(reader.recv(12).split()[1])


def test_a_key_runs_two_exports_and_others_are_not_affected(stored, services):
    _, _, client = services(YELP_DATABASE_POOL="2")
    store_answered_reviews(stored)
    slow = new_key(stored, "read,read:all")
    readers = [start_export(client, slow) for _ in range(5)]
    assert sorted(map(status, readers)) == [200, 200, 429, 429, 429]
    assert client.get("/predictions").status_code == 200  # both connections of the pool are free
    with client.stream("GET", "/predictions/export") as mine:
        assert sum(1 for _ in mine.iter_lines()) == ROWS
    for reader in readers:
        reader.close()
    until(lambda: client.get("/predictions/export", headers={"X-API-Key": slow}).status_code == 200, 10)


def test_an_export_that_takes_too_long_is_cut_off(stored, services):
    _, proxy, client = services(YELP_EXPORT_SECONDS="1")
    store_answered_reviews(stored)
    slow = new_key(stored, "read,read:all")
    readers = [start_export(client, slow) for _ in range(2)]
    assert [status(reader) for reader in readers] == [200, 200]
    until(lambda: sum('"export_cut"' in line for line in proxy.lines) == 2, 10)
    assert status(start_export(client, slow)) == 200  # although the others still do not read
