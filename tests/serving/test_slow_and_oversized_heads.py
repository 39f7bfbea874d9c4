"A caller that sends huge or endless heads, holds connections or reads nothing costs the other callers nothing."
import json
import re
import resource
import socket
import time

import httpx2
import pytest

from .conftest import TEXT, constant_scorer, read_page


@pytest.fixture
def small_server(registry, serve):
    "A server that may open 128 files and waits one second for a reader."
    registry.add_production(constant_scorer(1.))

    def limit_files(): resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))

    return serve("--model", "production", YELP_SEND_TIMEOUT="1", preexec_fn=limit_files)


def connect(server, *pieces: bytes, receive_buffer: int = 0) -> socket.socket:
    "A connection to a server over which pieces have been sent."
    connection = socket.socket()
    if receive_buffer: connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", server.project.ports["server"]))
    for piece in pieces: connection.sendall(piece)
    return connection


def read_all(connection: socket.socket) -> bytes:
    "Everything until the server closes the connection."
    content = b""
    try:
        while piece := connection.recv(2**16): content += piece
    except ConnectionResetError: pass
    connection.close()
    return content


def ended(server, reason: str) -> float:
    "How many connections the server says that it ended for a reason."
    found = re.search(rf'yelp_connections_ended_total\{{reason="{reason}"\}} ([\d.]+)', read_page(server, "/metrics"))
    return float(found[1]) if found else 0


def assert_problem(answer: bytes, status: int):
    head, body = answer.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:300]
    assert b"content-type: application/problem+json" in head.lower()
    assert b"connection: close" in head.lower()
    assert json.loads(body)["status"] == status


PING = b"GET /ping HTTP/1.1\r\nHost: x\r\n"


def test_an_oversized_head_is_refused(served):
    server, _ = served
    assert_problem(read_all(connect(server, PING, b"X-Big: " + b"a" * 60_000 + b"\r\n\r\n")), 431)
    many = b"".join(b"X-%d: soup\r\n" % i for i in range(5000))
    assert_problem(read_all(connect(server, PING, many, b"\r\n")), 431)
    long = b"X-Long: " + b"a" * 20_000
    assert b" 200 OK" in read_all(connect(server, PING, long, b"\r\nConnection: close\r\n\r\n"))


def test_an_endless_trailer_is_refused(served):
    "The fields behind a chunked body are limited as those before it are."
    server, _ = served
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Trailer: "
    connection = connect(server, head)
    with pytest.raises(OSError):
        for _ in range(200):
            connection.sendall(b"a" * 10_000)
            time.sleep(.005)


def test_a_giant_head_does_not_slow_the_others(served):
    server, _ = served
    attacker = connect(server, PING, b"X-Big: ")
    with pytest.raises(OSError):
        for _ in range(94): attacker.sendall(b"a" * 1_000_000)
    start = time.monotonic()
    assert read_page(server, "/ping")
    assert time.monotonic() - start < 1


def test_a_long_url_is_refused(served):
    server, _ = served
    with httpx2.Client() as client:
        response = client.get(f"{server.url}/ping?{'a' * 10_000}")
        assert response.status_code == 414
        assert response.headers["Content-Type"] == "application/problem+json"
        assert client.get(f"{server.url}/ping?{'a' * 6_000}").status_code == 422, "an unknown parameter"


def test_an_answered_connection_that_trickles_is_closed(small_server):
    "Neither line ends nor a head in pieces keep a connection open after its answer."
    crlf, pieces = (connect(small_server, PING, b"\r\n") for _ in range(2))
    for connection in (crlf, pieces):
        answer = b""
        while not answer.endswith(b"}"): answer += connection.recv(1000)
    start = time.monotonic()
    trickle = iter(b"GET /ping HTTP/1.1\r\nHost: somewhere")
    with pytest.raises(OSError):
        while time.monotonic() - start < 20:
            crlf.sendall(b"\r\n")
            pieces.sendall(bytes([next(trickle)]))
            time.sleep(.5)
    assert time.monotonic() - start < 15
    pieces.settimeout(3)
    assert read_all(pieces) == b""
    assert ended(small_server, "slow head") == 2


def test_more_connections_than_files_leave_room_for_others(small_server):
    "Connections without a request make room, so an ordinary caller is answered and files remain."
    idle = [connect(small_server, PING, b"\r\n") for _ in range(200)]
    halves = [connect(small_server, PING) for _ in range(200)]
    for _ in range(20):
        assert httpx2.post(f"{small_server.url}/predict", json={"text": TEXT}).status_code == 200
    assert ended(small_server, "too many connections") > 300
    assert any('"connections_full"' in line for line in small_server.lines)
    for connection in idle + halves: connection.close()


def test_a_reader_that_does_not_read_is_closed(small_server):
    body = json.dumps({"texts": ["lovely soup " * 300] * 1000}).encode()
    head = b"POST /predict/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    readers = [connect(small_server, head % len(body) + body, receive_buffer=4096) for _ in range(3)]
    deadline = time.monotonic() + 30
    while ended(small_server, "slow reader") < 3 and time.monotonic() < deadline: time.sleep(.2)
    assert ended(small_server, "slow reader") == 3
    assert b"yelp_requests_in_flight 1.0" in httpx2.get(f"{small_server.url}/metrics").content
    for reader in readers: reader.close()
