"A parameter, a recipe or data that cannot be used is refused with one sentence before anything starts."
import pytest

PARAMETERS = [
    ("limit", "-5", "limit is -5; use 0 to"),
    ("max_epochs", "0", "max_epochs is 0; use 1 to"),
    ("lr", "nan", "lr is nan; use"),
    ("seed", "-1", "seed is -1; use"),
    ("accelerator", "tpu", "accelerator is 'tpu'; use one of auto"),
    ("patience", "-1", "patience is -1"),
    ("bits", "2.7", "bits is '2.7', but it takes a value of type int"),
    ("embed_dim", "0", "embed_dim is 0; use 1 to 1,024"),
]

RECIPES = {
    "a list": "- a\n- b\n",
    "a sentence": "just words",
    "not YAML": "a: [",
    "a list as a number": "lr: [1]\n",
    "no value": "n_grams: null\n",
    "a Python object": "lr: !!python/object:os.system x\n",
    "not text": b"\xff\xfe\xff",
}


@pytest.mark.parametrize("name, value, message", PARAMETERS)
def test_parameter_out_of_range(project, name, value, message):
    output = project.run("train", "--data", "sample", "-p", name, value, status=2)
    assert message in output and output.count("\n") == 1, output
    assert not (project.folder / ".yelp").exists() and not (project.folder / "papermill_runs").exists()


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_broken_recipe(project, recipe):
    output = project.run("train", "--data", "sample", "--recipe", project.write("r.yaml", recipe), status=2)
    assert output.startswith("yelp-reviews: ") and output.count("\n") == 1, output


def test_too_few_reviews(project):
    project.write("few.csv", "text,stars\nGood,5\n")
    output = project.run("train", "--data", "few.csv", status=2)
    assert "give more reviews" in output or "give reviews of both classes" in output
