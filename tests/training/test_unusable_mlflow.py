"An address of MLflow that cannot be used gives one sentence."
import pytest


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "garbage", "postgresql://u@h/d", "sqlite:////dev/null/x.db"])
def test_mlflow_that_cannot_be_used(project, uri):
    output = project.run("predict", "Good.", status=2, env={"MLFLOW_TRACKING_URI": uri})
    assert "yelp-reviews: " in output
