"Sphinx extension: docments, the comments beside parameters and fields, as tables below each docstring."
import ast
import inspect
import io
import re
import textwrap
import tokenize
from collections import _tuplegetter
from dataclasses import is_dataclass
from importlib import import_module
from typing import Annotated, get_origin

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from fastcore.docments import docments
from sphinx.util.typing import restify

EMPTY = inspect.Parameter.empty


def field_comments(cls: type) -> dict[str, str]:
    "Comment beside each annotated field of a class, empty if it has none."
    source = textwrap.dedent(inspect.getsource(cls))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    fields = [node for node in ast.parse(source).body[0].body if isinstance(node, ast.AnnAssign)]
    return {field.target.id: comments.get(field.end_lineno, "") for field in fields}


def has_fields(obj) -> bool:
    "Is it a class whose fields are its parameters: a dataclass, a named tuple or a pydantic model?"
    return inspect.isclass(obj) and (is_dataclass(obj) or hasattr(obj, "_fields") or hasattr(obj, "model_fields"))


def to_rst(text: str) -> str:
    "Plain text with code in single backticks as reStructuredText."
    words = re.split(r"`([^`]+)`", text)
    plain, code = words[::2], words[1::2]
    plain = [re.sub(r"([\\*|_])", r"\\\1", word) for word in plain]
    return plain[0] + "".join(f"``{c}``\\{p}" if p[:1].isalnum() else f"``{c}``{p}" for c, p in zip(code, plain[1:]))


def fields_of(cls: type) -> list[tuple]:
    "Name, type, default and comment of each field that the class itself defines."
    comments = field_comments(cls)
    models = getattr(cls, "model_fields", {})

    def default(name: str):
        if name in models: return EMPTY if models[name].is_required() else models[name].default
        return getattr(cls, "_field_defaults", vars(cls)).get(name, EMPTY)
    types = inspect.get_annotations(cls)
    public = [name for name in comments if name[0] != "_" and name != "model_config"]
    return [(name, types[name], default(name), comments[name]) for name in public]


def parameters_of(function) -> list[tuple]:
    "Name, type, default and comment of each parameter, and of the result."
    found = docments(function, full=True, args_kwargs=True)
    rows = [(name, row["anno"], row["default"], row["docment"] or "") for name, row in found.items() if name != "self"]
    return [row for row in rows if row[0] != "return" or row[1] is not EMPTY]


def type_links(annotation) -> str:
    "A type as reStructuredText, with links to the classes of this package."
    if annotation is EMPTY: return ""
    if isinstance(annotation, str): return f"``{annotation}``"
    return restify(annotation.__origin__ if get_origin(annotation) is Annotated else annotation, "smart")


def table_row(name: str, annotation, default, comment: str) -> tuple[str, ...]:
    "One row of a table as reStructuredText."
    value = getattr(default, "__name__", None) or repr(default)
    shown_default = "" if default is EMPTY or name == "return" else f"``{value}``"
    shown_name = "returns" if name == "return" else f"``{name}``"
    return shown_name, type_links(annotation), shown_default, to_rst(" ".join(comment.split()))


def table(rows: list[tuple], kind: str) -> list[str]:
    "The rows as lines of a reStructuredText table, without empty columns."
    columns = list(zip((kind, "type", "default", "description"), *(table_row(*row) for row in rows)))
    lines = ["", ".. list-table::", "   :header-rows: 1", "   :class: docments", ""]
    for cells in zip(*(column for column in columns if any(column[1:]))):
        lines += [f"   {'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(cells)]
    return [*lines, ""]


def process_docstring(app, what, name, obj, options, lines):
    "Append the table of parameters or fields to a docstring."
    foreign = what != "data" and not getattr(obj, "__module__", "").startswith("yelp_reviews")
    if foreign: del lines[1:]  # an alias of another package's function
    lines[:] = [to_rst(line) for line in lines]
    if foreign: return
    if has_fields(obj): rows, kind = fields_of(obj), "field"
    elif inspect.isclass(obj): rows, kind = parameters_of(obj) if "__init__" in vars(obj) else [], "parameter"
    elif what in ("function", "method"): rows, kind = parameters_of(obj), "parameter"
    else: rows = []
    if rows: lines += table(rows, kind)


def process_signature(app, what, name, obj, *_):
    "Show no signature for a class with fields: its table says the same."
    return ("", None) if has_fields(obj) else None


def skip_member(app, what, name, obj, skip, options):
    "Skip what pydantic and named tuples add to a class."
    return True if name == "model_config" or isinstance(obj, _tuplegetter) else None


class Stage(Directive):
    "The docstring of a stage and its public names, each with a link to where it is defined."
    required_arguments = 1

    def run(self):
        module = import_module(self.arguments[0])
        found = {name: getattr(module, name) for name in module.__all__}
        links = [
            f"* :py:obj:`{name} <{obj.__module__}.{obj.__qualname__}>`"
            for name, obj in found.items() if hasattr(obj, "__qualname__")
        ]
        content = nodes.Element()
        lines = StringList([to_rst(module.__doc__ or ""), "", *links], source=self.arguments[0])
        self.state.nested_parse(lines, 0, content)
        return content.children


def setup(app):
    app.connect("autodoc-process-docstring", process_docstring)
    app.connect("autodoc-process-signature", process_signature)
    app.connect("autodoc-skip-member", skip_member)
    app.add_directive("stage", Stage)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
