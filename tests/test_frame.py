"The frame: one configuration, layers that hold, imports without side effects, a wheel that installs."
import ast, json, re, subprocess, sys, tomllib, zipfile
from configparser import ConfigParser
from pathlib import Path
import pytest, yaml
from conftest import ROOT, free_port, wait_json

ini = ConfigParser(delimiters=["="])
ini.read(ROOT / "settings.ini")
CONFIG = ini["DEFAULT"]
NOTEBOOKS = sorted(p for p in (ROOT / "nbs").glob("[0-9]*.ipynb") if not re.match(r"\d+_v\d", p.stem)) # migrations are run by Alembic, not imported
MODULES = [re.sub(r"^\d+_", "", p.stem) for p in NOTEBOOKS]
LOCK = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().split())

def canonical(name:str) -> str: return re.match(r"[\w.-]+", name)[0].lower().replace("_", "-")

def test_pyproject_agrees_with_settings():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == CONFIG["lib_name"]
    assert not set(project) & set(project["dynamic"]) and {"version", "dependencies", "optional-dependencies", "scripts"} <= set(project["dynamic"])

def test_lock_and_environment_agree():
    locked = {canonical(name): version for name, version in LOCK.items()}
    assert locked["torch"] == "2.13.0"
    wanted = {canonical(r) for key in CONFIG if key.endswith("requirements") for r in CONFIG[key].split()}
    assert wanted <= set(locked)
    pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"][-1]["pip"]
    environment = {canonical(name): version for name, _, version in (line.partition("==") for line in pip if "==" in line)}
    assert wanted == set(environment)
    assert environment == {name: locked[name] for name in wanted}

def imports(module:str) -> set[str]:
    "Modules of this package that a module imports, anywhere in it: `from .x import`, `from . import x` and `from yelp_reviews.x import`."
    found = set()
    for node in ast.walk(ast.parse((ROOT / f"yelp_reviews/{module}.py").read_text())):
        names = [a.name for a in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        if isinstance(node, ast.ImportFrom):
            source = "yelp_reviews." * (node.level > 0) + (node.module or "")
            names = [source] if source.rstrip(".") != "yelp_reviews" else [f"yelp_reviews.{name}" for name in names]
        found |= {name.split(".")[1] for name in names if name.startswith("yelp_reviews.")}
    return found

def test_a_module_imports_only_earlier_ones():
    order = {re.sub(r"^\d+_", "", p.stem): int(p.stem[:2]) for p in NOTEBOOKS}
    graph = {module: sorted(imports(module), key=order.get) for module in MODULES}
    print(*(f"{module} <- {', '.join(names)}" for module, names in graph.items()), sep="\n")
    assert sum(map(len, graph.values())) > 40 # the relative imports that nbdev writes are seen
    for module, names in graph.items():
        for name in names: assert order[name] < order[module], f"{module} imports {name}"

WATCH = """
import os, sys
def ours(frame): # called by our code, not by the import of somebody else's module
    while frame and not frame.f_globals.get('__name__', '').startswith('yelp_reviews'):
        if frame.f_code.co_name == '<module>': return None
        frame = frame.f_back
    return frame
class Environ(type(os.environ)):
    def __getitem__(self, key):
        if str(key).upper().startswith(('YELP_', 'MLFLOW_')) and ours(sys._getframe(1)): print('reads', key)
        return super().__getitem__(key)
    def __iter__(self):
        if ours(sys._getframe(1)): print('reads all')
        return super().__iter__()
os.environ.__class__ = Environ
def hook(event, args):
    if event in ('socket.connect', 'socket.bind', 'os.mkdir'): print(event, args)
    if event == 'open' and isinstance(args[1], str) and set(args[1]) & set('wax+') and '__pycache__' not in str(args[0]): print('writes', args[0])
sys.addaudithook(hook)
"""

@pytest.mark.parametrize("module", [m for m in MODULES if m not in ("model", "training", "tuning", "finetune", "evaluation")])
def test_importing_has_no_side_effects(module, tmp_path):
    "No socket, no file, no setting read. (Those left out import torch and matplotlib, whose caches are their own.)"
    done = subprocess.run([sys.executable, "-c", WATCH + f"import yelp_reviews.{module}"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("", 0), done.stdout + done.stderr

def test_side_effects_would_be_seen(tmp_path):
    "The watcher itself: it sees a setting read and a file written."
    (tmp_path / "yelp_reviews_bad.py").write_text("import os; from yelp_reviews.core.settings import get_settings; os.environ.get('YELP_HOME'); get_settings(); open('x', 'w')")
    seen = subprocess.run([sys.executable, "-c", WATCH + "import yelp_reviews_bad"], capture_output=True, text=True, cwd=tmp_path).stdout
    assert "reads YELP_HOME" in seen and "writes x" in seen

@pytest.mark.parametrize("module", ["scorer", "registry", "server", "proxy", "cli"])
def test_serving_imports_nothing_heavy(module):
    code = f"import yelp_reviews.{module}, sys; print([m for m in ('torch', 'IPython', 'pandas', 'pyarrow', 'fastcore', 'nbdev') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"

def test_notebooks_are_fit_for_git():
    "No paths of somebody's machine and no warnings in stored outputs; the kept runs show no reviews."
    for path in [*(ROOT / "nbs").rglob("*.ipynb"), *(ROOT / "papermill_runs").glob("*.ipynb")]:
        outputs = json.dumps([c.get("outputs") for c in json.loads(path.read_text())["cells"]])
        assert not re.search(r"/(home|root|Users|work|tmp)/|Warning:", outputs), path
    for path in (ROOT / "papermill_runs/original.ipynb", ROOT / "papermill_runs/yelp.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        mistakes = next(c for c in cells if "mistakes(" in "".join(c["source"]) and "import" not in "".join(c["source"]))
        shown = json.dumps(mistakes["outputs"])
        assert "probability" in shown and "<th>text</th>" not in shown

def test_training_notebook_imports_and_never_defines():
    cells = [c for c in json.loads((ROOT / "nbs/runs/train.ipynb").read_text())["cells"] if c["cell_type"] == "code"]
    assert cells[0]["metadata"]["tags"] == ["parameters"]
    assert not any(isinstance(n, (ast.FunctionDef, ast.ClassDef)) for c in cells for n in ast.walk(ast.parse("".join(line for line in c["source"] if not line.startswith("%")))))

@pytest.mark.slow
def test_wheel_installs_and_serves_without_torch(tmp_path, trained):
    "The wheel in an empty environment, with [serve]: no torch, no Jupyter; it predicts and serves an artifact."
    subprocess.run([sys.executable, "-m", "build", "--outdir", tmp_path, ROOT], check=True, capture_output=True)
    wheel = next(tmp_path.glob("*.whl"))
    assert {"yelp_reviews/runs/train.ipynb", "yelp_reviews/runs/original.yaml", "yelp_reviews/apps/dashboard.ipynb", "yelp_reviews/apps/share/voila/templates/yelp/index.html.j2", "yelp_reviews/proxy/versions/v0001_first.py"} <= set(zipfile.ZipFile(wheel).namelist())
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python, command = tmp_path / "venv/bin/python", str(tmp_path / "venv/bin/yelp-reviews")
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"{wheel}[serve]"], check=True, timeout=250)
    installed = {p["name"].lower() for p in json.loads(subprocess.run([python, "-m", "pip", "list", "--format", "json"], capture_output=True, text=True).stdout)}
    assert not installed & {"torch", "jupyterlab", "ipykernel", "nbdev", "pandas", "numba"} and "fastapi" in installed

    artifact = str(next((trained.folder / ".yelp").rglob("model.safetensors")))
    said = subprocess.run([command, "predict", "Lovely food, friendly staff.", "--model", artifact], capture_output=True, text=True, cwd=tmp_path)
    assert said.stdout.startswith("positive"), said.stderr
    port = free_port()
    server = subprocess.Popen([command, "serve", "--model", artifact, "--port", str(port)], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try: assert wait_json(f"http://127.0.0.1:{port}/health/ready")["status"] == "ready"
    finally:
        server.terminate()
        assert server.wait(10) in (0, -15)
