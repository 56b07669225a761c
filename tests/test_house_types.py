"""Signatures say what they take and give: no ``Any`` where types are promised."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gflownet_crystal

PACKAGE = Path(gflownet_crystal.__file__).parent
TYPED = ("envs",)


def signatures_with(name: str, source: str) -> list[str]:
    """Functions, and fields of classes, whose annotations hold a name."""

    def holds(*hints: ast.expr | None) -> bool:
        return any(
            isinstance(node, ast.Name) and node.id == name
            for hint in hints
            if hint
            for node in ast.walk(hint)
        )

    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = node.args
            each = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            if holds(node.returns, *(argument.annotation for argument in each if argument)):
                found.append(node.name)
        elif isinstance(node, ast.ClassDef):
            fields = [item for item in node.body if isinstance(item, ast.AnnAssign)]
            found += [f"{node.name}.{ast.unparse(item.target)}" for item in fields if holds(item.annotation)]
    return found


def test_a_hole_in_a_signature_is_found():
    source = """
class Record:
    values: dict[str, Any]
    name: str
    def read(self, *rows: Any) -> int: ...
    def told(self, rows: list[int]) -> Any: ...
    def plain(self, any: int = 0) -> None:
        inside: Any = any
"""
    assert sorted(signatures_with("Any", source)) == ["Record.values", "read", "told"]


@pytest.mark.parametrize("folder", TYPED)
def test_no_signature_holds_any(folder):
    files = sorted((PACKAGE / folder).rglob("*.py"))
    assert files
    found = {str(path.relative_to(PACKAGE)): signatures_with("Any", path.read_text()) for path in files}
    assert {path: names for path, names in found.items() if names} == {}
