"Configuration of the documentation site; `make docs` builds it from the pages that docs/collect.py gathers."
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "extensions")]
from collect import CONFIG  # noqa: E402

project = CONFIG["lib_name"]
author = CONFIG["author"]
release = version = CONFIG["version"]
copyright = CONFIG["copyright"]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton", "docments", "mathml"]
nitpick_ignore_regex = [
    ("py:.*", r"(?!yelp_reviews).*"),  # types of other packages
    ("py:.*", r".*\._\w+"),            # private types
]

# notebooks: their stored outputs, nothing is executed
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# the reference: what a module's `__all__` names; parameters are tables, made by the extension docments
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_class_signature = "mixed"
add_module_names = False
toc_object_entries_show_parents = "hide"

# HTML that loads nothing from other hosts: formulas are MathML, search runs in the browser
html_theme = "furo"
html_title = f"{project} {version}"
html_baseurl = f"{CONFIG['doc_host']}{CONFIG['doc_baseurl']}/"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = html_show_sourcelink = False
html_theme_options = {
    "footer_icons": [],
    "source_repository": CONFIG["git_url"],
    "top_of_page_buttons": [],
}
