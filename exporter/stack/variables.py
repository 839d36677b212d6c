"""The variables of a Compose file: where they come from, and how they get into its texts.

Source: https://docs.docker.com/reference/compose-file/interpolation/ and
https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path

from exporter.errors import UserError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:?)([-?+])(.*))?", re.DOTALL)
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*=\s*(.*)")
_QUOTED = re.compile(r"""(?:'([^']*)'|"((?:[^"\\]|\\.)*)")\s*(?:#.*)?""")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def read_env_file(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables of a `.env` file; none where there is no such file.

    Args:
        path: The file.
        environment: What its values may refer to; wins over the file's own variables.

    Raises:
        UserError: a line is no assignment, or the file can't be read.
    """
    found: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return found
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from None
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        try:
            name, value = _assignment(line, ChainMap(dict(environment), found))
        except ValueError as error:
            raise UserError(f"{path}, line {number}: {error}") from None
        found[name] = value
    return found


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Puts variables into a text.

    Known are `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:?error}`, `${NAME:+other}`, the same
    without the colon, and `$$` for a dollar sign. A variable that isn't set is empty.

    Raises:
        ValueError: something else behind a dollar sign, or a variable is missing that has to be
            set.
    """
    parts = []
    while True:
        before, dollar, text = text.partition("$")
        parts.append(before)
        if not dollar:
            return "".join(parts)
        if text.startswith("$"):
            parts.append("$")
            text = text[1:]
        elif text.startswith("{"):
            inside, text = _split_braces(text)
            parts.append(_value(inside, variables))
        elif match := _NAME.match(text):
            parts.append(variables.get(match[0], ""))
            text = text[match.end() :]
        else:
            raise ValueError(f"no name of a variable behind the $ before {text!r}; write $$ for $")


def _assignment(line: str, variables: Mapping[str, str]) -> tuple[str, str]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"{line!r} is no NAME=VALUE")
    name, value = match.groups()
    if not value.startswith(("'", '"')):
        return name, interpolate(re.sub(r"(^|\s+)#.*", "", value), variables)
    quoted = _QUOTED.fullmatch(value)
    if quoted is None:
        raise ValueError(f"{value!r} has no closing quote in its line, or something behind it")
    literal, text = quoted.groups()
    if literal is not None:
        return name, literal
    plain = re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), text)
    return name, interpolate(plain, variables)


def _split_braces(text: str) -> tuple[str, str]:
    """Splits `{inside}rest`; braces inside come in pairs."""
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return text[1:index], text[index + 1 :]
    raise ValueError(f"no closing brace: ${text}")


def _value(inside: str, variables: Mapping[str, str]) -> str:
    match = _INSIDE.fullmatch(inside)
    if match is None:
        raise ValueError(f"${{{inside}}} is no variable")
    name, colon, operator, word = match.groups()
    value = variables.get(name)
    is_set = bool(value) if colon else value is not None
    if operator == "+":
        return interpolate(word, variables) if is_set else ""
    if is_set or operator is None:
        return value or ""
    if operator == "?":
        raise ValueError(f"the variable {name} isn't set: {interpolate(word, variables)}")
    return interpolate(word, variables)
