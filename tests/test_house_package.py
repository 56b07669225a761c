"""The tree is built and installed as it stands, and the tree keeps its own rules."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import pytest

import gflownet_crystal
from gflownet_crystal.cli.main import VERBS

PACKAGE = Path(gflownet_crystal.__file__).parent
REPOSITORY = PACKAGE.parent
LINKS = {"envs", "proxies", "policies", "config"}
MAX_LINES = 300
HOMES = ("work", "opt", "home", "root", "Users", "mnt", "scratch", "data", "var")

BUILD = """
import sys
from setuptools import build_meta
out = sys.argv[1]  # building replaces the arguments
build_meta.build_wheel(out)
build_meta.build_sdist(out)
"""


def tracked_files() -> list[Path]:
    """Files of the repository that git knows, without the links; all files where there is no git."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    names = [name for name in listed.stdout.split("\0") if name]
    paths = [REPOSITORY / name for name in names] or list(PACKAGE.rglob("*"))
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the source archive, built in a copy of the repository without network."""
    copy, out = tmp_path_factory.mktemp("copy") / "repository", tmp_path_factory.mktemp("out")
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, copy)
    shutil.copytree(PACKAGE, copy / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in LINKS:
        (copy / name).symlink_to(f"gflownet_crystal/{name}")
    subprocess.run([sys.executable, "-c", BUILD, str(out)], cwd=copy, check=True, capture_output=True)
    return out


def test_the_wheel_holds_the_modules_and_data_files_of_the_tree(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    tree = {str(path.relative_to(REPOSITORY)) for path in PACKAGE.rglob("*") if path.is_file()}
    assert packed == {name for name in tree if "__pycache__" not in name}


def test_the_source_archive_holds_the_package_and_not_the_links(built):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = [Path(name).parts[1:] for name in opened.getnames()]
    tops = {parts[0] for parts in names if parts}
    assert {"gflownet_crystal", "LICENSE", "README.md", "pyproject.toml"} <= tops
    assert not tops & LINKS


def test_the_console_command_is_that_of_the_scripts(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert "gflownet-crystal = gflownet_crystal.cli.main:main" in archive.read(name).decode()


def test_dependencies_are_ranges_without_an_upper_end():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    assert [text for text in wanted if not re.fullmatch(r"[a-z0-9-]+>=[0-9.]+", text)] == []


def test_every_third_party_import_is_a_dependency():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    names = ("potentials", "phonons", "evaluate", "wandb", "pyxtal", "cluster", "mpi")
    extras = [project["optional-dependencies"][name] for name in names]
    declared = {text.split(">=")[0] for text in chain(project["dependencies"], *extras)}
    names = {
        "scikit-learn": "sklearn",
        "hydra-core": "hydra",
        "pyyaml": "yaml",
        "typing-extensions": "typing_extensions",
    }
    # _typeshed is known to type checkers alone
    declared = {names.get(name, name) for name in declared} | {"gflownet_crystal", "_typeshed"}
    pattern = re.compile(r"^\s*(?:from|import) ([A-Za-z_]\w*)", re.MULTILINE)
    code = "\n".join(
        re.sub(r'""".*?"""', "", text_of(path), flags=re.DOTALL) for path in PACKAGE.rglob("*.py")
    )
    assert set(pattern.findall(code)) - set(sys.stdlib_module_names) <= declared


def imported_at_the_top(tree: ast.Module) -> set[str]:
    """Packages that a module imports where it is itself imported."""
    names = [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def test_modules_of_the_plain_installation_import_no_extra():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    names = {
        "scikit-learn": "sklearn",
        "hydra-core": "hydra",
        "pyyaml": "yaml",
        "typing-extensions": "typing_extensions",
    }
    plain = {names.get(name, name) for name in (text.split(">=")[0] for text in project["dependencies"])}
    assert {"wandb", "pyxtal", "pytest"} <= {*project["optional-dependencies"]} - plain
    known = plain | {"gflownet_crystal", *sys.stdlib_module_names}
    found = {path: imported_at_the_top(ast.parse(text_of(path))) - known for path in PACKAGE.rglob("*.py")}
    assert {str(path): more for path, more in found.items() if more} == {}


def test_no_file_names_a_place_on_one_machine():
    pattern = re.compile(r"(?<![\w.:/}])/(?:" + "|".join(HOMES) + r")/\w")
    named = {str(path.relative_to(REPOSITORY)): pattern.findall(text_of(path)) for path in tracked_files()}
    assert {name: found for name, found in named.items() if found} == {}


def test_files_stay_short_enough_to_read():
    lengths = {path: text_of(path).count("\n") for path in tracked_files() if path.suffix == ".py"}
    assert {str(path): lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def public_members(module) -> list[tuple[str, object]]:
    """Public functions, classes, methods and properties that a module defines."""
    found: list[tuple[str, object]] = []
    for name, member in vars(module).items():
        if name.startswith("_") or getattr(member, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(member):
            found += [
                (f"{name}.{attribute}", getattr(member, attribute))
                for attribute, value in vars(member).items()
                if not attribute.startswith("_")
                and (inspect.isfunction(value) or isinstance(value, property | classmethod))
            ]
        if inspect.isclass(member) or inspect.isfunction(member):
            found.append((name, member))
    return found


@pytest.mark.parametrize(
    "name", [info.name for info in pkgutil.walk_packages([str(PACKAGE)], "gflownet_crystal.")]
)
def test_public_objects_are_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__
    undocumented = [
        member
        for member, thing in public_members(module)
        if not (inspect.getdoc(thing) or inherits_doc(module, member))
    ]
    assert undocumented == []


def inherits_doc(module, member: str) -> bool:
    """Whether a class above documents the method or property of that name."""
    owner, _, attribute = member.partition(".")
    bases = inspect.getmro(getattr(module, owner)) if attribute else ()
    return any(inspect.getdoc(vars(base).get(attribute)) for base in bases if attribute in vars(base))


def shell_commands(text: str) -> list[str]:
    """Lines of the bash blocks of a page."""
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    lines = [
        line.split("  #")[0].strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()
    ]
    return [" ".join(line.split()) for line in lines if line and not line.startswith("#")]


def test_the_checks_install_and_test_as_the_readme_says():
    script = [line.strip() for line in (REPOSITORY / ".ci" / "run").read_text().splitlines()]
    commands = shell_commands((REPOSITORY / "README.md").read_text())
    said = [line for line in commands if line.startswith(("pip install", "python -m pytest"))]
    run = [line for line in script if line.startswith(("pip install", "python -m pytest"))]
    assert run
    assert set(run) <= set(said)


def test_the_verbs_are_one_list():
    verbs = set(VERBS)
    listed = re.findall(r"^\| `(\w+)` \|", (REPOSITORY / "README.md").read_text(), flags=re.MULTILINE)
    assert {path.stem for path in (REPOSITORY / "scripts").glob("[!_]*.py")} == verbs
    assert sorted(listed) == sorted(verbs)
    for verb in verbs:
        assert callable(importlib.import_module(f"gflownet_crystal.cli.{verb}").run)
        assert (PACKAGE / "config" / f"{verb}.yaml").is_file()


@pytest.mark.parametrize(
    "page", ["README.md", "CHANGELOG.md", *(f"docs/{p.name}" for p in (REPOSITORY / "docs").glob("*.md"))]
)
def test_links_between_pages_lead_somewhere(page):
    path = REPOSITORY / page
    targets = re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
    local = [target for target in targets if not target.startswith(("http://", "https://"))]
    assert [target for target in local if not (path.parent / target).exists()] == []
