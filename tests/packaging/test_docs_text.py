"The README, the guides and the project's pages say what is true."
import re
import shlex
import subprocess
import sys

import click
import pytest
from conftest import ROOT

from yelp_reviews.cli import cli

sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "docs/extensions")]
import collect  # noqa: E402
import settings_table  # noqa: E402

GUIDES = sorted((ROOT / "docs/guides").glob("*.md"))
PAGES = [*ROOT.glob("*.md"), *GUIDES, ROOT / "benchmarks/README.md", ROOT / "papermill_runs/README.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.S | re.M)


def blocks(text: str, language: str) -> list[str]:
    "Contents of the fenced blocks of a language."
    return [body for name, body in FENCE.findall(text) if name == language]


def tracked(*patterns: str) -> set[str]:
    "Files of the repository that git tracks or would track."
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    return set(subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")) - {""}


def test_readme_is_read_in_five_minutes():
    prose = FENCE.sub("", (ROOT / "README.md").read_text())
    assert len(prose.split()) < 1000


def test_readme_lists_every_stage_and_folder():
    listed = next(block for block in blocks((ROOT / "README.md").read_text(), "text") if "yelp_reviews/ " in block)
    stages = {path.split("/")[1] for path in tracked("nbs") if path.count("/") > 1}
    folders = {path.split("/")[0] for path in tracked() if "/" in path and not path.startswith(".")}
    assert stages | folders == set(re.findall(r"^ *(\w+)/ ", listed, re.M))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    text = FENCE.sub("", page.read_text())
    missing = [m[1] for m in collect.LINK.finditer(text) if not (page.parent / m[1]).exists()]
    assert not missing


def test_settings_tables_are_complete():
    "`make export` writes them."
    assert settings_table.SECTION.search(settings_table.GUIDE.read_text())[0] == settings_table.section()


def parsed(words: list[str]):
    "Parse a command line without running it."
    command, context = cli, None
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        context = click.Context(command, info_name="yelp-reviews", parent=context)
        command, words = command.get_command(context, words[0]), words[1:]
        assert command, "there is no such command"
    try: command.make_context("yelp-reviews", words, parent=context)
    except click.exceptions.Exit: pass  # --help


def command_lines() -> list[str]:
    "Every call of `yelp-reviews` in the guides and in the README."
    code = "\n".join(block for page in PAGES for block in blocks(page.read_text(), "sh"))
    return sorted({line.strip() for line in re.findall(r"yelp-reviews ([^#\n)]*)", code)})


@pytest.mark.parametrize("line", command_lines())
def test_commands_exist_with_their_options(line): parsed(shlex.split(line))


def test_a_wrong_command_is_noticed():
    for line in ("serv", "serve --workerz 2", "serve --workers many"):
        with pytest.raises((AssertionError, click.UsageError)): parsed(line.split())


def test_every_command_is_listed():
    listed = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/guides/commands.md").read_text(), re.M)
    assert set(cli.commands) <= set(listed)


def test_make_targets_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {name for page in PAGES for name in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.M)}
    assert named <= targets and {"up", "test", "docs", "lint"} <= named


def test_benchmark_scripts_are_listed():
    listed = set(re.findall(r"^\| `(\w+\.py)` \|", (ROOT / "benchmarks/README.md").read_text(), re.M))
    named = set(re.findall(r"python benchmarks/(\w+\.py)", (ROOT / "docs/guides/benchmarks.md").read_text()))
    assert named <= listed <= {path.name for path in (ROOT / "benchmarks").glob("*.py")}


def test_addresses_follow_from_one_setting():
    "No file names the repository's address but settings.ini, and none has an invented e-mail address."
    exempt = {"settings.ini", "yelp_reviews/_modidx.py"}  # the source, and what nbdev writes from it
    text_files = {path for path in tracked() if re.search(r"\.(md|ini|toml|ya?ml|cfg|py|ipynb|in)$", path)}
    for path in text_files - exempt:
        text = (ROOT / path).read_text()
        assert not re.search(r"[\w.]+@example\.(com|org)", text), path
        assert f"github.com/{collect.CONFIG['user']}/" not in text, path


def test_ci_runs_the_python_versions_that_are_promised():
    promised = re.findall(r"Python :: (3\.\d+)", collect.CONFIG["classifiers"])
    run = re.search(r"python-version: \[(.*)\]", (ROOT / ".github/workflows/ci.yml").read_text())[1]
    assert re.findall(r"[\d.]+", run) == promised and promised[0] == collect.CONFIG["min_python"]
