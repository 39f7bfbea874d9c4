"One visitor cannot read what others may read, stop the dashboard, or fill the machine with kernels."
import asyncio
import re

import httpx2
import pytest
from conftest import Project, Service, until
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from .conftest import VOILA_READY

SUBPROTOCOL = "v1.kernel.websocket.jupyter.org"


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory):
    "A dashboard for two visitors that also answers for the name `dash.example`; it needs no proxy to show its page."
    project = Project(tmp_path_factory.mktemp("dashboard"))
    options = ("--kernels", "1", "--idle", "10", "--port", str(project.ports["dashboard"]))
    settings = {"YELP_API_KEY": "yelp_0123456789ab_secret", "YELP_DASHBOARD_KERNELS": "2"}
    names = {"YELP_DASHBOARD_HOSTS": "dash.example"}
    service = Service(project, "dashboard", *options, port="dashboard", ready=VOILA_READY, **settings, **names)
    yield service
    service.stop()


@pytest.fixture(scope="module")
def kernel(dashboard) -> str:
    "The id of a visitor's kernel."
    page = httpx2.get(dashboard.url, timeout=60).text
    return re.search(r'"kernelId": "([0-9a-f-]{36})"', page)[1]


def status(dashboard, path: str, host: str) -> int:
    return httpx2.get(f"{dashboard.url}{path}", headers={"Host": host}, timeout=60).status_code


def open_channels(dashboard, kernel: str, host: str = "", subprotocols: tuple = (SUBPROTOCOL,)):
    "Open the websocket of a kernel, as a coroutine."
    port = dashboard.project.ports["dashboard"]
    headers = {"Host": host or f"127.0.0.1:{port}"}
    request = HTTPRequest(f"ws://127.0.0.1:{port}/api/kernels/{kernel}/channels", headers=headers, request_timeout=10)
    return websocket_connect(request, subprotocols=list(subprotocols))


def refused_status(*args, **options) -> int:
    "Status with which a websocket is refused."
    async def connect(): await open_channels(*args, **options)
    with pytest.raises(HTTPClientError) as error: asyncio.run(connect())
    return error.value.code


def is_alive(dashboard) -> bool:
    return status(dashboard, VOILA_READY, "localhost") == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8866", "10.0.0.9"])
def test_a_page_under_another_name_is_refused(dashboard, kernel, host):
    "A DNS-rebinding page is of the same origin as the dashboard, but its requests carry its own name."
    for path in ("/", VOILA_READY, f"/api/kernels/{kernel}", f"/voila/query/{kernel}", "/nowhere"):
        assert status(dashboard, path, host) == 403, path
    assert refused_status(dashboard, kernel, host=host) == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8866", "127.0.0.1", "[::1]:8866", "dash.example"])
def test_loopback_names_and_configured_names_are_answered(dashboard, kernel, host):
    assert status(dashboard, VOILA_READY, host) == 200
    assert status(dashboard, f"/api/kernels/{kernel}", host) == 200


@pytest.mark.parametrize("subprotocols", [(), ("other",)])
def test_a_websocket_without_the_subprotocol_is_refused(dashboard, kernel, subprotocols):
    assert refused_status(dashboard, kernel, subprotocols=subprotocols) == 400
    assert is_alive(dashboard)


OFFSETS_BEYOND = (2**60).to_bytes(8, "little")
OFFSETS_BACK = b"".join(number.to_bytes(8, "little") for number in (4, 100, 40, 100, 40)) + bytes(100)


@pytest.mark.parametrize("message", [OFFSETS_BEYOND, OFFSETS_BACK, b"", b"\0" * 8, "text"])
def test_a_malformed_message_ends_its_connection_only(dashboard, kernel, message):
    async def send():
        connection = await open_channels(dashboard, kernel)
        await connection.write_message(message, binary=isinstance(message, bytes))
        while await asyncio.wait_for(connection.read_message(), 10) is not None: pass

    asyncio.run(send())
    assert is_alive(dashboard)


def test_beyond_the_limit_of_kernels_there_is_a_page_that_says_so(dashboard, kernel):
    answers = []

    async def visit_at_once():
        async with httpx2.AsyncClient(timeout=60) as client:
            answers.extend(await asyncio.gather(*(client.get(dashboard.url) for _ in range(6))))

    asyncio.run(visit_at_once())
    assert sorted(answer.status_code for answer in answers)[1:] == [503] * 5, "one is in use, and two are allowed"
    busy = next(answer for answer in answers if answer.status_code == 503)
    assert int(busy.headers["retry-after"]) > 0
    assert busy.headers["content-type"].startswith("text/html")
    assert "in use" in busy.text and "y-page" in busy.text
    assert is_alive(dashboard)

    # kernels that nobody uses end, and then there is room again
    until(lambda: httpx2.get(dashboard.url, timeout=60).status_code == 200, 90)
