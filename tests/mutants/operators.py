"""The small steps by which a function is made wrong: sign, index, missing term, off-by-one, wrong axis, ….

`mutations` yields each of them for one function, as a new syntax tree that differs in one node. Where a step would
make nothing but another error message, in `raise` and in docstrings, none is taken.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

Path = tuple[tuple[str, int | None], ...]

SWAPPED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
COMPARED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
NAMES = {
    "sum": "mean", "mean": "sum", "max": "min", "min": "max", "maximum": "minimum", "minimum": "maximum",
    "sin": "cos", "cos": "sin", "zeros": "ones", "ones": "zeros", "zeros_like": "ones_like", "ones_like": "zeros_like",
    "log1p": "log", "expm1": "exp", "argmax": "argmin", "argmin": "argmax", "ceil": "floor", "sqrt": "abs",
    "tril": "triu", "triu": "tril", "amax": "amin", "amin": "amax",
}  # fmt: skip
AXES = ("axis", "dim", "dims", "shift")


@dataclass(frozen=True)
class Mutation:
    """One step: what it is called, the source before and after, and where in which function."""

    operator: str
    before: str
    after: str
    original: ast.FunctionDef
    path: Path
    new: ast.AST

    @property
    def step(self) -> str:
        return f"{self.operator}: {self.before} -> {self.after}"

    @property
    def function(self) -> ast.FunctionDef:
        """The whole function with this step made."""
        return _replaced(self.original, self.path, self.new)


def mutations(function: ast.FunctionDef) -> Iterator[Mutation]:
    """Every step for this function, each of which changes its syntax tree."""
    is_backward = function.name == "backward"
    for path, node in _nodes(function):
        before, seen = _line(node), {ast.dump(node)}
        for operator, new in _steps(node, is_backward):
            if ast.dump(new) not in seen:
                seen.add(ast.dump(new))
                yield Mutation(operator, before, _line(new), function, path, new)


def _nodes(function: ast.FunctionDef) -> Iterator[tuple[Path, ast.AST]]:
    """The nodes of the body with the way to each, but for docstrings, raises, strings' pieces and annotations."""
    stack = [((("body", i),), node) for i, node in enumerate(function.body) if not _is_docstring(node)][::-1]
    while stack:
        path, node = stack.pop()
        if isinstance(node, (ast.Raise, ast.JoinedStr)) or _only_raises(node):
            continue
        yield path, node
        children = []
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "ctx", "op", "ops"):
                continue
            if isinstance(value, list):
                pairs = [(i, each) for i, each in enumerate(value) if isinstance(each, ast.AST)]
                children += [((*path, (field, i)), each) for i, each in pairs if not _is_free_size(node, each)]
            elif isinstance(value, ast.AST):
                children.append(((*path, (field, None)), value))
        stack += children[::-1]


def _is_free_size(call: ast.AST, argument: ast.AST) -> bool:
    """The -1 of x.reshape(-1): there NumPy takes every negative number alike."""
    return isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "reshape" and ast.unparse(argument) == "-1"


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _only_raises(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and all(isinstance(each, ast.Raise) for each in node.body)


def _replaced(function: ast.FunctionDef, path: Path, new: ast.AST) -> ast.FunctionDef:
    mutant = copy.deepcopy(function)
    parent = mutant
    for field, i in path[:-1]:
        parent = getattr(parent, field) if i is None else getattr(parent, field)[i]
    field, i = path[-1]
    old = getattr(parent, field) if i is None else getattr(parent, field)[i]
    new = ast.copy_location(copy.deepcopy(new), old)
    if i is None:
        setattr(parent, field, new)
    else:
        getattr(parent, field)[i] = new
    return ast.fix_missing_locations(mutant)


def _line(node: ast.AST) -> str:
    """The first line of a node's source, which says which one it is."""
    return ast.unparse(node).split("\n")[0].strip()


def _steps(node: ast.AST, is_backward: bool) -> Iterator[tuple[str, ast.AST]]:
    """All single steps from this node, by its kind; where gradients are returned, more of them."""
    kind = type(node).__name__
    if kind in _BY_KIND:
        yield from _BY_KIND[kind](node)
    if is_backward and isinstance(node, ast.Return):
        yield from _gradients(node)


def _with(node: ast.AST, **fields) -> ast.AST:
    new = copy.copy(node)
    for field, value in fields.items():
        setattr(new, field, value)
    return new


def _plus(node: ast.expr, step: int) -> ast.expr:
    if isinstance(node, ast.Constant):
        return ast.Constant(node.value + step)
    return ast.BinOp(node, ast.Add() if step > 0 else ast.Sub(), ast.Constant(abs(step)))


def _negative(node: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.USub(), node)


def _is_int(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int


def _at(elements: list, i: int, new) -> list:
    return [*elements[:i], new, *elements[i + 1 :]]


def _swapped_at(elements: list, i: int) -> list:
    return [*elements[:i], elements[i + 1], elements[i], *elements[i + 2 :]]


def _bin_op(node: ast.BinOp):
    if type(node.op) in SWAPPED:
        yield "operator", _with(node, op=SWAPPED[type(node.op)]())
    if isinstance(node.op, (ast.Add, ast.Sub)):
        yield "drop term", node.left
        if not isinstance(node.left, ast.BinOp):  # of a longer sum, each left part loses its own last term
            yield "drop term", node.right if isinstance(node.op, ast.Add) else _negative(node.right)
    if isinstance(node.op, (ast.Mult, ast.Div)):
        yield "drop factor", node.left
        if isinstance(node.op, ast.Mult):
            yield "drop factor", node.right
    if isinstance(node.op, (ast.Pow, ast.FloorDiv, ast.Mod)):
        yield "drop factor", node.left
    if isinstance(node.op, ast.MatMult):
        yield "operands", _with(node, left=node.right, right=node.left)


def _unary_op(node: ast.UnaryOp):
    if isinstance(node.op, (ast.USub, ast.Not)):
        yield ("sign" if isinstance(node.op, ast.USub) else "condition"), node.operand


def _bool_op(node: ast.BoolOp):
    yield "and/or", _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())


def _compare(node: ast.Compare):
    for i, op in enumerate(node.ops):
        yield "comparison", _with(node, ops=_at(node.ops, i, COMPARED[type(op)]()))


def _constant(node: ast.Constant):
    if type(node.value) is bool:
        yield "constant", ast.Constant(not node.value)
    elif type(node.value) is int:
        yield "constant", _plus(node, 1)
        if node.value == 1:
            yield "constant", _plus(node, -1)
    elif type(node.value) is float:
        yield "constant", ast.Constant(2 * node.value if node.value else 1.0)


def _if(node):
    if not (isinstance(node.test, ast.UnaryOp) and isinstance(node.test.op, ast.Not)):
        yield "condition", _with(node, test=ast.UnaryOp(ast.Not(), node.test))


def _subscript(node: ast.Subscript):
    index = node.slice
    parts = index.elts if isinstance(index, ast.Tuple) else [index]

    def with_parts(new: list) -> ast.Subscript:
        return _with(node, slice=ast.Tuple(new, ast.Load()) if isinstance(index, ast.Tuple) else new[0])

    for i, part in enumerate(parts):
        if isinstance(part, (ast.Name, ast.BinOp)):
            yield "index", with_parts(_at(parts, i, _plus(part, 1 if isinstance(part, ast.Name) else -1)))
        elif isinstance(part, ast.Slice):
            for field, step in (("lower", 1), ("upper", -1)):
                bound = getattr(part, field)
                if bound is not None and not isinstance(bound, (ast.Constant, ast.UnaryOp)):
                    yield "slice", with_parts(_at(parts, i, _with(part, **{field: _plus(bound, step)})))
    for i in range(len(parts) - 1):
        if isinstance(parts[i], ast.Name) and isinstance(parts[i + 1], ast.Name):
            yield "indices swapped", with_parts(_swapped_at(parts, i))


def _call(node: ast.Call):
    called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if called in NAMES:
        changed = {"id": NAMES[called]} if isinstance(node.func, ast.Name) else {"attr": NAMES[called]}
        yield "function", _with(node, func=_with(node.func, **changed))
    if called in ("range", "prange"):
        yield from _range(node)
    elif called in ("abs", "fast_exp", "exp", "log", "copy", "ascontiguousarray"):
        inner = node.args[0] if node.args else node.func.value
        yield "drop function", inner
    for i, keyword in enumerate(node.keywords):
        if keyword.arg in AXES and isinstance(keyword.value, (ast.Name, ast.BinOp)):
            new = _with(keyword, value=_plus(keyword.value, -1))
            yield "axis", _with(node, keywords=_at(node.keywords, i, new))


def _range(node: ast.Call):
    if len(node.args) == 1:
        (stop,) = node.args
        yield "range", _with(node, args=[ast.Constant(1), stop])
        yield "range", _with(node, args=[_plus(stop, -1)])
        return
    if not _is_int(node.args[0]):
        yield "range", _with(node, args=_at(node.args, 0, _plus(node.args[0], 1)))
    if not _is_int(node.args[1]):
        yield "range", _with(node, args=_at(node.args, 1, _plus(node.args[1], -1)))
        yield "range", _with(node, args=_at(node.args, 1, _plus(node.args[1], 1)))


def _gradients(node: ast.Return):
    if not isinstance(node.value, ast.Tuple):
        return
    elements = node.value.elts
    for i, each in enumerate(elements):
        zero = ast.BinOp(ast.Constant(0), ast.Mult(), each)
        yield "zero gradient", _with(node, value=_with(node.value, elts=_at(elements, i, zero)))
        yield "sign", _with(node, value=_with(node.value, elts=_at(elements, i, _negative(each))))
    for i in range(len(elements) - 1):
        yield "gradients swapped", _with(node, value=_with(node.value, elts=_swapped_at(elements, i)))


def _return(node: ast.Return):
    if node.value is not None and not isinstance(node.value, ast.Tuple):
        yield "sign", _with(node, value=_negative(node.value))


def _assign(node: ast.Assign):
    if isinstance(node.targets[0], ast.Subscript):
        yield "deleted", ast.Pass()
        # a negative zero would be no change
        if not ast.unparse(node.value).endswith(("type(0)", "type(0.0)")) and not _is_int(node.value):
            yield "sign", _with(node, value=_negative(node.value))


def _aug_assign(node: ast.AugAssign):
    yield "deleted", ast.Pass()
    if isinstance(node.op, (ast.Add, ast.Sub)):
        value = node.value if isinstance(node.op, ast.Add) else _negative(node.value)
        yield "no accumulation", ast.fix_missing_locations(ast.copy_location(ast.Assign([node.target], value), node))
    if type(node.op) in SWAPPED:
        yield "operator", _with(node, op=SWAPPED[type(node.op)]())


def _expr(node: ast.Expr):
    if isinstance(node.value, ast.Call):
        yield "deleted", ast.Pass()


_BY_KIND = {
    "BinOp": _bin_op, "UnaryOp": _unary_op, "BoolOp": _bool_op, "Compare": _compare, "Constant": _constant,
    "If": _if, "IfExp": _if, "While": _if, "Subscript": _subscript, "Call": _call, "Return": _return,
    "Assign": _assign, "AugAssign": _aug_assign, "Expr": _expr,
}  # fmt: skip
