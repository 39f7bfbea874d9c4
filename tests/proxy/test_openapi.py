"The OpenAPI documents of both servers type every operation, and the guide names every type of problem."
import re

import pytest
from conftest import ROOT

from yelp_reviews.core.settings import ProxySettings, ServerSettings, get_settings
from yelp_reviews.proxy.app import create_proxy
from yelp_reviews.serving.app import create_app
from yelp_reviews.serving.slots import ModelSlots
from yelp_reviews.web.problems import problem_type


@pytest.fixture(params=["proxy", "model server"])
def document(request, tmp_path) -> dict:
    "The OpenAPI document of one of the servers."
    if request.param == "model server": return create_app(ModelSlots(), get_settings(ServerSettings)).openapi()
    return create_proxy(get_settings(ProxySettings, home=tmp_path, database_url="")).openapi()


def operations(document: dict) -> list[tuple[str, dict]]:
    "Method and path of every operation, with its description."
    paths = document["paths"].items()
    return [(f"{method} {path}", found) for path, methods in paths for method, found in methods.items()]


def test_every_refusal_is_documented_as_a_problem(document):
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            if status < "400": continue
            assert list(response["content"]) == ["application/problem+json"], (name, status)
            schema = response["content"]["application/problem+json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}, (name, status)
    assert set(document["components"]["schemas"]["Problem"]["properties"]) == {"type", "title", "status", "detail"}


def test_the_guide_names_every_type_of_problem():
    code = "".join(path.read_text() for path in (ROOT / "yelp_reviews").rglob("*.py"))
    titles = set(re.findall(r'(?:HTTPProblem|problem_response)\(\d+, "([^"]+)"', code))
    guide = (ROOT / "docs/guides/proxy.md").read_text()
    assert len(titles) > 20
    assert [title for title in titles if f"`{problem_type(title).rpartition(':')[2]}`" not in guide] == []


def test_every_answer_has_a_schema(document):
    for name, operation in operations(document):
        for response in operation["responses"].values():
            assert all(content.get("schema") for content in response.get("content", {}).values()), name
