"A registered model gives the same probabilities in Python, in MLflow, by MLflow's server and on the command line."
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from conftest import Project, free_port

from yelp_reviews.core.settings import get_settings
from yelp_reviews.core.tracking import use_mlflow
from yelp_reviews.registry.versions import load_model
from yelp_reviews.scorer.prediction import predict

EVERYDAY = pd.read_json(Path(__file__).with_name("everyday.jsonl"), lines=True)
TEXTS = list(EVERYDAY.text)


@pytest.fixture(scope="module")
def settings(trained: Project):
    return get_settings(home=trained.folder / ".yelp", cache=trained.folder / "cache", tracking_uri="")


@pytest.fixture(scope="module")
def client(settings):
    return use_mlflow(settings).MlflowClient()


def test_registered_model_is_a_pyfunc_without_pickle(trained, client, settings):
    scorer, ref = load_model("production", settings)
    loaded = mlflow.pyfunc.load_model(ref.uri)
    assert loaded.metadata.signature.inputs.input_names() == ["text"]
    probabilities = loaded.predict(EVERYDAY[["text"]])["probability"]
    np.testing.assert_allclose(probabilities, predict(scorer, TEXTS), atol=1e-12)
    files = [path for path in (trained.folder / ".yelp/artifacts").rglob("*") if path.is_file()]
    assert files and not [path for path in files if path.suffix in (".pkl", ".pickle", ".pt", ".ckpt")]


def serve_with_mlflow(project: Project, uri: str, port: int) -> subprocess.Popen:
    "Start MLflow's own model server."
    env = project.env | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{project.folder}/.yelp/mlflow.db",
        "PATH": f"{Path(sys.executable).parent}:{project.env['PATH']}", # MLflow calls uvicorn by name
    }
    options = ["-m", uri, "-p", str(port), "--env-manager", "local", "--workers", "1"]
    command = [sys.executable, "-m", "mlflow", "models", "serve", *options]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=env, cwd=project.folder, start_new_session=True, **quiet)


def wait_until_reachable(url: str):
    "Wait for at least a minute until something answers at a URL."
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=2)
            return
        except OSError: time.sleep(.1)


@pytest.mark.slow
def test_mlflow_models_serve(trained, client, settings):
    "MLflow's own server gives the same probabilities from the registered model."
    scorer, ref = load_model("production", settings)
    port = free_port()
    server = serve_with_mlflow(trained, ref.uri, port)
    try:
        wait_until_reachable(f"http://127.0.0.1:{port}/ping")
        body = json.dumps({"dataframe_split": {"columns": ["text"], "data": [[text] for text in TEXTS]}}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, headers)
        predictions = json.load(urllib.request.urlopen(request, timeout=10))["predictions"]
    finally:
        os.killpg(server.pid, 15)
        server.wait(15)
    probabilities = [prediction["probability"] for prediction in predictions]
    np.testing.assert_allclose(probabilities, predict(scorer, TEXTS), atol=1e-12)


def test_evaluate_by_every_reference(trained, client):
    "Alias, version, URIs and the path of the artifact name the same model."
    version = client.get_model_version_by_alias("yelp-model", "production")
    references = [
        "production",
        str(version.version),
        "models:/yelp-model@production",
        f"models:/yelp-model/{version.version}",
        f"runs:/{version.run_id}/model",
        str(next((trained.folder / ".yelp/artifacts").rglob("model.safetensors"))),
    ]
    trained.write("reviews.csv", EVERYDAY.rename(columns={"label": "sentiment"}).to_csv(index=False))
    losses = set()
    for reference in references:
        printed = trained.run("evaluate", "--data", "reviews.csv", "--model", reference, "--json", "out.json")
        assert "all rows" in printed
        scores = json.loads((trained.folder / "out.json").read_text())
        assert {"accuracy", "auroc", "f1", "log_loss", "ece", "n"} <= set(scores)
        assert scores["n"] == len(EVERYDAY)
        losses.add(scores["log_loss"])
    assert len(losses) == 1


def test_predict_file(trained, settings):
    "A file of reviews becomes a file of predictions; a blank review has none."
    scorer, _ = load_model("production", settings)
    trained.write("texts.jsonl", "".join(json.dumps({"review": text}) + "\n" for text in [*TEXTS, " "]))
    trained.run("predict", "--data", "texts.jsonl", "--output", "out.parquet")
    probabilities = pq.read_table(trained.folder / "out.parquet").to_pandas().probability
    assert probabilities.isna().tolist() == [False] * len(EVERYDAY) + [True]
    np.testing.assert_allclose(probabilities[:-1], predict(scorer, TEXTS), atol=1e-12)


def test_predict_refuses_an_unknown_format_and_a_missing_file(trained):
    refused = trained.run("predict", "--data", "texts.jsonl", "--output", "out.xls", status=2)
    assert "use .csv or .parquet" in refused.replace("write to", "use")
    missing = trained.run("predict", "--data", "nothing.csv", "--output", "out.csv", status=2)
    assert "There is no file" in missing
    assert not (trained.folder / "out.csv").exists()


@pytest.mark.slow
def test_everyday_sentences(project):
    "A model trained on the sample classifies 17 of 20 sentences that were written independently of it."
    project.run("train", "--data", "sample", "--promote")
    project.write("everyday.csv", EVERYDAY.to_csv(index=False))
    project.run("evaluate", "--data", "everyday.csv", "--json", "scores.json")
    assert json.loads((project.folder / "scores.json").read_text())["accuracy"] >= 17 / 20
