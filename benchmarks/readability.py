"""How the notebooks read: line lengths, cell sizes, prose, and how many public names are used elsewhere.

    python benchmarks/readability.py [FOLDER]    a checkout of this repository, this one if not given
"""
import ast
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

LIMIT = 120  # characters


@dataclass
class Notebook:
    "The cells of one notebook that exports a module."
    name: str
    prose: list[str]
    code: list[str]

    @property
    def exported(self) -> list[str]:
        return [cell for cell in self.code if re.search(r"^#\|\s*export", cell, re.M)]


def source_lines(cell: str) -> list[str]:
    "The lines of a cell that are neither blank nor a directive."
    return [line for line in cell.splitlines() if line.strip() and not line.startswith("#|")]


def read_notebooks(root: Path) -> list[Notebook]:
    "Every notebook under `nbs` that exports something."
    found = []
    for path in sorted((root / "nbs").rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        cells = [(c["cell_type"], "".join(c["source"])) for c in json.loads(path.read_text())["cells"]]
        notebook = Notebook(
            str(path.relative_to(root / "nbs")),
            [source for kind, source in cells if kind == "markdown"],
            [source for kind, source in cells if kind == "code"],
        )
        if notebook.exported:
            found.append(notebook)
    return found


def module_files(root: Path) -> dict[str, str]:
    "The source of each generated module, by path."
    own = {path for path in (root / "yelp_reviews").rglob("*.py") if path.name != "_modidx.py"}
    return {str(path): path.read_text() for path in own}


def definitions(source: str) -> set[str]:
    "Public names that a module defines at its top level."
    names = set()
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            names |= {n.id for n in ast.walk(target) if isinstance(n, ast.Name)} if target else set()
    return {name for name in names if not name.startswith("_")}


def imported_names(source: str) -> set[str]:
    "Names that a file imports from this package."
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("yelp_reviews")):
            names |= {alias.name for alias in node.names}
    return names


def other_users(root: Path) -> list[str]:
    "Tests, benchmarks and the notebooks that people run, as Python source."
    files = [path.read_text() for folder in ("tests", "benchmarks", "docs") for path in (root / folder).rglob("*.py")]
    for path in [root / "nbs/index.ipynb", *(root / "nbs/runs").glob("*.ipynb"), *(root / "nbs/apps").glob("*.ipynb")]:
        cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
        files.append("\n".join(re.sub(r"^[%!].*", "", "".join(c["source"]), flags=re.M) for c in cells))
    return files


def name_use(root: Path) -> tuple[int, int]:
    "Public names of all modules, and how many of them another module, a test, a benchmark or a run imports."
    modules = module_files(root)
    defined, used = 0, 0
    imports = {path: imported_names(source) for path, source in modules.items()}
    outside = set().union(*map(imported_names, other_users(root)))
    for path, source in modules.items():
        own = definitions(source)
        elsewhere = outside.union(*(names for other, names in imports.items() if other != path))
        defined += len(own)
        used += len(own & elsewhere)
    return defined, used


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent)
    notebooks = read_notebooks(root)
    lines = [line for n in notebooks for cell in n.code for line in source_lines(cell)]
    sizes = {n.name: [len(source_lines(cell)) for cell in n.exported] for n in notebooks}
    exported = sum(map(sum, sizes.values()))
    words = sum(len(text.split()) for n in notebooks for text in n.prose)
    defined, used = name_use(root)

    print(f"{'notebook':<44}{'exported lines':>15}{'words per line':>16}")
    for n in notebooks:
        total = sum(sizes[n.name])
        print(f"{n.name:<44}{total:>15,}{sum(len(t.split()) for t in n.prose) / total:>16.1f}")
    cells = [size for own in sizes.values() for size in own]
    print()
    print(f"notebooks that export       {len(notebooks):,}")
    print(f"exported lines              {exported:,}")
    totals = [sum(own) for own in sizes.values()]
    print(f"exported lines a notebook   median {median(totals):,.0f}, most {max(totals):,}")
    print(f"longest line                {max(map(len, lines)):,} characters")
    print(f"lines over {LIMIT}              {sum(len(line) > LIMIT for line in lines) / len(lines):.1%}")
    print(f"exported cells              {len(cells):,}; median {median(cells):.0f} lines, largest {max(cells)}")
    print(f"prose per exported line     {words / exported:.1f} words")
    print(f"public names used elsewhere {used:,} of {defined:,} ({used / defined:.0%})")


if __name__ == "__main__":
    main()
