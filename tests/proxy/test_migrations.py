"Migrations of the proxy's database, run by the command line in several processes."
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from yelp_reviews.proxy.migrations import SCHEMA_REVISION, current_revision
from yelp_reviews.proxy.tables import metadata

from .conftest import use_database


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
