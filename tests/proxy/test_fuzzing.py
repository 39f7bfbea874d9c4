"Requests made from the OpenAPI document never cause a server error or an undocumented response."
import subprocess
import sys

import pytest

from .conftest import assert_tallies_equal_a_recount

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "ignored_auth",
)


@pytest.mark.slow
@pytest.mark.parametrize("authorised", [True, False])
def test_no_request_causes_a_server_error_or_an_undocumented_response(stored, services, authorised):
    _, proxy, client = services(YELP_INVALID_KEYS="1000000")
    stored.write("openapi.json", client.get("/openapi.json").content)
    command = [sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", proxy.url]
    command += ["--checks", ",".join(CHECKS), "--max-examples", "150", "--phases", "examples,coverage,fuzzing"]
    command += ["--workers", "1", "--no-color"]
    if authorised:
        command += ["-H", f"X-API-Key: {client.headers['X-API-Key']}"]
    fuzz = subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=stored.folder)
    assert fuzz.returncode == 0, fuzz.stdout[-5000:]
    assert_tallies_equal_a_recount(stored)
