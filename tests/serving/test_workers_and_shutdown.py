"A worker that is killed is replaced, and a server that is told to stop finishes the requests in progress."
import json
import os
import re
import signal
import time
from pathlib import Path

import httpx2
from conftest import until

from .conftest import Callers, begin_request, constant_scorer, read_page


def seen_workers(server) -> set[int]:
    "Process ids of the workers that answer twenty requests."
    return {json.loads(read_page(server, "/version"))["worker"] for _ in range(20)}


def counted_predictions(server) -> float:
    "Predictions that the metrics of all workers count."
    return metric(server, 'yelp_requests_total{method="POST",path="/predict",status="200"}')


def resident_memory(pid: int) -> int:
    "Bytes of memory of a process."
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def metric(server, name: str) -> float:
    "The value of a metric, which the page gives for all workers together."
    return float(re.search(rf"^{re.escape(name)} (\S+)$", read_page(server, "/metrics"), re.M)[1])


def test_a_killed_worker_is_replaced_and_only_its_requests_are_lost(registry, serve):
    registry.add_production(constant_scorer(1.))
    server = serve("--model", "production", "--workers", "2")
    until(lambda: len(seen_workers(server)) == 2, 30)
    memory = sum(resident_memory(worker) for worker in seen_workers(server))
    assert .8 * memory < metric(server, "process_resident_memory_bytes") < 1.2 * memory

    def is_replaced(worker: int) -> bool:
        workers = seen_workers(server)
        return worker not in workers and len(workers) == 2

    with Callers(server) as callers:
        time.sleep(1)
        victim = min(seen_workers(server))
        processor_time = metric(server, "process_cpu_seconds_total")
        os.kill(victim, signal.SIGKILL)
        until(lambda: is_replaced(victim), 30)
        time.sleep(1)
        lost = len(callers.failures)
        time.sleep(2)
    assert len(callers.failures) == lost <= 8, "only what the killed worker had in hand is lost"
    assert len(callers.answers) > 200
    assert counted_predictions(server) >= len(callers.answers) - 8, "the metrics are those of both workers"
    assert metric(server, "process_cpu_seconds_total") > processor_time, "the time of the killed worker still counts"


def readiness(server) -> int:
    "The status of the readiness route."
    return httpx2.get(f"{server.url}/health/ready").status_code


def is_connection_error(failure: str) -> bool:
    return any(word in failure for word in ("Connect", "disconnected", "reset"))


def test_sigterm_drains(registry, serve):
    "The server says that it is not ready, answers for a while, then accepts nothing more and finishes what it has."
    registry.add_production(constant_scorer(1.))
    server = serve("--model", "production", YELP_DRAIN_SECONDS="1.5")
    unfinished = begin_request(server, b'{"text": ', length=16)
    with Callers(server) as callers:
        time.sleep(.5)
        server.process.terminate()
        until(lambda: readiness(server) == 503, 1)

        before = len(callers.answers)
        time.sleep(.5)
        assert len(callers.answers) > before and not callers.failures

        until(lambda: callers.failures, 5)  # now nothing more is accepted
        unfinished.sendall(b'"soup"}')
        assert unfinished.recv(100).startswith(b"HTTP/1.1 200"), "what was in hand is finished"
    assert all(map(is_connection_error, callers.failures)), set(callers.failures)
    assert server.process.wait(10) in (0, -signal.SIGTERM)
