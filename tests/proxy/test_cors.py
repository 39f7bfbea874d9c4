"Web pages of a configured origin can call the proxy, and can read its refusals."
import httpx2
import pytest
from conftest import Service, new_key

ORIGIN = "https://app.example"
REQUEST_HEADERS = "authorization,content-type,idempotency-key,if-match,x-api-key,x-request-id,x-request-key"
READABLE = {
    "ETag",
    "Idempotent-Replayed",
    "Location",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "X-Request-ID",
}


@pytest.fixture
def proxy(project):
    "A proxy that pages of two origins may call."
    origins = {"YELP_CORS_ORIGINS": f"{ORIGIN}, http://b.example"}
    service = Service(project, "proxy", port="proxy", ready="/health/live", **origins)
    yield service
    service.stop()


def test_every_command_accepts_origins(project):
    for origins in (ORIGIN, f"{ORIGIN},http://b.example", f'["{ORIGIN}"]', ""):
        project.run("keys", "list", env={"YELP_CORS_ORIGINS": origins})
    refused = project.run("keys", "list", status=2, env={"YELP_CORS_ORIGINS": f"{ORIGIN}/page"})
    assert "YELP_CORS_ORIGINS" in refused and "SCHEME://HOST" in refused.upper()


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_a_preflight_allows_the_headers_that_callers_send(proxy, method):
    preflight = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": REQUEST_HEADERS,
    }
    answer = httpx2.options(f"{proxy.url}/predictions", headers=preflight)
    assert answer.status_code == 200, answer.text
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert set(REQUEST_HEADERS.split(",")) <= set(allowed)


def test_pages_can_read_refusals_and_their_headers(project, proxy):
    def post(origin: str = ORIGIN, headers: dict|None = None, **request):
        return httpx2.post(f"{proxy.url}/predictions", headers={"Origin": origin} | (headers or {}), **request)

    key = {"X-API-Key": new_key(project)}
    refusals = {
        401: post(json={"text": "Soup."}),
        413: post(content=b"a" * 5_000_000),
        422: post(json={"text": ""}, headers=key | {"Idempotency-Key": "two words"}),
        503: post(json={"text": "Soup."}, headers=key),  # there is no model server
    }
    for status, response in refusals.items():
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == ORIGIN
        readable = set(response.headers["access-control-expose-headers"].split(", "))
        assert READABLE <= readable, readable
    assert "access-control-allow-origin" not in post(origin="https://elsewhere.example").headers
