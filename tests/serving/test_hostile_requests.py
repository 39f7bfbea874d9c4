"Odd and hostile bodies get a documented answer, whichever route and content type they are sent to."
import pytest

JSON = {"Content-Type": "application/json"}
PLAIN = {"Content-Type": "text/plain"}


def review(text: str) -> str:
    "A request whose text is not escaped."
    return f'{{"text": "{text}"}}'


BODIES = {
    "only a NUL": (review("\\u0000"), 200),
    "a NUL in a word": (review("so\\u0000up"), 200),
    "a number as text": ('{"text": 3}', 422),
    "null as text": ('{"text": null}', 422),
    "a list": ("[]", 422),
    "a number": ("3", 422),
    "nothing": ("", 422),
    "half of an object": ("{", 422),
    "half of a surrogate pair": (review("\\ud800"), 422),
    "five megabytes": (review("a" * 5_000_000), 413),
    "a text over the limit": (review("a" * 30_000), 422),
    "15,000 accents on one letter": (review("a" + "\u0301" * 15_000), 200),
    "not a Boolean": ('{"text": "soup", "explain": "maybe"}', 422),
    "16,000 brackets": (review("((((" * 4000), 200),
    "NaN as text": ('{"text": NaN}', 422),
    "two objects": (review("soup") * 2, 422),
    "nested lists as text": ('{"text": {"a": [[[[]]]]}}', 422),
}


@pytest.mark.parametrize("name", BODIES)
def test_odd_bodies_have_documented_answers(client, name):
    body, status = BODIES[name]
    content = body.encode("utf-8", "surrogatepass")
    response = client.post("/predict", content=content, headers=JSON)
    assert response.status_code == status, response.text
    assert status == 200 or response.headers["Content-Type"] == "application/problem+json"
    assert client.post("/predict", content=content, headers=PLAIN).status_code in (413, 422)
    assert client.post("/predict/batch", content=content, headers=JSON).status_code in (413, 422)


def test_a_nul_in_a_text_comes_back_as_it_was_sent(client):
    assert client.post("/predict", json={"text": "so\x00up"}).json()["text"] == "so\x00up"
