"The guides' requests, run against a real stack: every answer has the shape that the guide shows."
import json
import os
import re
import subprocess

import pytest
from conftest import ROOT, Service, new_key

GUIDES = ROOT / "docs/guides"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.S | re.M)


def requests_in(guide: str) -> list[tuple[str, str | None]]:
    "Each block with `curl`, and the JSON block that follows it, if there is one."
    blocks = FENCE.findall((GUIDES / f"{guide}.md").read_text())
    following = [body if language == "json" else None for language, body in blocks[1:]] + [None]
    return [(body, shown) for (language, body), shown in zip(blocks, following) if language == "sh" and "curl " in body]


def shape(value):
    "Keys of objects and the shape of a list's first element; what a value is does not matter."
    if isinstance(value, dict): return {name: shape(item) for name, item in value.items()}
    return [shape(item) for item in value[:1]] if isinstance(value, list) else None


def run_all(guide: str, env: dict[str, str], folder):
    "Run a guide's requests in order; `$ID` is the id of the latest prediction."
    for request, shown in requests_in(guide):
        curl = re.sub(r"^(?!curl|    ).*\n", "", request, flags=re.M)  # without assignments, which are in env already
        done = subprocess.run(["bash", "-c", curl], env=os.environ | env, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if shown is None: continue
        answer = json.loads(done.stdout)
        assert shape(answer) == shape(json.loads(shown)), request
        if "id" in answer: env["ID"] = answer["id"]


@pytest.fixture(scope="module")
def stack(trained):
    "The model server and the proxy."
    env = {"YELP_SERVER_URL": f"http://127.0.0.1:{trained.ports['server']}"}
    server = Service(trained, "serve", "--follow", "production", port="server")
    proxy = Service(trained, "proxy", port="proxy", **env)
    yield server, proxy
    proxy.stop()
    server.stop()


def test_proxy_guide(stack, trained, tmp_path):
    assert len(requests_in("proxy")) > 12
    run_all("proxy", {"PROXY": stack[1].url, "KEY": new_key(trained)}, tmp_path)
    assert set(json.loads((tmp_path / "answered.jsonl").read_text().splitlines()[0])) == {"text", "label"}


def test_serving_guide(stack, tmp_path):
    assert len(requests_in("serving")) > 1
    run_all("serving", {"SERVER": stack[0].url}, tmp_path)


def test_every_route_is_listed(stack):
    "Each route of both services is in the table of its guide."
    for service, guide in zip(stack, ("serving", "proxy")):
        paths = set(fetch_json(f"{service.url}/openapi.json", service)["paths"])
        text = (GUIDES / f"{guide}.md").read_text()
        assert all(re.search(rf"`[A-Z]+ {re.escape(path)}`", text) for path in paths), paths


def test_metrics_in_the_operations_guide_exist(stack):
    guide = (GUIDES / "operations.md").read_text()
    named = set(re.findall(r"\byelp_[a-z_]+", guide)) - {"yelp_reviews"}
    served = "".join(fetch(f"{service.url}/metrics", service) for service in stack)
    known = set(re.findall(r"^# TYPE (\w+)", served, re.M))
    assert {re.sub(r"_bucket$", "", name) for name in named} <= known


def fetch(url: str, service) -> str:
    "What is at an address, with a key."
    key = ["-H", f"X-API-Key: {new_key(service.project)}"]
    return subprocess.run(["curl", "-s", url, *key], check=True, capture_output=True, text=True).stdout


def fetch_json(url: str, service) -> dict: return json.loads(fetch(url, service))


def test_events_in_the_operations_guide_are_those_of_the_code():
    logged = "|".join(path.read_text() for path in (ROOT / "yelp_reviews").rglob("*.py"))
    events = set(re.findall(r'log_event\(\s*"(\w+)"', logged)) | {"request"}
    table = re.search(r"^\| event \|(.*?)\n\n", (GUIDES / "operations.md").read_text(), re.S | re.M)[1]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert set(re.findall(r"`(\w+)`", "".join(rows))) == events
