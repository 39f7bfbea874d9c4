"What a caller was told is stored stays stored, whatever is killed."
import asyncio
import subprocess
import threading
import time
import uuid
from collections import Counter

import httpx2
from conftest import until

from yelp_reviews.proxy.tables import answers

from .conftest import TEXT, assert_tallies_equal_a_recount, read_rows, use_database


class Callers:
    "Threads that store predictions, each with a new idempotency key, and repeat what was not acknowledged."

    def __init__(self, client, count: int = 8):
        self.client = client
        self.stopped = threading.Event()
        self.acknowledged = {}  # idempotency key -> id of the prediction
        self.statuses = Counter()
        self.threads = [threading.Thread(target=self.call, daemon=True) for _ in range(count)]

    def call(self):
        while not self.stopped.is_set():
            self.store_one(uuid.uuid4().hex)

    def store_one(self, key: str):
        "Send one prediction until it is acknowledged."
        body = {"text": TEXT, "is_positive_user_answered": True}
        for _ in range(200):
            try:
                response = self.client.post("/predictions", json=body, headers={"Idempotency-Key": key})
            except httpx2.TransportError:
                self.statuses["cut"] += 1
            else:
                self.statuses[response.status_code] += 1
                if response.status_code == 201:
                    self.acknowledged[key] = response.json()["id"]
                    return
                assert response.status_code == 503 and response.headers["retry-after"], response.text
            time.sleep(.05)

    def wait_for_more(self, count: int = 30):
        "Wait until this many more predictions have been acknowledged."
        before = len(self.acknowledged)
        until(lambda: len(self.acknowledged) > before + count, 20)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join(30)

    def assert_nothing_lost_nothing_twice(self, project):
        rows = read_rows(project)
        assert len(self.acknowledged) > 50, self.statuses
        lost = set(self.acknowledged.values()) - {str(row["id"]) for row in rows}
        assert not lost, "a prediction that was answered with 201 is lost"
        keys = [row["idempotency_key"] for row in rows]
        assert len(keys) == len(set(keys))
        answers_of_prediction = Counter(row["prediction_id"] for row in read_rows(project, answers))
        assert answers_of_prediction.most_common(1)[0][1] == 1
        assert_tallies_equal_a_recount(project)


def workers_of(proxy) -> list[str]:
    "Process ids of the proxy's workers."
    command = ["pgrep", "-P", str(proxy.process.pid), "-f", "spawn_main"]
    return subprocess.run(command, capture_output=True, text=True).stdout.split()


def test_a_killed_proxy_loses_nothing_and_stores_nothing_twice(stored, services):
    _, proxy, client = services(workers=2)
    with Callers(client) as callers:
        for _ in range(3):
            callers.wait_for_more()
            until(lambda: len(workers_of(proxy)) == 2, 20)
            subprocess.run(["kill", "-9", workers_of(proxy)[0]], check=True)
        subprocess.run(["pkill", "-9", "-g", str(proxy.process.pid)], check=True)
        proxy.process.wait(10)
        proxy.start()
        callers.wait_for_more()
    assert callers.statuses["cut"]
    callers.assert_nothing_lost_nothing_twice(stored)


def crash_postgresql(server):
    "Stop PostgreSQL at once, as in a crash, and start it again."
    subprocess.run(["kill", "-QUIT", str(server.get_pid())], check=True)
    until(lambda: not server.get_postmaster_info().is_running() if server.get_pid() else True, 10)
    time.sleep(.5)
    server.ensure_postgres_running()


async def hold_sqlite_lock(engine):
    "Lock SQLite for longer than a writer waits."
    async with engine.connect() as connection:
        await (await connection.execution_options(writes=True)).begin()
        await asyncio.sleep(12)


def test_a_database_that_restarts_loses_nothing_and_stores_nothing_twice(stored, services, request):
    _, _, client = services()
    with Callers(client) as callers:
        for _ in range(3):
            callers.wait_for_more()
            if "YELP_DATABASE_URL" in stored.env:
                crash_postgresql(request.getfixturevalue("postgres"))
            else:
                use_database(stored, hold_sqlite_lock)
        callers.wait_for_more()
    assert callers.statuses[503], callers.statuses
    callers.assert_nothing_lost_nothing_twice(stored)
