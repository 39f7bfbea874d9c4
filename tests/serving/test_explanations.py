"A review of which the model is certain is explained like any other."
import httpx2
import pytest

from yelp_reviews.scorer.prediction import to_probability

from .conftest import TEXT, constant_scorer


@pytest.mark.parametrize("score", [100., -100.])
def test_a_review_of_which_the_model_is_certain_is_explained(registry, serve, score):
    registry.add_production(constant_scorer(score))
    server = serve("--model", "production")
    response = httpx2.post(f"{server.url}/predict", json={"text": TEXT, "explain": True}, timeout=30)
    assert response.status_code == 200, response.text
    answer = response.json()
    logit = answer["bias"] + sum(word["contribution"] for word in answer["explanation"])
    assert abs(logit) > 40 and answer["probability"] == to_probability(logit)
