"Importing has no side effects, and what serves models imports nothing heavy."
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from yelp_reviews.scorer import Scorer, save_scorer

PACKAGE = ROOT / "yelp_reviews"
STAGES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
USES_TORCH = ("model", "training", "evaluation") # their imports run those of torch and matplotlib, which have caches
HEAVY = ("torch", "IPython", "pandas", "pyarrow", "fastcore", "nbdev")
JUDGES = ("registry.judgement", "registry.card", "registry.reproduction") # they evaluate, where models are trained
LIGHT_STAGES = ("core", "text", "scorer", "registry", "web", "serving", "proxy", "cli")


def modules(stage: str) -> list[str]:
    "Every module of a stage by its full name; migrations are run by Alembic and not imported."
    paths = [path for path in (PACKAGE / stage).glob("*.py") if path.name != "__init__.py"]
    return [f"yelp_reviews.{stage}", *sorted(f"yelp_reviews.{stage}.{path.stem}" for path in paths)]


def python(*args: str, cwd: Path, **env: str) -> subprocess.CompletedProcess:
    "Run Python in a process of its own."
    return subprocess.run([sys.executable, *args], cwd=cwd, env=os.environ | env, capture_output=True, text=True)


def light_modules(stage: str) -> list[str]:
    "The modules of a stage that run where models are served."
    return [name for name in modules(stage) if name.removeprefix("yelp_reviews.") not in JUDGES]


def watched_import(*names: str, cwd: Path, **env: str) -> str:
    "The side effects of importing modules."
    finished = python(str(Path(__file__).parent / "import_watcher.py"), *names, cwd=cwd, **env)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_all_stages_are_seen():
    assert {*LIGHT_STAGES, *USES_TORCH, "data", "dashboard"} <= set(STAGES)


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in USES_TORCH])
def test_importing_has_no_side_effects(stage, tmp_path):
    "No socket, no file, no setting read."
    assert watched_import(*modules(stage), cwd=tmp_path) == ""


def test_side_effects_would_be_seen(tmp_path):
    "The watcher sees a setting read and a file written."
    (tmp_path / "yelp_reviews_bad.py").write_text(
        "import os\n"
        "from yelp_reviews.core.settings import get_settings\n"
        "os.environ.get('YELP_HOME')\n"
        "get_settings()\n"
        "open('x', 'w')\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    seen = watched_import("yelp_reviews_bad", cwd=tmp_path, PYTHONPATH=path)
    assert "reads YELP_HOME" in seen and "reads the whole environment" in seen and "writes x" in seen


@pytest.mark.parametrize("stage", LIGHT_STAGES)
def test_what_serves_imports_nothing_heavy(stage, tmp_path):
    program = f"""
import importlib, json, sys
for module in {light_modules(stage)}: importlib.import_module(module)
print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""
    finished = python("-c", program, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout) == []


REFUSE = f"""
import sys
class Refuse:
    "An import system in which heavy packages do not exist."
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY}: raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
"""


@pytest.mark.parametrize("stage", LIGHT_STAGES)
def test_what_serves_imports_where_nothing_heavy_is_installed(stage, tmp_path):
    program = f"{REFUSE}\nimport importlib\nfor module in {light_modules(stage)}: importlib.import_module(module)"
    finished = python("-c", program, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr


def test_the_command_line_predicts_where_nothing_heavy_is_installed(tmp_path):
    scorer = Scorer(np.ones(256, np.float32), np.ones(256, np.uint16))
    artifact = save_scorer(scorer, tmp_path / "model.safetensors")
    program = f"{REFUSE}\nfrom yelp_reviews.cli import main; main()"
    finished = python("-c", program, "predict", "Lovely soup.", "--model", str(artifact), cwd=tmp_path)
    assert finished.stdout.startswith("positive"), finished.stderr


def test_the_command_line_answers_without_its_dependencies(tmp_path):
    "`--help` imports neither NumPy nor a web framework."
    program = """
import sys
from yelp_reviews.cli import cli
try: cli.main(["--help"])
except SystemExit: pass
loaded = [name for name in ("numpy", "mlflow", "fastapi", "sqlalchemy", "pyarrow", "torch") if name in sys.modules]
assert not loaded, loaded
"""
    finished = python("-c", program, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
