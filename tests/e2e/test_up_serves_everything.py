"`yelp-reviews up`: from nothing to an answer, again within seconds, stopped without a trace."
import csv
import io
import json
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx2
from conftest import ROOT, Project, until

from yelp_reviews.data.sample import generate

QUICK = ("--data", "reviews.csv", "-p", "bits", "16")


def write_reviews(project: Project, count: int):
    "Write a CSV file of synthetic reviews."
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["review", "stars"])
    writer.writerows([review["text"], review["stars"]] for review in generate(count))
    project.write("reviews.csv", out.getvalue())


def up(project: Project, *args: str) -> tuple[subprocess.Popen, str]:
    "Start `up` and wait until everything runs; returns the process and what it has printed."
    lines, process = [], project.popen("up", *args, start_new_session=True)
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C stops everything" in line: return process, "".join(lines)
    raise AssertionError("".join(lines) + process.stderr.read())


def stop(process: subprocess.Popen, how: int = signal.SIGINT) -> str:
    "Stop `up` as Ctrl-C does; returns its errors."
    process.send_signal(how)
    assert process.wait(30) == 130
    return process.stderr.read()


def listening(project: Project) -> list[str]:
    "Services on whose ports something listens."
    def answers(port: int) -> bool:
        with socket.socket() as s: return s.connect_ex(("127.0.0.1", port)) == 0
    return sorted(service for service, port in project.ports.items() if answers(port))


def try_printed_request(printed: str) -> dict:
    "Run the curl command that `up` has printed, as it stands."
    command = re.search(r"^\s*(curl .*)$", printed, re.M)[1]
    return json.loads(subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout)


def stored_models(folder: Path) -> list[Path]:
    "Models in a folder, without those in the cache."
    return [path for path in folder.rglob("model.safetensors") if folder / "cache" not in path.parents]


def served_version(printed: str) -> str:
    return try_printed_request(printed)["details"]["model_version"]


def test_from_nothing_to_an_answer_and_back_to_nothing(project):
    write_reviews(project, 2500)
    process, printed = up(project, *QUICK)
    answer = try_printed_request(printed)
    assert set(answer) == {"id", "text", "is_positive", "probability", "details"}
    assert answer["is_positive"] == {"user_answered": None, "model_answered": True}
    assert set(answer["details"]) == {"mlflow_run_id", "model_version", "inference_elapsed", "timestamp"}
    assert answer["details"]["model_version"] == "1"
    assert listening(project) == ["dashboard", "mlflow", "proxy", "server"]
    key_file = project.folder / ".yelp/dashboard.key"
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert key_file.read_text().strip() not in printed and str(key_file) in printed, "captured output has no key"

    second = project.run("up", "--data", "reviews.csv", status=2)
    assert re.fullmatch(r"yelp-reviews: Port \d+ on 127.0.0.1, for MLflow, cannot be used .*\n", second), second

    assert "Stopped." in stop(process)
    assert not listening(project)

    # the same reviews: no training
    process, printed = up(project, "--data", "reviews.csv")
    assert "epoch" not in printed and served_version(printed) == "1"
    stop(process, signal.SIGTERM)
    assert not listening(project)

    # fewer reviews: a new version that is worse, and refused
    write_reviews(project, 2000)
    process, printed = up(project, *QUICK)
    assert "Version 2 is not promoted" in printed and served_version(printed) == "1"
    stop(process)

    # more reviews: a new version that is better
    write_reviews(project, 6000)
    process, printed = up(project, *QUICK)
    assert served_version(printed) == "3"
    stop(process)

    # everything is in the state folder, which `make clean` removes
    assert stored_models(project.folder) == stored_models(project.folder / ".yelp") != []
    subprocess.run(["make", "-f", ROOT / "Makefile", "clean"], cwd=project.folder, capture_output=True, check=True)
    assert not stored_models(project.folder)


def test_the_working_directory_holds_nothing_that_up_needs(project, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    project.env["YELP_HOME"] = str(home)
    write_reviews(project, 2500)
    process, _ = up(project, *QUICK)
    assert len(stored_models(home)) == 1
    assert not stored_models(project.folder)
    key = (home / "dashboard.key").read_text().strip()
    models = httpx2.get(f"http://127.0.0.1:{project.ports['proxy']}/models", headers={"X-API-Key": key}).json()
    assert models["mlflow"] == f"http://127.0.0.1:{project.ports['mlflow']}", "the dashboard links to MLflow"
    stop(process)

    for path in project.folder.iterdir(): shutil.rmtree(path) if path.is_dir() else path.unlink()
    process, printed = up(project)
    assert "epoch" not in printed and served_version(printed) == "1"
    stop(process)


def test_hosts_that_other_machines_can_reach_are_refused_and_ipv6_is_served(project):
    for host in ("0.0.0.0", "::"):
        project.env["YELP_HOST"] = host
        assert f"Other machines could reach the model server at '{host}'" in project.run("up", status=2)
    write_reviews(project, 2500)
    process, printed = up(project, "--insecure", *QUICK)
    assert f"http://[::]:{project.ports['proxy']}" in printed
    assert served_version(printed) == "1"
    stop(process)


def test_ctrl_c_while_training_leaves_nothing(project):
    "Nothing keeps running and nothing is registered."
    write_reviews(project, 2500)
    process = project.popen("up", "--data", "reviews.csv", start_new_session=True)
    for line in process.stdout:
        if line.startswith("Training run"): break
    time.sleep(3)
    assert "Stopped." in stop(process)
    time.sleep(1)
    assert not listening(project)
    left = subprocess.run(["pgrep", "-fa", str(project.folder)], capture_output=True, text=True).stdout
    assert not left, left
    assert "has no version 'production'" in project.run("predict", "Good.", status=2)


def process_ids(project: Project, command: str, service: str) -> list[str]:
    "Ids of the processes of a service, newest last."
    pattern = f"{command} .*--port {project.ports[service]}"
    return subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True).stdout.split()


def kill(processes: list[str]): subprocess.run(["kill", "-9", *processes], check=True)


def test_a_service_that_ends_is_reported_and_the_others_stop(project):
    "Only the dashboard is started again, because nothing depends on it."
    write_reviews(project, 2500)
    process, printed = up(project, *QUICK)
    dashboard = process_ids(project, "dashboard", "dashboard")
    kill(dashboard)
    until(lambda: "dashboard" not in listening(project), 5)
    assert served_version(printed) == "1", "the others answer meanwhile"
    until(lambda: "dashboard" in listening(project), 30)
    assert process_ids(project, "dashboard", "dashboard") != dashboard
    assert process.poll() is None

    kill(process_ids(project, "serve", "server"))
    assert process.wait(20) == 2
    assert "A service ended: the model server; the logs are in" in process.stderr.read()
    assert not listening(project)
