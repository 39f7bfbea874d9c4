"Migrations of the proxy's database, run by the command line in several processes."
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from yelp_reviews.proxy.database import write_transaction
from yelp_reviews.proxy.keys import KeyStore
from yelp_reviews.proxy.migrations import SCHEMA_REVISION, current_revision, migrate
from yelp_reviews.proxy.records import Caller, PredictionRecord, record_answer, uuid7
from yelp_reviews.proxy.tables import UTCDateTime, metadata, predictions
from yelp_reviews.proxy.tallies import tally_keys

from .conftest import assert_tallies_equal_a_recount, read_rows, use_database


def test_several_processes_migrate_at_once_and_make_the_schema_of_the_tables(stored):
    processes = [stored.popen("db", "upgrade") for _ in range(4)]
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert (out, process.returncode) == (f"The database is at revision {SCHEMA_REVISION}\n", 0), err

    def differences(connection):
        return compare_metadata(MigrationContext.configure(connection), metadata)

    async def compare(engine):
        async with engine.connect() as connection:
            return await connection.run_sync(differences)

    assert use_database(stored, compare) == []


def test_a_downgraded_database_is_refused_until_it_is_upgraded(stored):
    stored.run("db", "upgrade")
    stored.run("db", "downgrade", "--yes")
    assert use_database(stored, current_revision) is None
    refused = stored.run("proxy", status=2, env={"YELP_DATABASE_MIGRATE": "false"})
    assert f"The database is at revision None, not {SCHEMA_REVISION}; run `yelp-reviews db upgrade`" in refused
    stored.run("db", "upgrade")
    assert use_database(stored, current_revision) == SCHEMA_REVISION


MONDAY = datetime(2026, 1, 5, 12, tzinfo=UTC)
SECRET = "s" * 43


def prediction(number: int, version: str|None, run: str|None) -> PredictionRecord:
    "A prediction of a Monday."
    answer = {
        "text": f"Soup number {number}.",
        "is_positive_review": 1,
        "probability": .5 + number / 100,
        "details": {"mlflow_run_id": run, "model_version": version, "inference_elapsed": 0.},
        "words": {"total": 4, "unknown": 1},
    }
    record = record_answer(answer, Caller("0" * 12, "shop", "r"), .002, user_answered=(None, True, False)[number % 3])
    return replace(record, id=uuid7(MONDAY), timestamp=MONDAY, answered_at=None)


async def fill_first_schema(engine, records: list[PredictionRecord]):
    "What a proxy of the first schema has stored: predictions with their counters, a key and a reference."
    await migrate(engine, "0001")
    counters = {}
    for record in records:
        for key, value in tally_keys(record):
            name = (key.signal, key.hour, key.model_version, key.bin, key.answer)
            n, total = counters.get(name, (0, 0.))
            counters[name] = n + 1, total + value
    hashed = sha256(b"salt" + SECRET.encode()).digest()
    key = {"id": "0" * 12, "salt": b"salt", "hash": hashed, "at": MONDAY}
    insert_key = sa.text("INSERT INTO api_keys (id, name, salt, hash, scopes, created_at) "
                         "VALUES (:id, 'shop', :salt, :hash, 'predict,read', :at)")
    insert_key = insert_key.bindparams(sa.bindparam("at", type_=UTCDateTime))
    async with write_transaction(engine) as connection:
        await connection.execute(sa.insert(predictions), [vars(record) for record in records])
        for name, (n, total) in counters.items():
            columns = dict(zip("abcdefg", (*name, n, total)))
            await connection.execute(sa.text("INSERT INTO tallies VALUES (:a, :b, :c, :d, :e, :f, :g)"), columns)
        await connection.execute(insert_key, key)
        await connection.execute(sa.text("INSERT INTO model_references VALUES ('1', 'first', '{}')"))


def test_an_upgrade_loses_nothing_and_counts_two_registries_apart(stored):
    runs = [("1", "first"), ("1", "second"), ("2", "third"), (None, None)]
    records = [prediction(number, *runs[number % 4]) for number in range(40)]
    use_database(stored, lambda engine: fill_first_schema(engine, records))
    before = read_rows(stored)
    stored.run("db", "upgrade")
    assert read_rows(stored) == before and len(before) == 40
    assert_tallies_equal_a_recount(stored)

    async def look(engine):
        key = await KeyStore(engine).check(f"yelp_{'0' * 12}_{SECRET}")
        async with engine.connect() as connection:
            references = (await connection.execute(sa.text("SELECT mlflow_run_id FROM model_references"))).all()
        return key["scopes"], [tuple(row) for row in references]

    assert use_database(stored, look) == ("predict,read,read:all", [("first",)])
