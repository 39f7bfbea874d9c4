"Trainings that start at the same time do not disturb each other."


def test_two_first_trainings_at_once(project):
    "Both create MLflow's database, the cache and the registered model."
    options = ("--data", "sample", "-p", "limit", "2500", "-p", "bits", "16")
    processes = [project.popen("train", *options, "--run-name", name) for name in ("one", "two")]
    for process in processes:
        out, err = process.communicate(timeout=250)
        assert process.returncode == 0, out + err
