"""Write docs/api.md: every public Python name, from signatures and docstrings.

The page has a section for each name that `albert` exports, with a table of arguments for each method; methods
that all models share and the outputs of models come once. tests/docs/test_api_page.py checks that the page is
up to date.
usage: python scripts/api_page.py
"""

import ast
import inspect
import re
import runpy
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import albert
from albert.inference.pipeline_base import Pipeline
from albert.model.outputs import Output
from albert.model.pretrained import Pretrained

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
PIPELINES = "albert.inference.pipelines"
INTRODUCTION = """# Python names

Made by `python scripts/api_page.py` from the docstrings; do not edit. Import every name from `albert`:
`from albert import AlbertModel`. [inference.md](inference.md) has examples, and [glossary.md](glossary.md)
explains the words and the letters of sizes such as (B, T)."""
SHARED = """## All models

The methods of every model class below. A model is a `torch.nn.Module`: call it, and use `train()`, `eval()`
and `to(device)`."""
OUTPUTS = """## Outputs

What calling a model returns."""


def main() -> None:
    """Write the page."""
    PAGE.write_text(make_page(), encoding="utf-8")


def make_page() -> str:
    """Return the page: configuration, tokenizer, models, their outputs, and the pipelines."""
    names = {name: getattr(albert, name) for name in albert.__all__ if name != "__version__"}
    models = {name: value for name, value in names.items() if _is_model(value)}
    others = {name: value for name, value in names.items() if inspect.isclass(value) and name not in models}
    functions = {name: value for name, value in names.items() if not inspect.isclass(value)}
    parts = [INTRODUCTION]
    for name, value in others.items():
        parts += [f"## {name}", *_class(value)]
    parts += [SHARED, *_members(Pretrained)]
    for name, value in models.items():
        parts += [f"## {name}", *_class(value)]
    parts.append(OUTPUTS)
    for output in _outputs(models.values()):
        parts += [f"### {output.__name__}", *_description(output), _fields(output)]
    for name, value in functions.items():
        parts += [f"## {name}", *_callable(name, value)]
    for name, value in vars(import_module(PIPELINES)).items():
        if name.endswith("Pipeline") and value is not Pipeline:
            parts += [f"## {name}", *_description(value), *_callable("pipeline", value.predict)]
    parts.append(_surface()["make_section"]())
    return "\n\n".join(part for part in parts if part) + "\n"


def _surface() -> dict[str, Any]:
    """Return the names of the script beside this one."""
    return runpy.run_path(str(Path(__file__).with_name("surface.py")))


def _is_model(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, Pretrained)


def _outputs(models: Any) -> list[type]:
    """Return the classes that calls of `models` return, each once; first what they have in common."""
    returned = (get_type_hints(model.forward)["return"] for model in models)
    return [Output, *dict.fromkeys(returned)]


def _class(value: type) -> Iterator[str]:
    """Yield description, fields or arguments, attributes and methods of a class."""
    yield from _description(value)
    if is_dataclass(value):
        yield _fields(next(base for base in value.__mro__ if "__dataclass_fields__" in vars(base)))
    if "__init__" in vars(value) and _sections(value.__doc__).get("Args"):
        yield _arguments(vars(value)["__init__"], value.__doc__)
    yield from _members(value)


def _members(value: type) -> Iterator[str]:
    """Yield a table of attributes, and each method that the class or a base of its own defines."""
    is_one_of_many = issubclass(value, Pretrained) and value is not Pretrained
    own = [base for base in value.__mro__ if base.__module__.startswith("albert.")]
    found = {n: m for base in reversed(own[:1] if is_one_of_many else own) for n, m in vars(base).items()}
    members = {name: member for name, member in found.items() if not name.startswith("_")}
    rows = [
        (f"`{name}`", _code(_source(member.fget).returns, member.fget), _one_line(member.__doc__))
        for name, member in members.items()
        if isinstance(member, property)
    ]
    if rows:
        yield _table(("attribute", "type", "meaning"), rows)
    if "__call__" in found:
        members["__call__"] = found["__call__"]
    for name, member in members.items():
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if inspect.isfunction(function):
            called = {"forward": "model", "__call__": "tokenizer"}.get(name, name)
            owner = "AlbertModel" if value is Pretrained else value.__name__
            yield from _callable(called if function is member else f"{owner}.{name}", function)


def _callable(name: str, function: Callable[..., Any]) -> Iterator[str]:
    """Yield heading, description, arguments, return type and errors of a function."""
    names = []
    for parameter in _parameters(function):
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in names:
            names.append("*")
        names.append(f"**{parameter.name}" if parameter.kind is parameter.VAR_KEYWORD else parameter.name)
    yield f"### `{name}({', '.join(names)})`"
    yield from _description(function)
    yield _arguments(function, function.__doc__)
    sections = _sections(function.__doc__)
    returned = _code(_source(function).returns, function)
    notes = [f"- Raises `{kind}`: {text}" for kind, text in _items(sections.get("Raises", "")).items()]
    if returned not in {"", "`None`"}:
        notes.insert(0, f"- Returns {returned}. {_one_line(sections.get('Returns'))}".rstrip())
    yield "\n".join(notes)


def _arguments(function: Callable[..., Any], doc: str | None) -> str:
    """Return a table of the arguments."""
    meanings = _items(_sections(doc).get("Args", ""))
    tree = _source(function).args
    arguments = [*tree.args, *tree.kwonlyargs, *filter(None, [tree.vararg, tree.kwarg])]
    annotations = {argument.arg: argument.annotation for argument in arguments}
    rows = [
        (
            f"`{parameter.name}`",
            _code(annotations[parameter.name], function),
            "" if parameter.default is parameter.empty else f"`{parameter.default!r}`",
            meanings.get(parameter.name, ""),
        )
        for parameter in _parameters(function)
    ]
    return _table(("argument", "type", "default", "meaning"), rows)


def _fields(value: Any) -> str:
    """Return a table of the fields of a dataclass, with the docstrings below them."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
    assert isinstance(tree, ast.ClassDef)
    rows = []
    defaults = {field.name: field.default for field in fields(value)} if is_dataclass(value) else {}
    for statement, following in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
            name = ast.unparse(statement.target)
            default = "" if statement.value is None else f"`{defaults[name]!r}`"
            meaning = _one_line(ast.literal_eval(following.value))
            rows.append((f"`{name}`", _code(statement.annotation, value), default, meaning))
    return _table(("field", "type", "default", "meaning"), rows)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = inspect.signature(function).parameters.values()
    return [parameter for parameter in parameters if parameter.name not in {"self", "cls"}]


def _source(function: Callable[..., Any]) -> ast.FunctionDef:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(tree, ast.FunctionDef)
    return tree


def _description(value: Any) -> Iterator[str]:
    yield _sections(value.__doc__)[""]


def _sections(doc: str | None) -> dict[str, str]:
    """Return the parts of a Google docstring by their heading; the description has none."""
    pieces = re.split(r"^(Args|Returns|Raises|Yields):\n", inspect.cleandoc(doc or ""), flags=re.MULTILINE)
    bodies = [pieces[0], *pieces[2::2]]
    return {name: body.strip("\n ") for name, body in zip(["", *pieces[1::2]], bodies, strict=True)}


def _items(section: str) -> dict[str, str]:
    """Return the text of each `name: text` of a section."""
    found = re.split(r"^(?: {4})?(\w+): ", section, flags=re.MULTILINE)
    return {name: _one_line(text) for name, text in zip(found[1::2], found[2::2], strict=True)}


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _code(annotation: ast.expr | None, owner: Any) -> str:
    """Return an annotation as code; names of literals, such as `Dtype`, become their values."""
    if annotation is None:
        return ""
    names = vars(import_module(owner.__module__))
    text = ast.unparse(annotation).replace("'", '"').removeprefix('"').removesuffix('"')
    literals = {name: value for name, value in names.items() if get_origin(value) is Literal}
    for name, value in literals.items():
        values = ", ".join(f'"{choice}"' for choice in get_args(value))
        text = re.sub(rf"\b{name}\b", f"Literal[{values}]", text)
    return f"`{text}`"


def _table(headers: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table without its empty columns; nothing without rows."""
    kept = [number for number in range(len(headers)) if any(row[number] for row in rows)]
    lines = [[line[number].replace("|", "\\|") for number in kept] for line in (headers, *rows)]
    lines.insert(1, ["---"] * len(kept))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if kept else ""


if __name__ == "__main__":
    main()
