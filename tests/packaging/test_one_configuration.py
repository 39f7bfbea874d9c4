"settings.ini is the one configuration: the metadata, the lock and the conda environment agree with it."
import re
import tomllib
from configparser import ConfigParser

import yaml
from conftest import ROOT

parser = ConfigParser(delimiters=["="])
parser.read(ROOT / "settings.ini")
SETTINGS = parser["DEFAULT"]


def canonical(requirement: str) -> str:
    "Canonical name of the package that a requirement names."
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def required() -> set[str]:
    "Names of all packages that settings.ini requires, in any extra."
    lists = (SETTINGS[key] for key in SETTINGS if key.endswith("requirements"))
    return {canonical(requirement) for line in lists for requirement in line.split()}


def locked() -> dict[str, str]:
    "Version of each package in the lock."
    lines = (ROOT / "requirements.lock").read_text().split()
    return {canonical(name): version for name, version in (line.split("==") for line in lines)}


def test_pyproject_takes_its_values_from_settings():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == SETTINGS["lib_name"]
    dynamic = set(project["dynamic"])
    assert {"version", "dependencies", "optional-dependencies", "scripts"} <= dynamic
    assert not dynamic & set(project)


def test_the_lock_contains_every_requirement():
    assert required() <= set(locked())
    assert locked()["torch"] == "2.13.0"


def test_the_conda_environment_has_the_locked_versions_of_all_requirements():
    pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"][-1]["pip"]
    pinned = dict(line.split("==") for line in pip if "==" in line)
    environment = {canonical(name): version for name, version in pinned.items()}
    assert environment == {name: locked()[name] for name in required()}
