"Train, promote, serve and roll back against an MLflow server with PostgreSQL, S3 and passwords."
import configparser
import json
import os
import subprocess
import sys

import boto3
import pytest
from conftest import Project, Service, free_port, new_database, until, wait_answer

BUCKET = "models"
ADMIN = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "a password of 12+"}
QUICK = ("-p", "limit", "1500", "-p", "max_epochs", "2", "-p", "bits", "16")


class TeamServer:
    "MLflow with basic authentication, its database in PostgreSQL and its artifacts in an S3-compatible store."
    def __init__(self, folder, database: str):
        self.folder, self.processes = folder, []
        self.s3_url, self.url = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self.aws = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
        self._start("moto.server", "-p", self.s3_url.rpartition(":")[2])
        wait_answer(f"{self.s3_url}/moto-api/")
        self.s3.create_bucket(Bucket=BUCKET)
        self._start(
            "mlflow", "server", "--port", self.url.rpartition(":")[2], "--workers", "1", "--app-name", "basic-auth",
            "--backend-store-uri", database, "--artifacts-destination", f"s3://{BUCKET}",
            MLFLOW_S3_ENDPOINT_URL=self.s3_url, MLFLOW_AUTH_CONFIG_PATH=self._auth_config(),
            MLFLOW_FLASK_SERVER_SECRET_KEY="a secret of this test", **self.aws,
        )
        wait_answer(f"{self.url}/health", 90)

    def _auth_config(self) -> str:
        "Path of MLflow's configuration of users."
        config = configparser.ConfigParser()
        config["mlflow"] = {
            "default_permission": "READ",
            "database_uri": f"sqlite:///{self.folder}/auth.db",
            "admin_username": ADMIN["MLFLOW_TRACKING_USERNAME"],
            "admin_password": ADMIN["MLFLOW_TRACKING_PASSWORD"],
            "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
        }
        path = self.folder / "auth.ini"
        with path.open("w") as file: config.write(file)
        return str(path)

    def _start(self, *module: str, **env: str):
        process = subprocess.Popen(
            [sys.executable, "-m", *module], env=os.environ | env, cwd=self.folder,
            stdout=subprocess.DEVNULL, stderr=(self.folder / f"{module[0]}.log").open("w"), start_new_session=True,
        )
        self.processes.append(process)

    @property
    def s3(self):
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
        return boto3.client("s3", endpoint_url=self.s3_url, region_name="us-east-1", **keys)

    def stop(self):
        for process in reversed(self.processes): os.killpg(process.pid, 15)
        for process in self.processes: process.wait(30)


@pytest.fixture(scope="module")
def team(tmp_path_factory, postgres):
    database = new_database(postgres).replace("postgresql://", "postgresql+psycopg2://")
    server = TeamServer(tmp_path_factory.mktemp("team"), database)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def project(team, tmp_path_factory):
    "A project with two versions in the team's registry."
    project = Project(tmp_path_factory.mktemp("project"))
    project.env |= {"MLFLOW_TRACKING_URI": team.url, **ADMIN}
    for seed in "01": project.run("train", "--data", "sample", *QUICK, "-p", "seed", seed, "--run-name", f"seed-{seed}")
    return project


@pytest.mark.slow
def test_versions_are_promoted_served_and_rolled_back(team, project):
    assert "yelp-model version 1 is now production" in project.run("promote", "1")
    server = Service(project, "serve", "--follow", "production", port="server")
    try:
        def served() -> str: return json.loads(wait_answer(f"{server.url}/version"))["model_version"]

        assert served() == "1"
        project.run("promote", "2", "--force", "--reason", "the test needs it")
        until(lambda: served() == "2", 15)
        assert "version 1 is production again" in project.run("rollback")
        until(lambda: served() == "1", 15)
    finally: server.stop()
    listed = project.run("models")
    assert listed.count("admin") >= 3 and "the test needs it" in listed
    assert "# yelp-model version 2" in project.run("models", "show", "2")
    assert team.s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] > 10


@pytest.mark.slow
def test_a_wrong_password_is_named(team, project):
    refused = project.run("models", env={"MLFLOW_TRACKING_PASSWORD": "another password"}, status=2)
    assert "401" in refused or "authenticated" in refused


@pytest.mark.slow
def test_an_artifact_that_was_exchanged_in_the_store_is_refused(team, project):
    keys = [entry["Key"] for entry in team.s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    first, second = (key for key in keys if key.endswith("model.safetensors"))
    original = team.s3.get_object(Bucket=BUCKET, Key=first)["Body"].read()
    other = team.s3.get_object(Bucket=BUCKET, Key=second)["Body"].read()
    team.s3.put_object(Bucket=BUCKET, Key=first, Body=other)
    team.s3.put_object(Bucket=BUCKET, Key=second, Body=original)
    empty_cache = {"YELP_CACHE": str(project.folder / "another-cache")}
    for version in "12":
        refused = project.run("predict", "Lovely soup.", "--model", version, env=empty_cache, status=2)
        assert f"models:/yelp-model/{version} was changed after its registration" in refused
