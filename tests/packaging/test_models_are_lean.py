"A registered model ships the import closure of its flavour, and works with and without this package."
import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

import yelp_reviews
from yelp_reviews.core.settings import get_settings
from yelp_reviews.core.tracking import use_experiment
from yelp_reviews.registry.versions import load_model, log_model
from yelp_reviews.scorer import Encoder, Scorer, predict

TEXTS = ["Lovely soup, good soup.", "Cold and bad.", "", "Not a word in common: zyzzyva"]
MODULES = [
    "core/conventions.py",
    "core/files.py",
    "registry/flavour.py",
    "scorer/artifact.py",
    "scorer/encoder.py",
    "scorer/prediction.py",
    "text/kernels.py",
    "text/tokens.py",
]
PACKAGES = ["core", "registry", "scorer", "text"]
METADATA = [
    "MLmodel",
    "conda.yaml",
    "input_example.json",
    "python_env.yaml",
    "registered_model_meta",
    "requirements.txt",
    "serving_input_example.json",
]
OPTIONAL = {"numba", "pyarrow"} # used where they are installed


def toy_encoder() -> Encoder:
    "An encoder whose logit is 2 for each `good` and -2 for each `bad`."
    table = np.eye(110, 1, -1, dtype=np.float32) * 2 - np.eye(110, 1, -2, dtype=np.float32) * 2
    constants = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1]), "axes")]
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axes"], ["logit"], keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "n"])]
    outputs = [helper.make_tensor_value_info("logit", TensorProto.FLOAT, [1, 1])]
    graph = helper.make_graph(nodes, "toy", inputs, outputs, constants)
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "good": 1, "bad": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return Encoder(network.SerializeToString(), words.to_str().encode(), unsure=100.)


def toy_scorer(encoder: Encoder | None = None) -> Scorer:
    scores = np.random.default_rng(0).normal(size=2**10).astype(np.float32)
    return Scorer(scores, np.ones(2**10, np.uint16), encoder=encoder)


class Logged:
    "A model in a registry of its own, and its files as MLflow stores them."
    def __init__(self, scorer: Scorer, folder: Path):
        self.scorer = scorer
        self.settings = get_settings(home=folder / "home", cache=folder / "cache", tracking_uri="")
        path, modules = list(sys.path), set(sys.modules)
        with use_experiment(self.settings).start_run(): self.version = log_model(scorer, self.settings)
        self.path_unchanged = sys.path == path
        self.newly_imported = set(sys.modules) - modules
        uri = f"models:/yelp-model/{self.version}"
        self.folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder / "model")))

    @property
    def code(self) -> Path:
        return self.folder / "code/yelp_reviews_model"

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())

    def requirements(self) -> list[str]:
        "Packages that have to be installed besides MLflow."
        lines = (self.folder / "requirements.txt").read_text().split()
        return sorted({line.partition("==")[0] for line in lines} - {"mlflow"})


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Logged:
    return Logged(toy_scorer(), tmp_path_factory.mktemp("bag"))


@pytest.fixture(scope="module")
def cascade(tmp_path_factory) -> Logged:
    return Logged(toy_scorer(toy_encoder()), tmp_path_factory.mktemp("cascade"))


@pytest.fixture(params=["bag", "cascade"])
def logged(request) -> Logged:
    return request.getfixturevalue(request.param)


def run_python(program: str, *args: str) -> dict:
    "Run a program in a process of its own; returns the JSON that it prints last."
    finished = subprocess.run([sys.executable, "-c", program, *args], capture_output=True, text=True, env=os.environ)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


def test_only_the_closure_of_the_flavour_ships(logged):
    modules = ["__init__.py", *(f"{name}/__init__.py" for name in PACKAGES), *MODULES]
    code = [f"code/yelp_reviews_model/{name}" for name in modules]
    assert logged.files() == sorted([*METADATA, *code, "data/model.safetensors"])
    assert all((logged.code / name / "__init__.py").read_text() == "" for name in PACKAGES)
    assert sum(path.stat().st_size for path in logged.code.rglob("*.py")) < 100_000


def test_logging_it_does_not_load_it(logged):
    "A process that trains and logs many models imports none of them."
    assert logged.path_unchanged
    assert not any(name.startswith("yelp_reviews_model") for name in logged.newly_imported)


def test_the_shipped_modules_are_those_of_the_package(bag):
    package = Path(yelp_reviews.__file__).parent
    assert all((bag.code / name).read_bytes() == (package / name).read_bytes() for name in MODULES)


def test_the_requirements_are_what_the_shipped_modules_import(bag, cascade):
    imported = set()
    for path in bag.code.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import): imported |= {alias.name.split(".")[0] for alias in node.names}
            if isinstance(node, ast.ImportFrom) and not node.level: imported.add(node.module.split(".")[0])
    third_party = imported - set(sys.stdlib_module_names) - OPTIONAL
    assert cascade.requirements() == sorted(third_party)
    assert bag.requirements() == ["numpy", "pandas", "safetensors"]


WITHOUT_PACKAGE = """
import json, sys

class Refuse:
    "An import system in which this package does not exist."
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "yelp_reviews": raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse())
try: import yelp_reviews
except ModuleNotFoundError: pass
else: raise SystemExit("yelp_reviews can be imported")

import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
answers = model.predict(pandas.DataFrame({"text": json.loads(sys.argv[2])}))
loaded = sorted(name for name in sys.modules if name.split(".")[0].startswith("yelp_reviews"))
print(json.dumps({"answers": answers.to_dict("list"), "loaded": loaded}))
"""


def test_it_predicts_where_this_package_does_not_exist(logged):
    found = run_python(WITHOUT_PACKAGE, str(logged.folder), json.dumps(TEXTS))
    expected = predict(logged.scorer, TEXTS)
    np.testing.assert_allclose(found["answers"]["probability"], expected, atol=1e-12)
    assert found["answers"]["is_positive_review"] == (expected >= .5).astype(int).tolist()
    assert all(name.split(".")[0] == "yelp_reviews_model" for name in found["loaded"])


WITH_PACKAGE = """
import json, sys
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
answers = model.predict(pandas.DataFrame({"text": json.loads(sys.argv[2])}))

import yelp_reviews, yelp_reviews.cli, yelp_reviews.dashboard, yelp_reviews.registry.flavour
commands = sorted(yelp_reviews.cli.cli.commands)
print(json.dumps({
    "probability": answers["probability"].tolist(),
    "version": yelp_reviews.__version__,
    "file": yelp_reviews.__file__,
    "commands": commands,
}))
"""


def test_loading_it_leaves_the_installed_package_alone(logged):
    "The package is imported after the model, when the model's folder is at the front of `sys.path`."
    found = run_python(WITH_PACKAGE, str(logged.folder), json.dumps(TEXTS))
    np.testing.assert_allclose(found["probability"], predict(logged.scorer, TEXTS), atol=1e-12)
    assert found["version"] == yelp_reviews.__version__
    assert Path(found["file"]).samefile(yelp_reviews.__file__)
    assert {"train", "promote", "predict", "serve", "up"} <= set(found["commands"])


def test_the_project_loads_the_same_model(logged):
    scorer, ref = load_model(logged.version, logged.settings)
    np.testing.assert_array_equal(predict(scorer, TEXTS), predict(logged.scorer, TEXTS))
    assert (scorer.encoder is None) == (logged.scorer.encoder is None)
    assert Path(ref.path).read_bytes() == (logged.folder / "data/model.safetensors").read_bytes()
