"""Write the table of all settings into the guide docs/guides/serving.md, from the settings classes.

    python docs/settings_table.py
"""
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS / "extensions")]
from docments import field_comments  # noqa: E402

from yelp_reviews.core import settings  # noqa: E402

GUIDE = DOCS / "guides/serving.md"
SECTION = re.compile(r"(?<=<!-- settings: written by docs/settings_table.py -->\n).*(?=<!-- end of settings -->)", re.S)
GROUPS = {
    "Everywhere": settings.Settings,
    "Model server and proxy": settings.ServiceSettings,
    "Model server": settings.ServerSettings,
    "Proxy": settings.ProxySettings,
    "Dashboard": settings.DashboardSettings,
}


def variable(name: str, field) -> str:
    "Environment variable that sets a field."
    return field.validation_alias or f"YELP_{name.upper()}"


def shown_default(value) -> str:
    "A default as one writes it into the environment."
    text = value.get_secret_value() if hasattr(value, "get_secret_value") else "" if value == () else str(value)
    if isinstance(value, bool): text = text.lower()
    return f"`{text}`" if text else "empty"


def table(cls: type) -> str:
    "The settings that a class adds to those of its base."
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, comment in field_comments(cls).items():
        if name == "model_config": continue
        field = cls.model_fields[name]
        meaning = comment.replace("`home`", "`YELP_HOME`") or name.replace("_", " ")
        rows.append(f"| `{variable(name, field)}` | {shown_default(field.default)} | {meaning} |")
    return "\n".join(rows)


def section() -> str:
    "All tables, with a heading each."
    return "\n" + "".join(f"### {title}\n\n{table(cls)}\n\n" for title, cls in GROUPS.items())


if __name__ == "__main__": GUIDE.write_text(SECTION.sub(lambda _: section(), GUIDE.read_text()))
