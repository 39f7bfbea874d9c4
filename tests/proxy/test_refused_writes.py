"A database that answers but stores nothing: a full disk, and PostgreSQL that has become read-only."
import os
import subprocess
from contextlib import suppress

import pytest
from conftest import until

from .conftest import TEXT, read_rows


@pytest.fixture
def small_disk(project):
    "The project's state folder, on a disk of 8 MiB."
    folder = project.folder / ".yelp"
    folder.mkdir()
    prefix = [] if os.getuid() == 0 else ["sudo", "-n"]
    options = f"size=8m,mode=0700,uid={os.getuid()},gid={os.getgid()}"
    done = subprocess.run([*prefix, "mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if done.returncode: pytest.skip("mounting a small disk needs root or sudo")
    yield folder
    subprocess.run([*prefix, "umount", "-l", folder], check=True)


def fill(file):
    "Write to a file until the disk is full."
    with file.open("wb", buffering=0) as f, suppress(OSError):
        for size in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while True: f.write(b"x" * size)


def assert_refused(client, reason: str):
    "The proxy soon reports that it is not ready, and why; until then and after, no prediction fails with 500."
    def is_refused() -> bool:
        return reason in client.get("/health/ready").json().get("detail", "")

    until(is_refused, 20)
    assert client.get("/health/ready").status_code == 503
    for _ in range(5):
        response = client.post("/predictions", json={"text": TEXT})
        assert (response.status_code, response.json()["title"]) == (503, "Database unavailable"), response.text
        assert int(response.headers["retry-after"]) >= 1
    assert client.get("/health/live").status_code == 200


def assert_recovers(client, stored):
    "The proxy is ready again without a restart, and stores predictions."
    until(lambda: client.get("/health/ready").status_code == 200, 20)
    before = len(read_rows(stored))
    assert client.post("/predictions", json={"text": TEXT}).status_code == 201
    assert len(read_rows(stored)) == before + 1


@pytest.mark.parametrize("stored", ["sqlite"], indirect=True)
def test_a_full_disk_is_named_and_the_proxy_recovers_when_there_is_space(small_disk, stored, services):
    _, _, client = services()
    assert client.post("/predictions", json={"text": TEXT}).status_code == 201
    filler = small_disk / "filler"
    for _ in range(2):
        fill(filler)
        assert_refused(client, "database: the disk is full; free some space")
        filler.unlink()
        assert_recovers(client, stored)


@pytest.mark.parametrize("stored", ["postgresql"], indirect=True)
def test_a_read_only_postgresql_is_named_and_the_proxy_recovers(stored, services, postgres):
    _, _, client = services()

    def make_read_only(setting: str):
        postgres.psql(f"ALTER SYSTEM SET default_transaction_read_only = {setting};")
        postgres.psql("SELECT pg_reload_conf();")

    try:
        make_read_only("on")
        assert_refused(client, "database: is read-only; is this address a replica?")
    finally:
        make_read_only("off")
    assert_recovers(client, stored)
