"What the tests of the proxy share: its database, and services that run as processes."
import asyncio
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx2
import pytest
import sqlalchemy as sa
from conftest import Service, free_port, new_key

from yelp_reviews.core.settings import ProxySettings, get_settings
from yelp_reviews.data.sample import generate
from yelp_reviews.proxy.database import open_database
from yelp_reviews.proxy.records import PredictionRecord
from yelp_reviews.proxy.tables import predictions, tallies
from yelp_reviews.proxy.tallies import TallyKey, tally_keys

TEXT = "The soup was lovely, but we waited an hour for it."


def use_database(project, operation):
    "The result of an async function of the engine of the project's database."
    url = project.env.get("YELP_DATABASE_URL", "")
    settings = get_settings(ProxySettings, home=project.folder / ".yelp", database_url=url)

    async def use():
        async with open_database(settings) as engine:
            return await operation(engine)

    return asyncio.run(use())


def read_rows(project, table=predictions) -> list[dict]:
    "All rows of a table."
    async def read(engine):
        async with engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(sa.select(table))).mappings()]

    return use_database(project, read)


def assert_tallies_equal_a_recount(project):
    "The counters in the table are those that counting all predictions gives."
    records = [PredictionRecord(**row) for row in read_rows(project)]
    recount = Counter(key for record in records for key, _ in tally_keys(record))
    stored = {
        tuple(row[name] for name in TallyKey._fields): row["n"]
        for row in read_rows(project, tallies)
        if row["n"]
    }
    assert stored == dict(recount)


def sample_texts(count: int) -> list[str]:
    "Reviews of the synthetic sample."
    return [review["text"] for review in generate(count, seed=5)]


@pytest.fixture
def services(stored, artifact):
    "A function that starts model server and proxy; returns both, and a client whose key has all scopes."
    started, clients = [], []

    def start(workers: int = 1, **env):
        ports = {name: str(port) for name, port in stored.ports.items()}
        server = Service(stored, "serve", "--model", artifact, "--port", ports["server"], port="server")
        started.append(server)
        arguments = ("proxy", "--workers", str(workers), "--port", ports["proxy"])
        proxy = Service(stored, *arguments, port="proxy", **env)
        started.append(proxy)
        client = httpx2.Client(base_url=proxy.url, headers={"X-API-Key": new_key(stored)}, timeout=30)
        clients.append(client)
        return server, proxy, client

    yield start
    for client in clients:
        client.close()
    for service in started:
        if service.process.poll() is None:
            service.stop()


@pytest.fixture
def proxy_alone():
    "A function that starts the proxy alone, on SQLite; returns a client whose key has all scopes."
    started, clients = [], []

    def start(project, **env):
        project.env["YELP_SERVER_URL"] = f"http://127.0.0.1:{project.ports['server']}"
        arguments = ("proxy", "--port", str(project.ports["proxy"]))
        started.append(Service(project, *arguments, port="proxy", ready="/health/live", **env))
        clients.append(httpx2.Client(base_url=started[-1].url, headers={"X-API-Key": new_key(project)}, timeout=30))
        return clients[-1]

    yield start
    for client in clients:
        client.close()
    for service in started:
        service.stop()


class _Receiver(BaseHTTPRequestHandler):
    "Receives calls of the webhook, and keeps them in its server's `events`."

    def do_POST(self):
        content = self.rfile.read(int(self.headers["content-length"]))
        self.server.events.append(json.loads(content))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def webhook():
    "A running receiver of webhook calls."
    server = HTTPServer(("127.0.0.1", free_port()), _Receiver)
    server.events = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
