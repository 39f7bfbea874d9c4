"Limits on concurrency and time protect a server from many callers and from slow ones."
import socket
import time

import httpx2

from .conftest import begin_request, constant_scorer


def test_too_many_at_once_are_told_to_come_back_and_a_slow_body_is_not_awaited(registry, serve):
    registry.add_production(constant_scorer(1.))
    server = serve("--model", "production", YELP_MAX_CONCURRENCY="2", YELP_BODY_TIMEOUT="1")
    slow = [begin_request(server, b"{", length=100) for _ in range(2)]
    time.sleep(.3)
    busy = httpx2.post(f"{server.url}/predict", json={"text": "soup"})
    assert busy.status_code == 503
    assert busy.headers["Retry-After"] == "1"
    assert busy.headers["Content-Type"] == "application/problem+json"
    for connection in slow:
        assert connection.recv(100).startswith(b"HTTP/1.1 408")
        connection.close()


def test_a_slow_head_is_not_awaited(served):
    server, _ = served
    with socket.create_connection(("127.0.0.1", server.project.ports["server"])) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\n")
        connection.settimeout(20)
        assert connection.recv(100) == b""
