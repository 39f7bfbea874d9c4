"`yelp-reviews up`, as `make up` calls it: from nothing to an answer, again in seconds, stopped without a trace."
import json, re, signal, subprocess, time
import pytest
from conftest import Project
from review_files import as_csv
from yelp_reviews.data.sample import generate

def reviews(n:int) -> str: return as_csv([(r["stars"], r["text"]) for r in generate(n)])

def up(project:Project, *args:str):
    "The running command, what it printed until it was ready, and the seconds until then."
    start, lines = time.monotonic(), []
    process = project.popen("up", *args, start_new_session=True)
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C stops everything" in line: return process, "".join(lines), time.monotonic() - start
    raise AssertionError("".join(lines) + process.stderr.read())

def stop(process, how=signal.SIGINT) -> str:
    "Stop it as Ctrl-C does; what it said on the way."
    process.send_signal(how)
    assert process.wait(30) == 130
    return process.stderr.read()

def listening(project:Project) -> list[str]:
    "Names of the project's ports where something still listens."
    import socket
    return [name for name, port in project.ports.items() if socket.socket().connect_ex(("127.0.0.1", port)) == 0]

def ask(printed:str) -> dict:
    "The answer of the curl that `up` printed, run as it stands."
    command = re.search(r"^\s*(curl .*)$", printed, re.M)[1]
    return json.loads(subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout)

def test_up_from_nothing_then_again(project):
    project.write("reviews.csv", reviews(2500))
    process, printed, _ = up(project, "--data", "reviews.csv", "-p", "bits", "16")
    answer = ask(printed)
    assert set(answer) == {"id", "text", "is_positive", "probability", "details"} and answer["is_positive"] == {"user_answered": None, "model_answered": True}
    assert set(answer["details"]) == {"mlflow_run_id", "model_version", "inference_elapsed", "timestamp"} and answer["details"]["model_version"] == "1"
    assert sorted(listening(project)) == ["dashboard", "mlflow", "proxy", "server"]
    assert (project.folder / ".yelp/dashboard.key").stat().st_mode & 0o777 == 0o600
    taken = project.run("up", "--data", "reviews.csv", status=2)
    assert re.fullmatch(r"yelp-reviews: Port \d+ on 127.0.0.1, for MLflow, cannot be used .*\n", taken), taken
    assert "Stopped." in stop(process)
    assert not listening(project)

    process, printed, seconds = up(project, "--data", "reviews.csv")
    assert "epoch" not in printed and ask(printed)["details"]["model_version"] == "1"
    stop(process, signal.SIGTERM)
    assert not listening(project)

    project.write("reviews.csv", reviews(2000))
    process, printed, _ = up(project, "--data", "reviews.csv", "-p", "bits", "16")
    assert ask(printed)["details"]["model_version"] == "2"
    stop(process)

def test_ctrl_c_while_training(project):
    "Nothing is left running and nothing is registered."
    project.write("reviews.csv", reviews(2500))
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

def test_a_service_that_ends_is_reported(project):
    project.write("reviews.csv", reviews(2500))
    process, printed, _ = up(project, "--data", "reviews.csv", "-p", "bits", "16")
    served = subprocess.run(["pgrep", "-f", f"serve .*--port {project.ports['server']}"], capture_output=True, text=True).stdout.split()
    subprocess.run(["kill", "-9", *served], check=True)
    assert process.wait(20) == 2
    assert "A service ended: the model server; the logs are in" in process.stderr.read()
    assert not listening(project)
