"""Maths: arithmetic worked out from its syntax tree; nothing is run as code.

What must stay true: the work of an expression is bounded by its length and by
the size of its numbers.
"""

import ast
import math
import operator
from collections.abc import Callable, Iterator

from api.core.ports import JSONObject
from api.core.tools.provider import provide
from api.core.tools.tool import (
    TextMessage,
    ToolContext,
    ToolFailed,
    ToolMessage,
    ToolParameter,
    ToolProviderSchema,
    ToolSchema,
    Words,
)

MAX_CHARS = 1000
MAX_BITS = 8192
MAX_DIGITS = 300
Number = int | float

BINARY: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
UNARY: dict[type[ast.unaryop], Callable[[Number], Number]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
CONSTANTS = {"pi": math.pi, "e": math.e, "tau": math.tau}


def _rounded(value: Number, digits: int = 0) -> Number:
    if abs(digits) > MAX_DIGITS:
        raise ToolFailed(f"A number is rounded to at most {MAX_DIGITS} digits.")
    return round(value, digits) if digits else round(value)


FUNCTIONS: dict[str, Callable[..., Number]] = {
    **{name: getattr(math, name) for name in ("sqrt", "exp", "log", "log2", "log10", "floor", "ceil")},
    **{name: getattr(math, name) for name in ("sin", "cos", "tan", "asin", "acos", "atan", "degrees")},
    **{name: getattr(math, name) for name in ("radians", "hypot", "gcd", "trunc")},
    "abs": abs,
    "round": _rounded,
    "min": min,
    "max": max,
}

MATHS = provide(
    ToolProviderSchema(
        id="maths",
        label=Words("Maths", "数学"),
        description=Words("Works out arithmetic exactly.", "精确计算数学表达式。"),
        icon_svg='<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#DC6803"'
        ' stroke-width="2" stroke-linecap="round"><rect x="4" y="3" width="16" height="18" rx="2"/>'
        '<path d="M8 7h8M8 12h2M14 12h2M8 16h2M14 16h2"/></svg>',
        labels=("utilities", "productivity"),
    )
)


@MATHS.tool(
    ToolSchema(
        name="eval_expression",
        label=Words("Calculator", "计算器"),
        description=Words("Works out an arithmetic expression.", "计算数学表达式的值。"),
        llm_description="Evaluates an arithmetic expression. Use it for every calculation.",
        parameters=(
            ToolParameter(
                name="expression",
                label=Words("Expression", "表达式"),
                human_description=Words(
                    "Such as (1 + 2) * sqrt(16) / 3; also ** // % sin log min round pi.",
                    "例如 (1 + 2) * sqrt(16) / 3，支持 ** // % sin log min round pi。",
                ),
                llm_description="Python's syntax: numbers, + - * / // % **, parentheses, pi, e "
                f"and the functions {', '.join(sorted(FUNCTIONS))}.",
                is_required=True,
            ),
        ),
    )
)
def eval_expression(arguments: JSONObject, _context: ToolContext) -> Iterator[ToolMessage]:
    """Yield the value of an expression."""
    expression = str(arguments["expression"]).strip()
    if len(expression) > MAX_CHARS:
        raise ToolFailed(f"An expression has at most {MAX_CHARS} characters.")
    try:
        value = _value(ast.parse(expression.replace("^", "**"), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError) as exc:
        raise ToolFailed(f"{expression[:100]!r} is no arithmetic expression.") from exc
    except ZeroDivisionError as exc:
        raise ToolFailed("The expression divides by zero.") from exc
    except (ValueError, TypeError, OverflowError) as exc:
        raise ToolFailed(f"The expression has no value: {exc}.") from exc
    yield TextMessage(str(value))


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return _bounded(value)
        case ast.Name(id=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case ast.UnaryOp(op=op) if type(op) in UNARY:
            return UNARY[type(op)](_value(node.operand))
        case ast.BinOp(op=ast.Pow()):
            return _power(_value(node.left), _value(node.right))
        case ast.BinOp(op=op) if type(op) in BINARY:
            return _bounded(BINARY[type(op)](_value(node.left), _value(node.right)))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            return _bounded(FUNCTIONS[name](*map(_value, args)))
    raise ToolFailed(f"{ast.unparse(node)[:100]!r} is no arithmetic.")


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > MAX_BITS:
        raise ToolFailed(f"A power has more than {MAX_BITS} bits.")
    return _bounded(base**exponent)


def _bounded(value: object) -> Number:
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise ToolFailed(f"A number has more than {MAX_BITS} bits.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ToolFailed("A number is too large.")
    if not isinstance(value, int | float):
        raise ToolFailed("The value is no real number.")
    return value
