"""Draw the Mermaid diagrams of the README, the guides and the notebooks as pictures for the documentation site.

    make diagrams

GitHub draws Mermaid itself; the site must not load JavaScript of another host. Needs npm and Debian's Chromium.
"""
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from collect import MERMAID, ROOT, diagram_name
from playwright.sync_api import sync_playwright

PACKAGE = "mermaid@11.17.2"
IMAGES = ROOT / "docs/img"
THEMES = {"light": "neutral", "dark": "dark"}
DRAW = """async ([diagram, theme]) => {
    mermaid.initialize({startOnLoad: false, theme, htmlLabels: false, fontFamily: "sans-serif", deterministicIds: true})
    return (await mermaid.render("diagram", diagram)).svg
}"""


def library(folder: Path) -> str:
    "Mermaid's JavaScript, from its npm package."
    command = ["npm", "pack", "--silent", PACKAGE]
    file = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
    with tarfile.open(folder / file) as tar:
        return tar.extractfile("package/dist/mermaid.min.js").read().decode()


def diagrams() -> dict[str, str]:
    "Every diagram, by the name of its pictures."
    notebooks = [json.loads(p.read_text()) for p in (ROOT / "nbs").glob("[0-9]*/*.ipynb")]
    texts = ["".join(cell["source"]) for notebook in notebooks for cell in notebook["cells"]]
    texts += [p.read_text() for p in [ROOT / "README.md", *(ROOT / "docs/guides").glob("*.md")]]
    found = [match["diagram"] for text in texts for match in MERMAID.finditer(text)]
    return {diagram_name(diagram): diagram for diagram in found}


def draw(page, diagram: str, theme: str, file: Path):
    "Draw one diagram as SVG."
    file.write_text(page.evaluate(DRAW, [diagram, THEMES[theme]]) + "\n")


if __name__ == "__main__":
    for old in IMAGES.glob("*.svg"): old.unlink()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.add_script_tag(content=library(Path(folder)))
        for name, diagram in diagrams().items():
            for theme in THEMES: draw(page, diagram, theme, IMAGES / f"{name}-{theme}.svg")
        browser.close()
