"No route without a key and its scope, and one limit for all workers."
import threading
import uuid
from collections import Counter

import httpx2
from conftest import new_key, until

from .conftest import TEXT

SCOPES = ("predict", "answer", "read", "admin")
REFUSED = (401, 429)  # 429 after ten invalid keys in a minute
OPEN_PATHS = ("/health/live", "/health/ready", "/ping")
UNDOCUMENTED_PATHS = (
    "/docs/",
    "/docs/assets/",
    "/docs/assets/redoc.standalone.js",
    "/docs/assets/../../predictions",
    "/v1/health/ready",
    "/openapi.json",
    "/nowhere",
    "/predictions/",
    "//predictions",
    "/health/ready/",
    "/health/live/../../predictions",
    "/ping/x",
)
NEEDED_SCOPE = {  # the others need `read`
    ("POST", "/predictions"): "predict",
    ("POST", "/predictions/batch"): "predict",
    ("PATCH", "/predictions/{id}"): "answer",
    ("DELETE", "/predictions/{id}"): "admin",
}
BODIES = {
    ("POST", "/predictions"): {"text": TEXT},
    ("POST", "/predictions/batch"): {"texts": [TEXT]},
    ("PATCH", "/predictions/{id}"): {"is_positive_user_answered": True},
}


def documented_routes(client) -> list[tuple[str, str]]:
    "Method and path, with and without the version, of each documented route that needs a key."
    paths = client.get("/openapi.json").json()["paths"]
    routes = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    unversioned = [(method, path.removeprefix("/v1")) for method, path in routes if path.startswith("/v1")]
    return [(method, path) for method, path in routes + unversioned if path not in OPEN_PATHS]


def status_of(client, method: str, path: str, key: str, **request) -> int:
    "Status of a request with another key than the client's."
    url = path.replace("{id}", str(uuid.uuid4()))
    headers = {"X-API-Key": key, **request.pop("headers", {})}
    return client.request(method, url, headers=headers, **request).status_code


def test_only_health_is_open_without_a_valid_key(stored, services):
    _, _, client = services()
    valid = new_key(stored, "read")
    wrong_keys = ("", "yelp_", valid[:-1] + "!", valid.replace("yelp_", "yelp_0", 1))
    evil = {"Origin": "http://evil.example"}
    routes = documented_routes(client) + [("GET", path) for path in UNDOCUMENTED_PATHS]
    assert len(routes) > len(UNDOCUMENTED_PATHS) + len(NEEDED_SCOPE)
    for method, path in routes:
        for key in wrong_keys:
            assert status_of(client, method, path, key) in REFUSED, (method, path)
        assert status_of(client, "HEAD", path, "") == 401, path
        assert status_of(client, "OPTIONS", path, "", headers=evil) == 401, path
    assert not any("access-control" in name for name in client.get("/ping", headers=evil).headers)


def test_many_invalid_keys_have_to_wait_and_valid_ones_do_not(stored, services):
    _, _, client = services()
    guesses = []
    for i in range(15):
        guesses.append(client.get("/version", headers={"X-API-Key": f"yelp_{i:012x}_{'a' * 43}"}))
        assert client.get("/version").status_code == 200
    assert [guess.status_code for guess in guesses] == [401] * 10 + [429] * 5
    assert [int(guess.headers["retry-after"]) for guess in guesses[10:]] == [2, 4, 8, 16, 32]
    assert guesses[-1].json()["type"] == "urn:yelp-reviews:problem:too-many-invalid-keys"


def test_each_route_needs_exactly_its_scope(stored, services):
    _, _, client = services()
    keys = {scope: new_key(stored, scope) for scope in SCOPES}
    for method, path in documented_routes(client):
        needed = NEEDED_SCOPE.get((method, path.removeprefix("/v1")), "read")
        for scope, key in keys.items():
            status = status_of(client, method, path, key, json=BODIES.get((method, path.removeprefix("/v1"))))
            assert (status == 403) == (scope != needed), (method, path, scope, status)
    with_answer = {"text": TEXT, "is_positive_user_answered": True}
    assert status_of(client, "POST", "/predictions", keys["predict"], json=with_answer) == 403


def test_a_key_may_be_a_bearer_and_stops_working_soon_after_it_is_revoked(stored, services):
    _, _, client = services()
    key = new_key(stored, "read")
    assert status_of(client, "GET", "/predictions", "", headers={"Authorization": f"Bearer {key}"}) == 200
    stored.run("keys", "revoke", key.split("_")[1])
    until(lambda: status_of(client, "GET", "/predictions", key) == 401, 3)


def test_two_workers_share_one_limit(stored, services):
    _, _, client = services(workers=2)
    client.headers["X-API-Key"] = new_key(stored, "read", "25/hour")
    statuses = Counter()
    with httpx2.Client(base_url=client.base_url, headers=client.headers, timeout=30) as other:

        def call():
            for i in range(20):
                # a new connection each time, so that both workers are asked
                response = (client, other)[i % 2].get("/predictions", headers={"Connection": "close"})
                statuses[response.status_code] += 1

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses == {200: 25, 429: 55}
    spent = client.get("/predictions")
    assert 3000 < int(spent.headers["retry-after"]) <= 3600
    assert spent.json()["title"] == "Rate limit exceeded"
    left = {name: int(spent.headers[f"RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset")}
    assert (left["Limit"], left["Remaining"]) == (25, 0) and 3000 < left["Reset"] <= 3600


def test_responses_say_what_is_left_of_the_limit(stored, services):
    _, _, client = services()
    client.headers["X-API-Key"] = new_key(stored, "predict,read", "10/hour")
    responses = [
        client.get("/statistics"),
        client.post("/predictions/batch", json={"texts": [TEXT] * 5}),
        client.post("/predictions", json={"text": ""}),
        client.get("/nowhere"),
    ]
    assert [response.status_code for response in responses] == [200, 201, 422, 404]
    assert [response.headers["RateLimit-Remaining"] for response in responses] == ["9", "4", "3", "2"]
    assert "RateLimit-Limit" not in client.get("/health/live").headers


def test_a_running_proxy_follows_rotations_and_new_limits(stored, services):
    _, _, client = services()
    old = new_key(stored, "read")

    def status(key: str) -> int:
        return client.get("/version", headers={"X-API-Key": key}).status_code

    assert status(old) == 200
    new = stored.run("keys", "rotate", old[5:17]).strip()
    until(lambda: status(new) == 200, 5)
    assert status(old) == 200
    newest = stored.run("keys", "rotate", old[5:17], "--overlap", "0h").strip()
    until(lambda: status(old) in REFUSED and status(new) in REFUSED, 5)
    assert status(newest) == 200
    stored.run("keys", "limit", old[5:17], "1/hour")
    until(lambda: status(newest) == 429, 5)
    assert "used" in stored.run("keys", "list")
