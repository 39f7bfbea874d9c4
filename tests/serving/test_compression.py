"Bodies are compressed with gzip in both directions, and a small body that decompresses to a huge one costs nothing."
import gzip
import json
import zlib
from pathlib import Path

from .conftest import TEXT

JSON = {"Content-Type": "application/json"}
GZIP = JSON | {"Content-Encoding": "gzip"}


def zeros(size: int) -> bytes:
    "A gzip stream of this many zeros."
    stream, million = zlib.compressobj(9, zlib.DEFLATED, 31), bytes(1_000_000)
    return b"".join(stream.compress(million) for _ in range(size // 1_000_000)) + stream.flush()


def probabilities(answer: dict) -> list[float]:
    "The probabilities in the answer to a review or a batch."
    return [prediction["probability"] for prediction in answer.get("predictions", [answer])]


def peak_memory(client) -> int:
    "The most memory that the server has ever used, in bytes."
    worker = client.get("/version").json()["worker"]
    [line] = [line for line in Path(f"/proc/{worker}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def test_a_compressed_body_is_a_body(client):
    for path, body in (("/predict", {"text": TEXT}), ("/predict/batch", {"texts": [TEXT] * 500})):
        plain = client.post(path, json=body)
        compressed = client.post(path, content=gzip.compress(json.dumps(body).encode()), headers=GZIP)
        assert compressed.status_code == 200, compressed.text
        assert probabilities(compressed.json()) == probabilities(plain.json())


def test_a_bomb_is_refused_before_it_takes_memory(client):
    bomb = zeros(1_000_000_000)
    assert len(bomb) < 1_500_000
    before = peak_memory(client)
    for path in ("/predict", "/predict/batch"):
        refused = client.post(path, content=bomb, headers=GZIP)
        assert (refused.status_code, refused.json()["title"]) == (413, "Body too large")
    assert peak_memory(client) - before < 40_000_000


def test_a_broken_body_and_an_unknown_encoding_are_refused(client):
    body = gzip.compress(json.dumps({"text": TEXT}).encode())
    for path in ("/predict", "/predict/batch"):
        for broken in (body[:-4], b"{}", body + b"more"):
            refused = client.post(path, content=broken, headers=GZIP)
            assert (refused.status_code, refused.json()["title"]) == (400, "Broken gzip")
        unknown = client.post(path, content=body, headers=GZIP | {"Content-Encoding": "br"})
        assert (unknown.status_code, unknown.headers["Accept-Encoding"]) == (415, "gzip")


def test_answers_of_a_kilobyte_are_compressed_for_clients_that_accept_it(client):
    long, short = {"text": TEXT * 40}, {"text": TEXT}
    batch = {"texts": [TEXT] * 50}
    for path, body in (("/predict", long), ("/predict/batch", batch), ("/metrics", None)):
        method = "POST" if body else "GET"
        compressed = client.request(method, path, json=body, headers={"Accept-Encoding": "gzip"})
        plain = client.request(method, path, json=body, headers={"Accept-Encoding": "identity"})
        assert compressed.headers.get("Content-Encoding") == "gzip", path
        assert "Content-Encoding" not in plain.headers
        assert plain.headers["Vary"] == compressed.headers["Vary"] == "Accept-Encoding"
        assert int(compressed.headers["Content-Length"]) < len(plain.content) / 2
    assert "Content-Encoding" not in client.post("/predict", json=short, headers={"Accept-Encoding": "gzip"}).headers
