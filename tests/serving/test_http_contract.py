"Every route answers as the OpenAPI document says."
import math
import subprocess
import sys

import pytest
from conftest import until

from .conftest import TEXT

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


def test_a_prediction_has_the_documented_shape(served, client):
    _, registry = served
    prediction = client.post("/predict", json={"text": TEXT}).json()
    assert set(prediction) == {"text", "is_positive_review", "probability", "details"}
    assert set(prediction["details"]) == {"mlflow_run_id", "model_version", "inference_elapsed"}
    assert prediction["text"] == TEXT
    assert prediction["is_positive_review"] == 1
    assert registry.is_right(prediction)


def test_an_explanation_adds_up_to_the_logit(client):
    prediction = client.post("/predict", json={"text": TEXT, "explain": True, "count_words": True}).json()
    for word in prediction["explanation"]:
        assert TEXT[word["start"]:word["end"]] == word["token"]
    total = prediction["bias"] + sum(word["contribution"] for word in prediction["explanation"])
    assert 1 / (1 + math.exp(-total)) == pytest.approx(prediction["probability"], abs=1e-9)
    assert prediction["words"]["total"] == len(prediction["explanation"])


def test_a_batch_gives_the_predictions_of_its_texts_in_order(client):
    texts = [TEXT, "Cold soup.", "Lovely"]
    batch = client.post("/predict/batch", json={"texts": texts}).json()["predictions"]
    assert [prediction["text"] for prediction in batch] == texts
    for prediction in batch:
        single = client.post("/predict", json={"text": prediction["text"]}).json()
        assert prediction["probability"] == pytest.approx(single["probability"], abs=1e-9)
        assert prediction["is_positive_review"] == single["is_positive_review"]


def test_errors_are_problems_and_log_lines_contain_no_review(served, client):
    server, _ = served
    for response in (client.get("/nothing"), client.get("/predict"), client.post("/predict", json={"text": " "})):
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json()["status"] == response.status_code >= 400
    response = client.post("/predict", json={"text": TEXT}, headers={"X-Request-ID": "request-7"})
    assert response.headers["X-Request-ID"] == "request-7"
    until(lambda: any("request-7" in line for line in server.lines), 5)
    assert not [line for line in server.lines + server.errors if "lovely" in line]


@pytest.mark.slow
def test_no_request_causes_a_server_error_or_an_undocumented_response(served):
    "A thousand requests for each operation, made from the OpenAPI document."
    server, _ = served
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"]
    command += ["--checks", ",".join(CHECKS), "--max-examples", "1000", "--phases", "examples,coverage,fuzzing"]
    command += ["--workers", "1", "--no-color"]
    fuzz = subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=server.project.folder)
    assert fuzz.returncode == 0, fuzz.stdout[-4000:]
