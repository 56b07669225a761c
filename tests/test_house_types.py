"""Signatures say what they take and give: no ``Any`` where types are promised; no configuration below ``config``."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

import gflownet_crystal
from gflownet_crystal.cli.main import VERBS
from gflownet_crystal.common import run_schema

PACKAGE = Path(gflownet_crystal.__file__).parent
TYPED = ("envs", "workflows", "config", "cli")
# a configuration ends in config, which makes settings and objects of it
CONFIGURED = ("config",)
# it reads the text of a configuration
READERS = {"common/yaml_files.py": ["read_yaml"]}
# names of columns that are words of the language too
WORDS = {"energy", "formula", "space_group", "volume_per_atom", "status", "reason", "rank", "cif"}
# of these, the names of columns alone in subscripts; an energy and a group are also names of tensors
COLUMNS = {"formula", "status", "reason", "rank", "cif"}
TABLES = ("data", "proxies", "evaluation", "relaxation", "report", "structures", "training")
# these know runs of any kind
ENGINES = ("training", "gflownet")


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
    assert not [(path.name, name) for path in files for name in signatures_with("Any", path.read_text())]


def test_mypy_is_strict_on_the_whole_package():
    told = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["mypy"]
    assert told["strict"] is True and "gflownet_crystal" in told["files"]
    loosened = {key for one in told["overrides"] for key, value in one.items() if value and key != "module"}
    # packages without types, and nothing of this one
    assert loosened == {"ignore_missing_imports", "implicit_reexport"}
    modules = [name for one in told["overrides"] for name in one["module"]]
    assert not any(name.startswith("gflownet_crystal") for name in modules)


def test_no_signature_outside_config_holds_a_configuration():
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE)
        if place.parts[0] not in CONFIGURED:
            found[str(place)] = signatures_with("DictConfig", path.read_text())
    assert {path: names for path, names in found.items() if names} == READERS


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_reads_its_configuration_as_settings(verb):
    source = (PACKAGE / "cli" / f"{verb}.py").read_text()
    taking = set(signatures_with("Request", source))
    assert "run" in taking and taking <= {"run", "settings_of", "export"}


def test_names_of_files_and_columns_stand_in_the_schema_alone():
    names = {value for name, value in vars(run_schema).items() if name.isupper()} - WORDS
    assert {"samples.parquet", "e_above_hull"} <= names
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        # the template of the page and the file made of it have one name
        typed = [one for one in _texts(path) if one in names and one != run_schema.REPORT]
        if typed and path.relative_to(PACKAGE).parts[0] not in ENGINES and path.name != "run_schema.py":
            found[str(path.relative_to(PACKAGE))] = typed
    assert found == {}


def test_columns_are_named_by_the_schema():
    source = 'table["formula"], table[["rank", STATUS]], table["lattice"], tensors["space_group"]'
    assert sorted(_subscripts(source)) == ["formula", "rank"]
    files = [path for folder in TABLES for path in sorted((PACKAGE / folder).rglob("*.py"))]
    found = {str(path.relative_to(PACKAGE)): _subscripts(path.read_text()) for path in files}
    assert {path: names for path, names in found.items() if names} == {}


def _subscripts(source: str) -> list[str]:
    """Names of columns written out in subscripts."""
    slices = [node.slice for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Subscript)]
    parts = [part for each in slices for part in (each.elts if isinstance(each, ast.List) else [each])]
    return [part.value for part in parts if isinstance(part, ast.Constant) and part.value in COLUMNS]


def _texts(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
