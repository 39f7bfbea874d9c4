"Old and erased predictions are deleted in short transactions, and leave nothing in the files."
import os
import random
import stat
from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa
from conftest import new_key

from yelp_reviews.proxy.predictions import add_predictions
from yelp_reviews.proxy.records import Caller, PredictionRecord, record_answer, utc_now, uuid7

from .conftest import assert_tallies_equal_a_recount, read_rows, use_database

ROWS = 6000


def old_predictions(count: int, source: str = "shop") -> list[PredictionRecord]:
    "Predictions of different lengths, made about a hundred days ago; each text contains its number."
    details = {"mlflow_run_id": "abc", "model_version": "1", "inference_elapsed": 1e-4}
    words, choose, records = {"total": 9, "unknown": 1}, random.Random(0), []
    for i in range(count):
        at = utc_now() - timedelta(days=100, seconds=count - i)
        text = f"The author of {source} {i:06d} wants this gone. " + "soup " * choose.choice([1, 20, 80, 200, 1500])
        answer = {"text": text, "is_positive_review": 1, "probability": .9, "details": details, "words": words}
        record = record_answer(answer, Caller("k1", source, "request-1"), latency=.002, user_answered=i % 3 == 0)
        records.append(replace(record, id=uuid7(at), timestamp=at))
    return records


def store(project, records: list[PredictionRecord]):
    use_database(project, lambda engine: add_predictions(engine, [records]))


def contents(project) -> bytes:
    "All bytes of SQLite's files."
    return b"".join(path.read_bytes() for path in (project.folder / ".yelp").glob("predictions.db*"))


def test_an_interrupted_prune_goes_on_where_it_stopped(stored):
    stored.run("db", "upgrade")
    store(stored, old_predictions(ROWS))
    process = stored.popen("db", "prune", "--older-than", "90d")
    while process.poll() is None and len(read_rows(stored)) in (0, ROWS):
        pass
    process.kill()
    process.wait()
    assert_tallies_equal_a_recount(stored)
    left = len(read_rows(stored))
    assert stored.run("db", "prune", "--older-than", "90d") == f"{left:,} predictions deleted\n"
    assert read_rows(stored) == []
    assert_tallies_equal_a_recount(stored)


def test_no_transaction_of_prune_is_long(stored):
    stored.run("db", "upgrade")
    store(stored, old_predictions(ROWS))
    deleted = []

    async def prune(engine):
        from yelp_reviews.proxy.retention import prune

        def note(connection, cursor, statement, parameters, context, many):
            if statement.startswith("DELETE FROM predictions"):
                deleted.append(cursor.rowcount)

        sa.event.listen(engine.sync_engine, "after_cursor_execute", note)
        return await prune(engine, utc_now() - timedelta(days=90))

    assert use_database(stored, prune) == ROWS == sum(deleted)
    assert max(deleted) <= 1000


def test_a_source_is_erased_alone(stored):
    stored.run("db", "upgrade")
    store(stored, old_predictions(1500) + old_predictions(1500, "bar"))
    assert stored.run("db", "erase", "--source", "bar") == "1,500 predictions from bar deleted\n"
    assert {row["source"] for row in read_rows(stored)} == {"shop"}
    assert_tallies_equal_a_recount(stored)
    assert "There are no predictions from 'bar'" in stored.run("db", "erase", "--source", "bar", status=2)


def test_erased_reviews_are_in_no_file_of_sqlite(project, proxy_alone):
    client = proxy_alone(project)
    records = old_predictions(1500)
    store(project, records)
    assert b"shop 000123" in contents(project)
    random.Random(1).shuffle(records)
    erased, kept = records[:100], records[1400:]
    for record in erased:
        assert client.delete(f"/predictions/{record.id}").status_code == 204
    left = contents(project)  # while the proxy runs
    assert [record.text for record in erased if record.text[:28].encode() in left] == []
    assert all(record.text[:28].encode() in left for record in kept)
    project.run("db", "prune", "--older-than", "90d")
    assert b"wants this gone" not in contents(project)


def test_after_an_erasure_the_proxy_still_sees_what_others_store(project, proxy_alone):
    "A second process that ends must not delete the write-ahead log under the proxy."
    client = proxy_alone(project)
    [record] = records = old_predictions(1)
    store(project, records)
    assert client.delete(f"/predictions/{record.id}").status_code == 204
    for _ in range(2):
        client.headers["X-API-Key"] = new_key(project)
        assert client.get("/predictions").status_code == 200
    assert (project.folder / ".yelp/predictions.db-wal").exists()


def test_only_the_owner_may_read_the_files(project, proxy_alone):
    home = project.folder / ".yelp"
    home.mkdir(mode=0o755)
    (home / "predictions.db").touch(mode=0o644)
    umask = os.umask(0o022)
    try:
        client = proxy_alone(project)
        client.get("/predictions")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.glob("predictions.db*")}
    finally:
        os.umask(umask)
    assert modes.keys() == {"predictions.db", "predictions.db-wal", "predictions.db-shm"}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
