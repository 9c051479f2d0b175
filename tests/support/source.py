"""What the source says of itself: modules, what each imports, how long its functions are."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.support.paths import ROOT

HOMES = {"keenkite": ROOT / "keenkite", "keenkite_server": ROOT / "server" / "keenkite_server"}
"""Top package -> its folder."""


@cache
def modules() -> Mapping[str, Path]:
    """Name -> file of every module of ours; a package by its own name."""
    found = {}
    for top, home in HOMES.items():
        for path in sorted(home.rglob("*.py")):
            parts = (top, *path.relative_to(home).with_suffix("").parts)
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text("utf-8"))


@cache
def imports(name: str) -> frozenset[str]:
    """Every module that a module imports, anywhere in it: ours as they are called, others' whole.

    `from package import name` is an import of the module of that name, where there is one, and
    of the package otherwise.
    """
    found = set()
    package = name if modules()[name].stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            stem = ".".join(
                [*(base if node.level else []), *([node.module] if node.module else [])]
            )
            members = {f"{stem}.{alias.name}" for alias in node.names}
            ours = members & modules().keys()
            found |= ours
            if len(ours) < len(members):
                found.add(stem)
    return frozenset(found - {name})


def functions(name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a module."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def circles() -> list[list[str]]:
    """Modules that import each other, round whatever way: each circle once, sorted (Tarjan)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = low[name] = len(number)
        stack.append(name)
        for other in imports(name) & modules().keys():
            if other not in number:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], number[other])
        if low[name] == number[name]:
            at = stack.index(name)
            circle, stack[at:] = stack[at:], []
            if len(circle) > 1:
                found.append(sorted(circle))

    for name in modules():
        if name not in number:
            visit(name)
    return found
