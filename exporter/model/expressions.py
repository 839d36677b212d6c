"""Expressions of open dimensions, read as JAX writes them: `2*b + floordiv(s, 2)`, `s <= 512`.

The syntax: https://docs.jax.dev/en/latest/export/shape_poly.html
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

Functions = Mapping[str, Callable[[Any, Any], Any]]

FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "max": max,
    "min": min,
}
_OPERATORS: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Pow: operator.pow,
    ast.Eq: operator.eq,
    ast.GtE: operator.ge,
    ast.LtE: operator.le,
}


class ExpressionError(ValueError):
    """A text that is no expression of dimensions; the message says what is wrong with it."""


def names(text: str) -> set[str]:
    """Returns the dimensions that an expression or a constraint speaks of.

    Raises:
        ExpressionError: it is neither.
    """
    tree = _parsed(text)
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and id(node) not in functions
    }


def evaluate(text: str, sizes: Mapping[str, Any], functions: Functions = FUNCTIONS) -> Any:
    """Returns what an expression or a constraint amounts to.

    Args:
        text: As JAX prints and reads it.
        sizes: Of each dimension in it: integers, or anything else with arithmetic.
        functions: `floordiv`, `mod`, `max` and `min` of such sizes.

    Raises:
        ExpressionError: it is neither; or a dimension has no size.
    """
    return _value(_parsed(text), sizes, functions)


def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(text.replace("^", "**").strip(), mode="eval").body
    except SyntaxError as error:
        raise ExpressionError(error.msg) from None


def _value(node: ast.expr, sizes: Mapping[str, Any], functions: Functions) -> Any:
    def value(inner: ast.expr) -> Any:
        return _value(inner, sizes, functions)

    match node:
        case ast.Name(id=name) if name in sizes:
            return sizes[name]
        case ast.Name(id=name):
            raise ExpressionError(f"there is no dimension {name!r}")
        case ast.Constant(value=int(number)):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -value(operand)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](value(left), value(right))
        case ast.Compare(left=left, ops=[sign], comparators=[right]) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](value(left), value(right))
        case ast.Call(func=ast.Name(id=name), args=[first, second]) if name in functions:
            return functions[name](value(first), value(second))
    raise ExpressionError(f"{ast.unparse(node)!r} can't be read")
