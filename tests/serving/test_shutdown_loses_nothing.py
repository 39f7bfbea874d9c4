"Stopping, reloading and failing workers cost no request that a server has accepted."
import json
import os
import signal
import socket
import threading
import time

import pytest
from conftest import until

from .conftest import constant_scorer, read_page

BODY = b'{"text": "soup"}'
REQUEST = (
    b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


class PatientCallers:
    "Threads that send requests over kept or new connections, and count those that were sent but not answered."
    def __init__(self, server, count: int = 8):
        self.address = ("127.0.0.1", server.project.ports["server"])
        self.answered, self.lost, self.reasons = 0, 0, []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(i % 2 == 0,), daemon=True) for i in range(count)]

    def _call(self, keep: bool):
        connection = None
        while not self._ended.is_set():
            try: connection = connection or socket.create_connection(self.address, timeout=20)
            except OSError:             # refused: nothing was sent, so another server can be asked
                time.sleep(.01)
                continue
            answer = self._ask(connection)
            if not keep or b"connection: close" in answer or not answer:
                connection.close()
                connection = None

    def _ask(self, connection: socket.socket) -> bytes:
        answer = b""
        try:
            connection.sendall(REQUEST)
            while not answer.endswith(b"}}") and (piece := connection.recv(2**16)): answer += piece
        except OSError as e: self.reasons.append(repr(e))
        if answer.endswith(b"}}"): self.answered += 1
        else: self.lost += 1
        return answer

    def __enter__(self):
        for thread in self._threads: thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        for thread in self._threads: thread.join(20)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_cuts_no_request(registry, serve, workers):
    registry.add_production(constant_scorer(1.))
    server = serve("--model", "production", "--workers", workers, YELP_DRAIN_SECONDS="0.5")
    for _ in range(3):
        with PatientCallers(server) as callers:
            time.sleep(1)
            server.process.terminate()
            assert server.process.wait(20) in (0, -signal.SIGTERM)
            time.sleep(.2)
        assert callers.answered > 200
        assert callers.lost == 0, callers.reasons
        server.start()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sighup_cuts_no_request(registry, serve, workers):
    "One worker drains and stops as at SIGTERM; several are replaced, one after the other."
    registry.add_production(constant_scorer(1.))
    server = serve("--model", "production", "--workers", workers, YELP_DRAIN_SECONDS="0.5")

    def seen(): return {json.loads(read_page(server, "/version"))["worker"] for _ in range(20)}

    until(lambda: len(seen()) == int(workers), 30)
    with PatientCallers(server) as callers:
        before = seen()
        time.sleep(.5)
        os.killpg(server.process.pid, signal.SIGHUP)
        if workers == "1": assert server.process.wait(20) in (0, -signal.SIGTERM)
        else: until(lambda: not seen() & before, 40)
    assert callers.answered > 200
    assert callers.lost == 0, callers.reasons


def test_a_reader_that_does_not_read_does_not_delay_sigterm(registry, serve):
    registry.add_production(constant_scorer(1.))
    server = serve("--model", "production", YELP_SEND_TIMEOUT="3600")
    body = json.dumps({"texts": ["lovely soup " * 300] * 1000}).encode()
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect(("127.0.0.1", server.project.ports["server"]))
    reader.sendall(REQUEST.replace(b"/predict", b"/predict/batch").split(b"Content-Length")[0])
    reader.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    time.sleep(3)
    server.process.terminate()
    assert server.process.wait(25) in (0, -signal.SIGTERM)
    reader.close()


FAILING = """
import os, sys, time
from yelp_reviews.web.workers import run_workers

def build():
    with open(sys.argv[2], "a") as starts: starts.write("started\\n")
    if os.path.exists(sys.argv[3]): raise RuntimeError("the database is away")
    from fastapi import FastAPI
    return FastAPI()

if __name__ == "__main__": run_workers(build, "127.0.0.1", int(sys.argv[1]), workers=2)
"""


def test_a_worker_that_cannot_start_is_not_restarted_all_the_time(project):
    "Its restarts are further and further apart, the others go on, and it is back when the reason has gone."
    import subprocess
    import sys
    program, starts, away = (project.folder / name for name in ("program.py", "starts", "away"))
    program.write_text(FAILING)
    port = str(project.ports["server"])
    command = [sys.executable, program, port, starts, away]
    process = subprocess.Popen(command, env=project.env, stderr=subprocess.DEVNULL)
    try:
        until(lambda: starts.exists() and len(starts.read_text().splitlines()) == 2, 30)
        time.sleep(2)
        away.touch()
        children = f"/proc/{process.pid}/task/{process.pid}/children"
        workers = [int(pid) for pid in open(children).read().split()]
        os.kill(max(workers), signal.SIGKILL)
        time.sleep(20)
        restarts = len(starts.read_text().splitlines()) - 2
        assert 2 <= restarts <= 6
        assert process.poll() is None
        away.unlink()
        until(lambda: len(open(children).read().split()) >= 2, 40)
    finally:
        process.terminate()
        assert process.wait(25) in (0, -signal.SIGTERM)
