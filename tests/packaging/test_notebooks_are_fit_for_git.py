"Notebooks in git show no machine paths, no warnings and no real reviews, and papermill's notebooks define nothing."
import ast
import json
import re
from pathlib import Path

import pytest
from conftest import ROOT

PAPERMILL = sorted((ROOT / "nbs/runs").glob("*.ipynb"))
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
REAL_DATA_RUNS = [ROOT / "papermill_runs" / name for name in ("original.ipynb", "yelp.ipynb")]


def code_cells(notebook: Path) -> list[dict]:
    return [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]


def test_outputs_show_no_machine_paths_and_no_warnings():
    for notebook in [*(ROOT / "nbs").rglob("*.ipynb"), *(ROOT / "papermill_runs").glob("*.ipynb")]:
        outputs = json.dumps([cell["outputs"] for cell in code_cells(notebook)])
        assert not re.search(r"/(home|root|Users|work|tmp)/|Warning:", outputs), notebook


@pytest.mark.parametrize("notebook", REAL_DATA_RUNS, ids=lambda path: path.stem)
def test_runs_on_real_data_show_no_review(notebook):
    "The table of mistakes has probabilities but no texts."
    def calls_mistakes(cell: dict) -> bool:
        source = "".join(cell["source"])
        return "mistakes(" in source and "import" not in source
    table = next(cell for cell in code_cells(notebook) if calls_mistakes(cell))
    shown = json.dumps(table["outputs"])
    assert "probability" in shown and "<th>text</th>" not in shown


@pytest.mark.parametrize("notebook", PAPERMILL, ids=lambda path: path.stem)
def test_papermill_notebooks_begin_with_their_parameters(notebook):
    assert code_cells(notebook)[0]["metadata"]["tags"] == ["parameters"]


def test_the_training_notebook_imports_and_never_defines():
    for cell in code_cells(ROOT / "nbs/runs/train.ipynb"):
        source = "".join(line for line in cell["source"] if not line.startswith("%"))
        definitions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, DEFINITIONS)]
        assert not definitions, source
