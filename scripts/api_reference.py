"""Writes docs/api.md: what `import exporter` and `import client` offer, from their docstrings.

python -m scripts.api_reference
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "api.md"
PACKAGES = ("exporter", "client")
_ERRORS = {"Exception", "UserError", "ServingError"}
_HEAD = """\
# Python API
Written by `make docs` from the docstrings. What isn't here may change with any
release.
"""


def render() -> str:
    """Returns the document."""
    loader = griffe.GriffeLoader(
        search_paths=[ROOT], docstring_parser="google", allow_inspection=False
    )
    for name in (*PACKAGES, "artifact", "wire"):
        loader.load(name)
    loader.resolve_aliases(external=False)
    parts = [_HEAD]
    for name in PACKAGES:
        package = loader.modules_collection[name]
        parts += [f"## {name}\n", *_sections(package)]
        for member in sorted(package.exports, key=lambda n: (n.isupper(), n[0].isupper(), n)):
            parts += _member(package[str(member)])
    return "\n".join(parts)


def _member(item: Any) -> Iterator[str]:
    if item.is_alias:
        item = item.final_target
    yield f"### {item.name}\n"
    if item.is_attribute:
        value = str(item.value).replace("'", '"')
        yield f"```python\n{item.name} = {value}\n```\n"
        return
    parameters = _parameters(item)
    if parameters is not None:
        yield f"```python\n{item.name}({parameters}){_returns(item)}\n```\n"
    yield from _sections(item)
    if item.is_class:
        for method in item.functions.values():
            if not method.name.startswith("_") and method.docstring:
                yield f"#### {item.name}.{method.name}\n"
                yield f"```python\n{method.name}({_parameters(method)}){_returns(method)}\n```\n"
                yield from _sections(method)


def _parameters(item: Any) -> str | None:
    if not hasattr(item, "parameters") or (item.is_class and _ERRORS & {*map(str, item.bases)}):
        return None  # one raises it only to hear of it
    found, is_keyword = [], False
    for parameter in item.parameters:
        if parameter.name == "self":
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and not is_keyword:
            is_keyword = True
            found.append("*")
        annotation = f": {parameter.annotation}" if parameter.annotation else ""
        default = "" if parameter.default is None else f" = {parameter.default}"
        found.append(f"{parameter.name}{annotation}{default}")
    line = ", ".join(found)
    return line if len(line) < 60 else "\n    " + ",\n    ".join(found) + ",\n"


def _returns(item: Any) -> str:
    return f" -> {item.returns}" if getattr(item, "returns", None) else ""


def _sections(item: Any) -> Iterator[str]:
    for section in item.docstring.parsed if item.docstring else []:
        match section.kind.value:
            case "text":
                yield f"{section.value.strip()}\n"
            case "parameters" | "attributes" | "raises" as kind:
                yield f"*{kind.capitalize()}*\n"
                yield "\n".join(_entry(kind, entry) for entry in section.value) + "\n"
            case "returns":
                text = " ".join(section.value[0].description.split())
                yield f"*Returns* {text}\n"
            case "admonition":
                yield f"*{section.title}*\n\n```python\n{section.value.contents.strip()}\n```\n"
            case "examples":
                code = "\n".join(text for _, text in section.value)
                yield f"*Example*\n\n```python\n{code.strip()}\n```\n"


def _entry(kind: str, entry: Any) -> str:
    name = str(entry.annotation) if kind == "raises" else entry.name
    return f"- `{name}`: {' '.join(entry.description.split())}"


if __name__ == "__main__":
    DOCUMENT.write_text(render())
    print(f"wrote {DOCUMENT.relative_to(ROOT)}")
