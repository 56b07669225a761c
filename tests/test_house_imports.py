"""The floors of the package, and the links to its extension points."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gflownet_crystal

PACKAGE = Path(gflownet_crystal.__file__).parent
REPOSITORY = PACKAGE.parent
LINKS = ("envs", "proxies", "policies", "config")

# a package imports from floors below its own, and on its own floor only what NEIGHBOURS says
FLOORS = (
    {"common"},
    {"crystallography"},
    {"structures"},
    {"models", "data", "weights"},
    {"envs", "policies", "proxies", "generators"},
    {"gflownet", "training", "relaxation", "evaluation", "report", "testing"},
    {"workflows"},
    {"config"},
    {"cli", "api"},
)
# policies read the actions of environments, which is part of the environments' contract
NEIGHBOURS = {"policies": {"envs.base"}, "proxies": {"generators.base"}, "generators": {"proxies.base"}}
NEIGHBOURS |= {
    "evaluation": {"gflownet", "relaxation.inputs"},
    "testing": {"gflownet"},
    "training": {"gflownet"},
    "models": {"data", "weights"},
}
NEIGHBOURS |= {
    "data": {"models.energies.potentials"},
    "report": {"evaluation.matching", "evaluation.parallel"},
}
# all that the learning machinery may know of its parts: their contracts
CONTRACTS = ("common", "envs.base", "policies", "proxies.base", "proxies.reward", "gflownet")
# the engine of all trainings, and the training of samplers by it
ENGINE = ("training.base", "training.distributed", "training.engine", "training.loggers", "training.optimizer",
          "training.random_states", "training.schedule", "training.samplers")  # fmt: skip

MODULES = sorted(PACKAGE.rglob("*.py"))


def floor_of(package: str) -> int:
    return next(level for level, packages in enumerate(FLOORS) if package in packages)


def imported_by(path: Path) -> list[str]:
    """Names inside the package that a module imports, anywhere in its text, without the package's own name."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    inside = [name for name in names if name.startswith("gflownet_crystal.")]
    return [name.removeprefix("gflownet_crystal.") for name in inside if not name.endswith(".__version__")]


def starts_with(name: str, prefixes: set[str] | tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{prefix}.") for prefix in prefixes)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_never_go_up_nor_sideways(path):
    parts = path.relative_to(PACKAGE).parts
    if len(parts) == 1:
        # python -m gflownet_crystal opens the same door as the scripts; the package's own names are those of api
        allowed = "cli.main.main" if parts == ("__main__.py",) else "api"
        assert [name for name in imported_by(path) if not starts_with(name, (allowed,))] == []
        return
    own = parts[0]
    for name in imported_by(path):
        package = name.split(".")[0]
        below = floor_of(package) < floor_of(own)
        assert below or package == own or starts_with(name, NEIGHBOURS.get(own, set())), (
            f"{own} imports {name}"
        )


def learning_machinery() -> list[Path]:
    """Modules of gflownet/, of the engine, and of the training of samplers."""
    names = {path: ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in MODULES}
    return [path for path, name in names.items() if starts_with(name, ("gflownet", *ENGINE))]


@pytest.mark.parametrize("path", learning_machinery(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_learning_machinery_knows_only_contracts(path):
    above = () if path.parent.name == "gflownet" else ENGINE
    assert [name for name in imported_by(path) if not starts_with(name, (*CONTRACTS, *above))] == []


def test_every_package_stands_on_a_floor():
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages <= set().union(*FLOORS)


@pytest.mark.parametrize("name", LINKS)
def test_links_lead_into_the_package(name):
    link = REPOSITORY / name
    assert link.is_symlink()
    assert link.readlink() == Path("gflownet_crystal") / name
    assert link.resolve() == (PACKAGE / name).resolve()


@pytest.mark.parametrize("statement", [*(f"import {name}" for name in LINKS), "import envs.base"])
def test_imports_under_a_bare_name_are_refused(statement):
    ended = subprocess.run(
        [sys.executable, "-c", statement], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    name = statement.split()[1].split(".")[0]
    assert f"ImportError: import gflownet_crystal.{name}, not {name}" in ended.stderr
