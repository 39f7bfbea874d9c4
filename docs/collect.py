"""Collect the pages of the documentation site in one folder, from which Sphinx builds it.

    python docs/collect.py _docs/source

The pages are the README, the guides, the notebooks of every stage, and a reference page for every module that they
export. Links between files of the repository become links between pages; a link to any other file leads to the
repository's web site.
"""
import hashlib
import json
import posixpath
import re
import shutil
import sys
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = {
    "README.md": "index.md",
    "nbs/index.ipynb": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "attempts.md",
}
HIDDEN = re.compile(r"^(#\|\s*(hide|default_exp)\b|_all_ = )", re.M)
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
PICTURE = re.compile(
    r'<picture>.*?srcset="(?P<dark>[^"]+)".*?src="(?P<light>[^"]+)" alt="(?P<alt>[^"]*)".*?</picture>', re.S)
NOTEBOOK = re.compile(r"nbs/\d+_\w+/(?!\d+_v\d)\w+\.ipynb")  # migrations have no page: Alembic runs them
LISTED = re.compile(r"^\| `(\d+_\w+)` \|", re.M)                 # a row of a stage's table of notebooks
MERMAID = re.compile(r"```mermaid\n(?P<diagram>.*?)```", re.S)


def configuration() -> dict:
    "The project's settings.ini."
    ini = ConfigParser(delimiters=["="])
    ini.read(ROOT / "settings.ini", encoding="utf-8")
    return dict(ini["DEFAULT"])


def page_of(path: str) -> str | None:
    "Page of the site that a file of the repository becomes; None if it becomes none."
    if path in PAGES: return PAGES[path]
    if path.startswith("docs/"): return path.removeprefix("docs/")
    if NOTEBOOK.fullmatch(path): return path
    return None


def rewrite_links(text: str, path: str) -> str:
    "Turn relative links in the file `path` of the repository into links of the site, or of the repository's web site."
    def target(match) -> str:
        linked = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[1]))
        fragment = match[2] or ""
        page = page_of(linked)
        if page: return posixpath.relpath(page, posixpath.dirname(page_of(path)) or ".") + fragment
        if not (ROOT / linked).exists(): return match[0]  # Sphinx reports it
        kind = "tree" if (ROOT / linked).is_dir() else "blob"
        return f"{CONFIG['git_url']}/{kind}/{CONFIG['branch']}/{linked}{fragment}"
    return LINK.sub(target, text)


def themed_image(light: str, dark: str, alt: str) -> str:
    "Markdown for a picture that exists in a light and a dark version."
    image = "```{{image}} {file}\n:class: only-{theme}\n:alt: {alt}\n```\n"
    return image.format(file=light, theme="light", alt=alt) + image.format(file=dark, theme="dark", alt=alt)


def diagram_name(diagram: str) -> str:
    "Name of the pictures of a Mermaid diagram, from its text: an edited one needs new pictures (`make diagrams`)."
    return hashlib.sha256(diagram.strip().encode()).hexdigest()[:12]


def replace_pictures(text: str, path: str) -> str:
    "Replace HTML pictures and Mermaid diagrams by images that follow the theme; the site does not draw Mermaid."
    folder = posixpath.relpath("img", posixpath.dirname(page_of(path)) or ".")

    def picture(match) -> str:
        light, dark = (f"{folder}/{posixpath.basename(match[theme])}" for theme in ("light", "dark"))
        return themed_image(light, dark, match["alt"])

    def diagram(match) -> str:
        name = diagram_name(match["diagram"])
        if not (ROOT / f"docs/img/{name}-light.svg").exists():
            raise SystemExit(f"{path} has a Mermaid diagram without a picture; run 'make diagrams'")
        title = re.search(r"accTitle: *(.*)", match["diagram"])
        return themed_image(f"{folder}/{name}-light.svg", f"{folder}/{name}-dark.svg", title[1] if title else "diagram")
    return MERMAID.sub(diagram, PICTURE.sub(picture, text))


def markdown_page(path: str, more: str = "") -> str:
    "A Markdown file of the repository as a page."
    text = (ROOT / path).read_text(encoding="utf-8") + more
    return rewrite_links(replace_pictures(text, path), path)


def source_of(cell: dict) -> str:
    return "".join(cell["source"])


def exported_module(cells: list[dict]) -> str | None:
    "Module that a notebook exports, without the package's name; a stage's index exports the stage itself."
    found = re.search(r"^#\|\s*default_exp ([\w.]+)", "\n".join(map(source_of, cells)), re.M)
    return found and found[1].removesuffix(".__init__")


def reference_of(path: str) -> str:
    "Page with the reference of the module that a notebook exports."
    return path.replace("nbs/", "api/", 1).removesuffix(".ipynb")


def notebook_page(path: str) -> str:
    "A notebook as a page: hidden cells and nbdev's directives removed, what follows from its place in the stage added."
    notebook = json.loads((ROOT / path).read_text(encoding="utf-8"))
    module = exported_module(notebook["cells"])
    cells = [cell for cell in notebook["cells"] if not HIDDEN.search(source_of(cell))]
    for cell in cells:
        text = source_of(cell)
        if cell["cell_type"] == "markdown":
            text = rewrite_links(replace_pictures(LISTED.sub(r"| [`\1`](\1.ipynb) |", text), path), path)
        if cell["cell_type"] == "code": text = re.sub(r"^#\|.*\n?", "", text, flags=re.M)
        cell["source"] = text.strip("\n")
    cells = [cell for cell in cells if cell["source"]]
    footer = f"*Source: [{path}]({CONFIG['git_url']}/blob/{CONFIG['branch']}/{path})"
    footer += f" · Reference: {{doc}}`yelp_reviews.{module} </{reference_of(path)}>`*" if module else "*"
    if path.endswith("/index.ipynb"): footer += "\n\n```{toctree}\n:glob:\n:maxdepth: 1\n\n[0-9]*\n```"
    cells.append({"cell_type": "markdown", "id": "footer", "metadata": {}, "source": footer})
    return json.dumps(notebook | {"cells": cells, "nbformat_minor": 5}, ensure_ascii=False, indent=1)


def reference_page(module: str, path: str) -> str:
    "The reference of a module; that of a stage lists its modules."
    name = f"yelp_reviews.{module}"
    notebook = path.removesuffix(".ipynb")
    lines = [f"# {module}", "", f"Defined in the notebook {{doc}}`/{notebook}`.", "", "```{eval-rst}"]
    if path.endswith("/index.ipynb"):
        lines += [f".. stage:: {name}", "", ".. toctree::", "   :glob:", "   :maxdepth: 1", "", "   [0-9]*"]
    else: lines += [f".. automodule:: {name}", "   :members:"]
    return "\n".join([*lines, "```", ""])


def collect(out: Path):
    "Write all pages. A page that is unchanged keeps its time, so that Sphinx does not read it again."
    stages = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "nbs").glob("[0-9]*/*.ipynb"))
    exports = {path: exported_module(json.loads((ROOT / path).read_text(encoding="utf-8"))["cells"]) for path in stages}
    modules = {path: module for path, module in exports.items() if module and page_of(path)}
    pages = {page: markdown_page(path) for path, page in PAGES.items() if path.endswith(".md") and page != "index.md"}
    pages["index.md"] = markdown_page("README.md", (ROOT / "docs/contents.md").read_text(encoding="utf-8"))
    pages |= {f"guides/{p.name}": markdown_page(f"docs/guides/{p.name}") for p in (ROOT / "docs/guides").glob("*.md")}
    pages |= {path: notebook_page(path) for path in modules}
    pages |= {f"{reference_of(path)}.md": reference_page(module, path) for path, module in modules.items()}
    for page, text in pages.items():
        file = out / page
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists() or file.read_text(encoding="utf-8") != text: file.write_text(text, encoding="utf-8")
    for file in [*out.rglob("*.md"), *out.rglob("*.ipynb")]:
        if str(file.relative_to(out)) not in pages: file.unlink()
    shutil.copytree(ROOT / "docs/img", out / "img", dirs_exist_ok=True)


CONFIG = configuration()
if __name__ == "__main__": collect(Path(sys.argv[1]))
