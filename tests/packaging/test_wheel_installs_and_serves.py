"The wheel contains the whole package, installs without torch, predicts and serves."
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, free_port, wait_json

pytestmark = pytest.mark.slow

SOURCES = ("yelp_reviews", "nbs/runs", "nbs/apps")
METADATA = ("setup.py", "pyproject.toml", "settings.ini", "MANIFEST.in", "README.md", "LICENSE")
EXAMPLES = ("py.typed", "data/assets/words.txt", "web/page.html.j2", "dashboard/assets/deep/chart.js")
FULL_SIZE_PACKAGES = {"torch", "jupyterlab", "ipykernel", "nbdev", "pandas", "numba"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    "A copy of what is packaged, with a few more data files of different kinds."
    folder = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", ".notest")
    for name in SOURCES: shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in METADATA: shutil.copy(ROOT / name, folder)
    for name in EXAMPLES:
        path = folder / "yelp_reviews" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("example")
    return folder


@pytest.fixture(scope="module")
def distributions(checkout, tmp_path_factory) -> Path:
    "A folder with the source distribution and the wheel."
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", out, checkout], check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def wheel(distributions) -> Path:
    return next(distributions.glob("*.whl"))


def files(checkout: Path, folder: str) -> set[str]:
    "Files below a folder of the checkout, relative to it."
    return {str(path.relative_to(checkout / folder)) for path in (checkout / folder).rglob("*") if path.is_file()}


def test_the_wheel_contains_every_file_of_the_package(checkout, wheel):
    "Modules, migrations, notebooks, templates, scripts and vocabularies: none is listed anywhere, and none is lost."
    packed = set(zipfile.ZipFile(wheel).namelist())
    expected = {f"yelp_reviews/{name}" for name in files(checkout, "yelp_reviews")}
    expected |= {f"yelp_reviews/{kind}/{name}" for kind in ("runs", "apps") for name in files(checkout, f"nbs/{kind}")}
    assert expected <= packed, expected - packed
    assert {f"yelp_reviews/{name}" for name in EXAMPLES} <= packed
    assert {
        "yelp_reviews/runs/train.ipynb",
        "yelp_reviews/runs/original.yaml",
        "yelp_reviews/apps/dashboard.ipynb",
        "yelp_reviews/apps/share/voila/templates/yelp/index.html.j2",
        "yelp_reviews/proxy/versions/v0001_first.py",
    } <= packed
    unexpected = {name for name in packed - expected if ".dist-info/" not in name}
    assert not unexpected


def test_the_source_distribution_contains_what_a_build_needs(checkout, distributions):
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as tar:
        packed = {name.partition("/")[2] for name in tar.getnames()}
    expected = {f"{folder}/{name}" for folder in SOURCES for name in files(checkout, folder)}
    assert expected | set(METADATA) <= packed, expected - packed


def test_it_installs_without_torch_predicts_and_serves(wheel, artifact, tmp_path):
    "With the extra `serve` in an empty environment: no torch, no Jupyter."
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python, command = tmp_path / "venv/bin/python", str(tmp_path / "venv/bin/yelp-reviews")
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"{wheel}[serve]"], check=True, timeout=250)
    listed = subprocess.run([python, "-m", "pip", "list", "--format", "json"], capture_output=True, text=True)
    installed = {package["name"].lower() for package in json.loads(listed.stdout)}
    assert "fastapi" in installed and not installed & FULL_SIZE_PACKAGES

    options = {"cwd": tmp_path, "env": {}, "text": True}
    review = "Lovely food, friendly staff."
    predicted = subprocess.run([command, "predict", review, "--model", artifact], capture_output=True, **options)
    assert predicted.stdout.startswith("positive"), predicted.stderr
    port = free_port()
    serve = [command, "serve", "--model", artifact, "--port", str(port)]
    server = subprocess.Popen(serve, stderr=subprocess.PIPE, **options)
    try: assert wait_json(f"http://127.0.0.1:{port}/health/ready")["status"] == "ready"
    finally:
        server.terminate()
        assert server.wait(10) in (0, -15)
