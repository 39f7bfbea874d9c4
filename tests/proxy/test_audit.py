"The log says who deleted, exported or was refused, and why the model server could not answer."
import json
import signal

import httpx2
import pytest
from conftest import until

from .conftest import TEXT


def requests(proxy) -> list[dict]:
    "The request lines of a proxy's log."
    events = [json.loads(line) for line in proxy.lines if line.startswith("{")]
    return [event for event in events if event["event"] == "request"]


@pytest.mark.parametrize("log_requests", ["true", "false"])
def test_the_log_names_key_and_client_of_deletions_exports_and_refusals(stored, services, log_requests):
    _, proxy, client = services(YELP_LOG_REQUESTS=log_requests)
    key_id = stored.run("keys", "list").splitlines()[-1].split()[0]
    place = client.post("/predictions", json={"text": TEXT}).headers["location"]
    client.get("/predictions/export")
    client.delete(place)
    httpx2.delete(proxy.url + place, headers={"X-API-Key": "yelp_guessed"})
    client.post("/predictions", content=b"a" * 5_000_000)

    expected = [("GET", 200), ("DELETE", 204), ("DELETE", 401), ("POST", 413)]
    if log_requests == "true": expected.insert(0, ("POST", 201))
    until(lambda: len(requests(proxy)) == len(expected), 5)
    lines = requests(proxy)
    assert [(line["method"], line["status"]) for line in lines] == expected
    assert {line["client"] for line in lines} == {"127.0.0.1"}
    *admitted, unknown, too_large = lines
    assert {line["key_id"] for line in admitted} == {key_id}
    assert "key_id" not in unknown and "key_id" not in too_large  # refused before the key was checked
    secrets = TEXT, client.headers["X-API-Key"], "yelp_guessed"
    assert not [line for line in proxy.lines + proxy.errors if any(secret in line for secret in secrets)]


def test_the_log_says_why_the_model_server_could_not_answer(stored, services):
    server, proxy, client = services()
    server.stop(signal.SIGKILL)
    assert client.post("/predictions", json={"text": TEXT}).status_code == 503
    until(lambda: any("it cannot be reached" in line.get("reason", "") for line in requests(proxy)), 5)
