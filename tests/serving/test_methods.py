"What monitors and careful clients expect of HTTP."
import pytest


@pytest.mark.parametrize("path", ["/ping", "/health/live", "/health/ready"])
def test_head_on_health_routes_is_get_without_a_body(served, client, path):
    get, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]
    assert client.get("/ping").status_code == 200  # the connection is still in step


def test_allow_lists_every_method(client):
    assert client.delete("/ping").headers["Allow"] == "GET, HEAD"
    assert client.get("/predict").headers["Allow"] == "POST"
    assert client.put("/version").headers["Allow"] == "GET"
