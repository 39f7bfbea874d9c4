"""Check the built documentation site: links lead somewhere, and no page loads anything from another host.

    python docs/check_site.py _docs/html
"""
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

RESOURCES = {"script": "src", "img": "src", "source": "srcset", "iframe": "src", "link": "href"}
OTHER_HOST = re.compile(r"^(\w+:)?//")
CSS_ADDRESS = re.compile(r"""(?:url\(|@import\s+)["']?((?:\w+:)?//[^"')\s]+)""")


class Page(HTMLParser):
    "The ids, links and resources of one page."
    def __init__(self, file: Path):
        super().__init__()
        self.ids, self.links, self.resources = set(), [], []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]):
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values: self.links.append(values["href"])
        named_only = tag == "link" and values.get("rel") in ("canonical", "index", "search", "next", "prev")
        if RESOURCES.get(tag) in values and not named_only: self.resources.append(values[RESOURCES[tag]])


def broken_link(link: str, file: Path, pages: dict[Path, Page]) -> str | None:
    "What is wrong with a link; None for a good one, or one to another host."
    if re.match(r"\w+:", link) or OTHER_HOST.match(link): return None
    path, fragment = urldefrag(unquote(link))
    target = (file.parent / path).resolve() if path else file
    if not target.exists(): return f"links to {link}, which does not exist"
    known = target not in pages or fragment in pages[target].ids
    return None if known or not fragment else f"links to {link}, which has no such place"


def problems(site: Path) -> list[str]:
    "Everything that is wrong with a site."
    pages = {file.resolve(): Page(file) for file in site.rglob("*.html")}
    found = [] if pages else [f"{site} has no pages"]
    for file, page in pages.items():
        said = [broken_link(link, file, pages) for link in page.links]
        said += [f"loads {address}" for address in page.resources if OTHER_HOST.match(address)]
        found += [f"{file.relative_to(site.resolve())} {text}" for text in said if text]
    for file in site.rglob("*.css"):
        found += [f"{file} loads {address}" for address in CSS_ADDRESS.findall(file.read_text(encoding="utf-8"))]
    return found


if __name__ == "__main__":
    found = problems(Path(sys.argv[1]))
    for line in found: print(line)
    sys.exit(bool(found))
