"Stages are layers: a stage imports only earlier stages, a notebook only earlier notebooks of its stage."
import ast
import json
import re
from collections import defaultdict
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = "yelp_reviews"


def cells(notebook: Path) -> list[str]:
    "Source of each code cell."
    content = json.loads(notebook.read_text())["cells"]
    return ["".join(cell["source"]) for cell in content if cell["cell_type"] == "code"]


def exported_module(notebook: Path) -> str | None:
    "Module that a notebook exports, without the package's name; that of a stage's index is the stage."
    for cell in cells(notebook):
        if match := re.match(r"#\|\s*default_exp\s+(\S+)", cell): return match[1].removesuffix(".__init__")
    return None


def read_order() -> dict[str, tuple[str, str]]:
    "Each module with its place in the story: folder and notebook. `index` sorts after the numbers."
    notebooks = sorted((ROOT / "nbs").glob("[0-9]*/*.ipynb"))
    modules = {exported_module(notebook): (notebook.parent.name, notebook.stem) for notebook in notebooks}
    modules.pop(None, None)
    return modules


ORDER = read_order()


def source_file(module: str) -> Path:
    "Generated source of a module or of a stage's `__init__`."
    path = ROOT / PACKAGE / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def absolute_base(node: ast.ImportFrom, module: str, is_package: bool) -> str | None:
    "What `from BASE import …` names, without the package's name; None for another package."
    if not node.level:
        top, _, rest = (node.module or "").partition(".")
        return rest if top == PACKAGE else None
    parents = module.split(".") if is_package else module.split(".")[:-1]
    parents = parents[:len(parents) - node.level + 1]
    return ".".join([*parents, *filter(None, [node.module])])


def imported_modules(tree: ast.AST, module: str = "", is_package: bool = False) -> set[str]:
    "Modules of this package that are imported anywhere in a source, inside functions too."
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.removeprefix(f"{PACKAGE}.") for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            base = absolute_base(node, module, is_package)
            if base is None: continue
            submodules = {f"{base}.{alias.name}".strip(".") for alias in node.names} & set(ORDER)
            names |= submodules or {base}
    return names & set(ORDER)


def read_graph() -> dict[str, set[str]]:
    "Each module with the modules that it imports."
    graph = {}
    for module in ORDER:
        path = source_file(module)
        is_package = path.name == "__init__.py"
        graph[module] = imported_modules(ast.parse(path.read_text()), module, is_package) - {module}
    return graph


@pytest.mark.parametrize("module, is_package, source, expected", [
    ("scorer.artifact", False, "from ..core.files import replacing", {"core.files"}),
    ("scorer.artifact", False, "from .encoder import Encoder", {"scorer.encoder"}),
    ("scorer.artifact", False, "from . import encoder, prediction", {"scorer.encoder", "scorer.prediction"}),
    ("scorer.artifact", False, "from ..text import tokenize", {"text"}),
    ("scorer.artifact", False, "from .. import text", {"text"}),
    ("scorer", True, "from .artifact import load_scorer", {"scorer.artifact"}),
    ("scorer", True, "from ..core.files import replacing", {"core.files"}),
    ("cli.models", False, "def f():\n    from yelp_reviews.scorer.prediction import predict", {"scorer.prediction"}),
    ("cli.models", False, "import yelp_reviews.text.tokens as tokens", {"text.tokens"}),
    ("cli.models", False, "import yelp_reviews, numpy\nfrom json import dumps", set()),
])
def test_every_kind_of_import_is_seen(module, is_package, source, expected):
    assert imported_modules(ast.parse(source), module, is_package) == expected


def test_a_module_imports_only_earlier_ones():
    graph = read_graph()
    wrong = [f"{module} imports {name}" for module in graph for name in graph[module] if ORDER[name] >= ORDER[module]]
    assert not wrong, wrong


def test_a_stage_imports_only_earlier_stages():
    "Prints the graph of stages. A graph with few edges would mean that imports were not seen."
    stages, edges = defaultdict(set), 0
    for module, names in read_graph().items():
        stage = ORDER[module][0]
        edges += len(names)
        stages[stage] |= {ORDER[name][0] for name in names} - {stage}
    for stage in sorted(stages): print(stage, "<-", ", ".join(sorted(stages[stage])) or "nothing")
    assert all(earlier < stage for stage in stages for earlier in stages[stage])
    assert edges >= 200 and sum(map(len, stages.values())) >= 35
    assert [stage for stage in sorted(stages) if not stages[stage]] == ["10_core"]


def test_examples_use_only_what_was_explained_before():
    "A notebook's examples, too, import nothing from a later notebook."
    wrong = []
    for notebook in sorted((ROOT / "nbs").glob("[0-9]*/*.ipynb")):
        place = (notebook.parent.name, notebook.stem)
        for cell in cells(notebook):
            code = "\n".join(line for line in cell.splitlines() if not line.startswith(("%", "!")))
            later = [name for name in imported_modules(ast.parse(code)) if ORDER[name] > place]
            wrong += [f"{'/'.join(place)} imports {name}" for name in later]
    assert not wrong, wrong
