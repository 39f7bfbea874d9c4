"The proxy as a process, on SQLite and on PostgreSQL: contract, keys, kills, a database and a model server that come and go, drift, fuzzing."
import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx2
import numpy as np
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from conftest import Service, free_port, new_key, until

from yelp_reviews.core.settings import ProxySettings, get_settings
from yelp_reviews.data.sample import generate
from yelp_reviews.proxy.migrations import SCHEMA_REVISION, current_revision
from yelp_reviews.proxy.tables import answers, predictions, metadata, tallies
from yelp_reviews.proxy.tallies import tally_keys
from yelp_reviews.proxy.database import open_database
from yelp_reviews.proxy.records import PredictionRecord

TEXT = "The soup was lovely, but we waited an hour for it."


def settings_of(project): return get_settings(ProxySettings, home=project.folder / ".yelp", database_url=project.env.get("YELP_DATABASE_URL", ""))


def ask_database(project, do):
    "The result of an async function of the project's database."
    async def work():
        async with open_database(settings_of(project)) as engine: return await do(engine)
    return asyncio.run(work())


def rows_of(project, table=predictions) -> list[dict]:
    async def read(engine):
        async with engine.connect() as connection: return [dict(r) for r in (await connection.execute(sa.select(table))).mappings()]
    return ask_database(project, read)


def law_holds(project):
    "The tallies are what counting the rows gives."
    counted = Counter(cell for row in rows_of(project) for cell, _ in tally_keys(PredictionRecord(**row)))
    assert dict(counted) == {(t["signal"], t["hour"], t["model_version"], t["bin"], t["answer"]): t["n"] for t in rows_of(project, tallies) if t["n"]}


@pytest.fixture
def services(stored, artifact):
    "A function that starts the model server and the proxy of a project, with a client that has a key."
    started = []
    def start(workers: int = 1, **env):
        started.append(Service(stored, "serve", "--model", artifact, "--port", str(stored.ports["server"]), port="server"))
        started.append(Service(stored, "proxy", "--workers", str(workers), "--port", str(stored.ports["proxy"]), port="proxy", **env))
        client = httpx2.Client(base_url=started[1].url, headers={"X-API-Key": new_key(stored)}, timeout=30)
        return started[0], started[1], client
    yield start
    for service in started:
        if service.process.poll() is None: service.stop()


def test_migrations_by_several_at_once_and_back(stored):
    at_once = [stored.popen("db", "upgrade") for _ in range(4)]
    for process in at_once:
        out, err = process.communicate(timeout=60)
        assert (out, process.returncode) == (f"The database is at revision {SCHEMA_REVISION}\n", 0), err

    async def difference(engine):
        async with engine.connect() as connection: return await connection.run_sync(lambda c: compare_metadata(MigrationContext.configure(c), metadata))
    assert ask_database(stored, difference) == []
    stored.run("db", "downgrade", "--yes")
    assert ask_database(stored, current_revision) is None
    refused = stored.run("proxy", status=2, env={"YELP_DATABASE_MIGRATE": "false"})
    assert f"The database is at revision None, not {SCHEMA_REVISION}; run `yelp-reviews db upgrade`" in refused
    stored.run("db", "upgrade")


def test_the_contract(stored, services):
    _, proxy, client = services(workers=2)
    made = client.post("/predictions", json={"text": TEXT, "is_positive_user_answered": True})
    answer = made.json()
    assert made.status_code == 201 and set(answer) == {"id", "text", "is_positive", "probability", "details"}
    assert set(answer["is_positive"]) == {"user_answered", "model_answered"} and set(answer["details"]) == {"mlflow_run_id", "model_version", "inference_elapsed", "timestamp"}
    assert answer["details"]["timestamp"].endswith("+00:00")
    assert client.get(made.headers["location"]).json()["history"][0]["is_positive_user_answered"] is True
    client.patch(made.headers["location"], json={"is_positive_user_answered": False})
    row, = client.get("/predictions").json()["predictions"]
    assert {"id", "text", "is_positive_user_answered", "is_positive_model_answered", "mlflow_run_id", "model_version", "inference_elapsed", "timestamp"} <= set(row)
    texts = [r["text"] for r in generate(300, seed=5)]
    batch = client.post("/predictions/batch", json={"texts": texts}, headers={"Idempotency-Key": "file"}).json()["predictions"]
    assert [b["text"] for b in batch] == texts
    assert [b["id"] for b in client.post("/predictions/batch", json={"texts": texts}, headers={"Idempotency-Key": "file"}).json()["predictions"]] == [b["id"] for b in batch]
    for found in batch: client.patch(f"/predictions/{found['id']}", json={"is_positive_user_answered": found["probability"] > .4})
    seen, cursor = [], None
    while True:
        got = client.get("/predictions", params={"limit": 97} | ({"cursor": cursor} if cursor else {})).json()
        seen, cursor = seen + [r["id"] for r in got["predictions"]], got["next_cursor"]
        if not cursor: break
    assert len(seen) == len(set(seen)) == 301 and seen == sorted(seen, reverse=True)
    found = client.get("/statistics", params={"window": "hour"}).json()["statistics"]
    right = sum((b["probability"] > .4) == (b["probability"] >= .5) for b in batch) + (not answer["is_positive"]["model_answered"])
    assert (found["predictions"], found["answered"], found["correct"]) == (301, 301, right)
    assert found["correctness_interval"][0] < found["correctness_rate"] < found["correctness_interval"][1] and sum(found["confusion"].values()) == 301
    for kind in ("jsonl", "parquet"):
        (stored.folder / f"answered.{kind}").write_bytes(client.get("/predictions/export", params={"format": kind}).content)
        assert re.search(r"rows read +301\n", stored.run("data", f"answered.{kind}"))
    used = client.post("/predictions/batch", json={"texts": [TEXT, *texts]}, headers={"Idempotency-Key": "file"})
    assert used.status_code == 422 and "another request" in used.json()["detail"] and len(rows_of(stored)) == 301, "nothing of another request is stored"
    law_holds(stored)
    assert client.delete(made.headers["location"]).status_code == 204 and client.get(made.headers["location"]).status_code == 404
    assert stored.run("db", "prune", "--older-than", "1h") == "0 predictions deleted\n"
    law_holds(stored)
    assert len(rows_of(stored, answers)) == len(rows_of(stored)) and all(TEXT not in line for line in proxy.lines)


def test_only_a_hash_where_texts_are_not_kept(stored, services):
    _, _, client = services(YELP_KEEP_TEXT="false")
    place = client.post("/predictions", json={"text": TEXT, "is_positive_user_answered": True}).headers["location"]
    assert client.get(place).json()["text"] is None and client.get("/predictions/export").text == ""
    assert rows_of(stored)[0]["text"] is None and len(rows_of(stored)[0]["text_sha256"]) == 64


class Callers:
    "Callers that store predictions, each time with a new idempotency key, and send again what was not answered."
    def __init__(self, client, callers: int = 8):
        self.client, self.over, self.seen, self.statuses = client, threading.Event(), {}, Counter()
        self.threads = [threading.Thread(target=self.call, daemon=True) for _ in range(callers)]

    def call(self):
        while not self.over.is_set():
            key = uuid.uuid4().hex
            for again in range(200):
                try:
                    response = self.client.post("/predictions", json={"text": TEXT, "is_positive_user_answered": True}, headers={"Idempotency-Key": key})
                    self.statuses[response.status_code] += 1
                    if response.status_code == 201: self.seen[key] = response.json()["id"]; break
                    assert response.status_code == 503 and response.headers["retry-after"], response.text
                except httpx2.TransportError: self.statuses["cut"] += 1
                time.sleep(.05)

    def __enter__(self):
        for thread in self.threads: thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads: thread.join(30)

    def nothing_lost_nothing_twice(self, project):
        rows = rows_of(project)
        assert len(self.seen) > 50, self.statuses
        assert not set(self.seen.values()) - {str(row["id"]) for row in rows}, "a prediction that was answered with 201 is lost"
        keys = [row["idempotency_key"] for row in rows]
        assert len(keys) == len(set(keys)) and Counter(row["prediction_id"] for row in rows_of(project, answers)).most_common(1)[0][1] == 1
        law_holds(project)


def test_a_killed_proxy_loses_nothing(stored, services):
    _, proxy, client = services(workers=2)
    with Callers(client) as callers:
        for _ in range(3):
            until(lambda: len(callers.seen) > 30, 20)
            worker = subprocess.run(["pgrep", "-P", str(proxy.process.pid), "-f", "spawn_main"], capture_output=True, text=True).stdout.split()[0]
            subprocess.run(["kill", "-9", worker], check=True)
            time.sleep(1.5)
        subprocess.run(["pkill", "-9", "-g", str(proxy.process.pid)], check=True)
        proxy.process.wait(10)
        proxy.start()
        answered = len(callers.seen)
        until(lambda: len(callers.seen) > answered + 30, 20)
    assert callers.statuses["cut"]
    callers.nothing_lost_nothing_twice(stored)


def test_a_database_that_restarts_loses_nothing(stored, services, request):
    _, _, client = services()
    with Callers(client) as callers:
        for _ in range(3):
            answered = len(callers.seen)
            until(lambda: len(callers.seen) > answered + 30, 20)
            if "YELP_DATABASE_URL" in stored.env:
                server = request.getfixturevalue("postgres")
                subprocess.run(["kill", "-QUIT", str(server.get_pid())], check=True) # at once, as in a crash
                until(lambda: not server.get_postmaster_info().is_running() if server.get_pid() else True, 10)
                time.sleep(.5)
                server.ensure_postgres_running()
            else:
                async def hold(engine):
                    async with engine.connect() as connection:
                        await (await connection.execution_options(writes=True)).begin()
                        await asyncio.sleep(12) # longer than a writer waits
                ask_database(stored, hold)
        answered = len(callers.seen)
        until(lambda: len(callers.seen) > answered + 30, 20)
    assert callers.statuses[503], callers.statuses
    callers.nothing_lost_nothing_twice(stored)


def test_many_change_the_same_at_once(stored, services):
    "Answers, erasures and new predictions at once, by two workers: no deadlock, no lost count."
    _, _, client = services(workers=2)
    ids = [b["id"] for b in client.post("/predictions/batch", json={"texts": [TEXT] * 20}).json()["predictions"]]
    statuses, choose = Counter(), np.random.default_rng(0)

    def change(seed: int):
        choose = np.random.default_rng(seed)
        for _ in range(40):
            place = f"/predictions/{ids[choose.integers(20)]}"
            what = choose.integers(8)
            if what == 0: statuses[client.post("/predictions", json={"text": TEXT, "is_positive_user_answered": True}, headers={"Idempotency-Key": str(choose.integers(30))}).status_code] += 1
            elif what == 1: statuses[client.delete(place).status_code] += 1
            else: statuses[client.patch(place, json={"is_positive_user_answered": [True, False, None][choose.integers(3)]}).status_code] += 1
    threads = [threading.Thread(target=change, args=(seed,)) for seed in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join(120)
    assert set(statuses) <= {200, 201, 204, 404} and sum(statuses.values()) == 320, statuses
    law_holds(stored)


def test_two_workers_share_one_limit(stored, services):
    _, _, client = services(workers=2)
    client.headers["X-API-Key"] = new_key(stored, "read", "25/hour")
    with httpx2.Client(base_url=client.base_url, headers=client.headers, timeout=30) as other:
        found = Counter()
        def call(): 
            for i in range(20): found[(client, other)[i % 2].get("/predictions", headers={"Connection": "close"}).status_code] += 1
        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    assert found == {200: 25, 429: 55}
    spent = client.get("/predictions")
    assert 3000 < int(spent.headers["retry-after"]) <= 3600 and spent.json()["title"] == "Limit spent"


def operations(client) -> list[tuple[str, str, dict]]:
    "Method, path and description of each route, those that FastAPI adds included."
    found = [(method.upper(), path, about) for path, methods in client.get("/openapi.json").json()["paths"].items() for method, about in methods.items()]
    return found + [("GET", path, {}) for path in ("/docs", "/openapi.json", "/nowhere", "/predictions/", "//predictions", "/health/ready/", "/health/live/../../predictions", "/ping/x")]


def test_no_route_but_health_without_a_key(stored, services):
    _, _, client = services()
    keys = {scope: new_key(stored, scope) for scope in ("predict", "answer", "read", "admin")}
    needed = {("POST", "/predictions"): "predict", ("POST", "/predictions/batch"): "predict", ("PATCH", "/predictions/{id}"): "answer", ("DELETE", "/predictions/{id}"): "admin"}
    for method, path, about in operations(client):
        if path in ("/health/live", "/health/ready", "/ping"): continue
        url = path.replace("{id}", str(uuid.uuid4()))
        for key in ("", "yelp_", keys["read"][:-1] + "!", keys["read"].replace("yelp_", "yelp_0", 1)):
            assert client.request(method, url, headers={"X-API-Key": key}).status_code == 401, (method, path)
        assert client.request("HEAD", url, headers={"X-API-Key": ""}).status_code == client.request("OPTIONS", url, headers={"X-API-Key": "", "Origin": "http://evil.example"}).status_code == 401
        if about:
            body = {"text": TEXT} if path == "/predictions" else {"texts": [TEXT]} if path.endswith("batch") else {"is_positive_user_answered": True}
            for scope, key in keys.items():
                status = client.request(method, url, headers={"X-API-Key": key}, **({"json": body} if method in ("POST", "PATCH") else {})).status_code
                assert (status == 403) == (scope != needed.get((method, path), "read")), (method, path, scope, status)
    assert client.get("/predictions", headers={"X-API-Key": "", "Authorization": f"Bearer {keys['read']}"}).status_code == 200
    assert client.post("/predictions", json={"text": TEXT, "is_positive_user_answered": True}, headers={"X-API-Key": keys["predict"]}).status_code == 403
    assert not any("access-control" in name for name in client.get("/ping", headers={"Origin": "http://evil.example"}).headers)
    stored.run("keys", "revoke", keys["read"].split("_")[1])
    until(lambda: client.get("/predictions", headers={"X-API-Key": keys["read"]}).status_code == 401, 3)


def test_a_model_server_that_goes_disturbs_nothing_else(stored, services):
    model, _, client = services(YELP_MODEL_TIMEOUT="1")
    assert client.post("/predictions", json={"text": TEXT}).status_code == 201
    model.stop(signal.SIGKILL)
    for _ in range(8):
        gone = client.post("/predictions", json={"text": TEXT})
        assert gone.status_code == 503 and int(gone.headers["retry-after"]) >= 1 and "nothing was stored" in gone.json()["detail"]
    start = time.monotonic()
    assert client.post("/predictions", json={"text": TEXT}).status_code == 503 and time.monotonic() - start < .3, "the breaker is open"
    assert client.get("/health/ready").status_code == 503 and client.get("/health/live").status_code == 200
    assert client.get("/statistics").json()["statistics"]["predictions"] == 1
    with socket.socket() as deaf: # accepts and says nothing
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deaf.bind(("127.0.0.1", stored.ports["server"]))
        deaf.listen(64)
        time.sleep(2.1)
        start = time.monotonic()
        assert client.post("/predictions", json={"text": TEXT}).status_code == 503 and time.monotonic() - start < 2.5
    model.start()
    until(lambda: client.post("/predictions", json={"text": TEXT}).status_code == 201, 6)
    assert len(rows_of(stored)) == 2


class Heard(BaseHTTPRequestHandler):
    "A webhook's receiver."
    def do_POST(self):
        self.server.heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_): pass


def test_ten_thousand_shifted_reviews_raise_the_alert(stored, services, trained):
    "And ten thousand from the reference do not; the change is told once."
    from yelp_reviews.data.preparation import prepare
    told = HTTPServer(("127.0.0.1", free_port()), Heard)
    told.heard = []
    threading.Thread(target=told.serve_forever, daemon=True).start()
    _, _, client = services(YELP_DRIFT_SECONDS="1", YELP_DRIFT_WEBHOOK=f"http://127.0.0.1:{told.server_port}/", YELP_MAX_BODY_BYTES="20000000", YELP_CONNECT_TIMEOUT="5", YELP_MODEL_TIMEOUT="30")
    reference = prepare("sample", limit=3000, settings=get_settings(cache=trained.folder / "cache"), progress=False).part("validation")["text"].to_pylist()
    chances = np.random.default_rng(0)
    states = lambda: {s["signal"]: s["state"] for s in client.get("/drift").json()["signals"]}
    assert set(states().values()) == {"too little data"}
    for _ in range(10): assert client.post("/predictions/batch", json={"texts": [reference[i] for i in chances.integers(len(reference), size=1000)]}).status_code == 201
    assert set(states().values()) == {"ok"}
    shifted = [t for t in (re.sub(r"[aeiou]", "oo", t, count=6) for t in reference if "not" in t or len(t) < 150)]
    for _ in range(10): assert client.post("/predictions/batch", json={"texts": [shifted[i] for i in chances.integers(len(shifted), size=1000)]}).status_code == 201
    assert states()["unknown"] == "alert"
    until(lambda: any(h["signal"] == "unknown" and h["state"] == "alert" for h in told.heard), 5)
    time.sleep(1.5)
    assert sum(h["signal"] == "unknown" and h["state"] == "alert" for h in told.heard) == 1
    assert re.search(r'yelp_drift_state{signal="unknown"} 2.0', client.get("/metrics").text)


@pytest.mark.slow
@pytest.mark.parametrize("authorised", [True, False])
def test_fuzzed_by_the_openapi_document(stored, services, authorised):
    _, proxy, client = services()
    (stored.folder / "openapi.json").write_bytes(client.get("/openapi.json").content)
    key = ["-H", f"X-API-Key: {client.headers['X-API-Key']}"] if authorised else []
    fuzz = subprocess.run([sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", proxy.url, "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
                           "--max-examples", "150", "--phases", "examples,coverage,fuzzing", "--workers", "1", "--no-color", *key], capture_output=True, text=True, timeout=280, cwd=stored.folder)
    assert fuzz.returncode == 0, fuzz.stdout[-5000:]
    law_holds(stored)


ANSWERS = {"an empty object": (200, b"{}"), "a probability of 7": (200, b'{"text": "x", "is_positive_review": 1, "probability": 7, "details": {"mlflow_run_id": "r", "model_version": "1", "inference_elapsed": 1}}'), "brackets": (200, b"[" * 200_000),
           "another page": (404, b'{"detail": "Not Found"}'), "a key": (401, b"{}"), "elsewhere": (307, b"{}"), "HTML": (200, b"<html>")}


@pytest.mark.parametrize("what", ANSWERS)
def test_a_model_server_that_talks_nonsense(project, what):
    class Nonsense(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(ANSWERS[what][0])
            self.end_headers()
            self.wfile.write(ANSWERS[what][1])
        def log_message(self, *_): pass
    server = HTTPServer(("127.0.0.1", project.ports["server"]), Nonsense)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    proxy = Service(project, "proxy", port="proxy", ready="/health/live")
    answer = httpx2.post(f"{proxy.url}/predictions", json={"text": TEXT}, headers={"X-API-Key": new_key(project)})
    proxy.stop()
    assert answer.status_code == 503 and answer.headers["retry-after"] and rows_of(project) == []


def test_exports_that_nobody_reads_hold_up_nobody(stored, services):
    _, proxy, client = services(YELP_DATABASE_POOL="2")
    for _ in range(4): client.post("/predictions/batch", json={"texts": [TEXT * 100] * 500})
    async def answer_all(engine):
        async with engine.begin() as connection: await connection.execute(sa.update(predictions).values(user_answered=True))
    ask_database(stored, answer_all)
    deaf = [socket.create_connection(("127.0.0.1", stored.ports["proxy"])) for _ in range(6)]
    for s in deaf: s.sendall(f"GET /predictions/export HTTP/1.1\r\nHost: x\r\nX-API-Key: {client.headers['X-API-Key']}\r\n\r\n".encode())
    time.sleep(1)
    assert [client.get("/predictions?limit=1").status_code for _ in range(5)] == [200] * 5
    for s in deaf: s.close()
