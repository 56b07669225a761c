"""The language of docstrings, comments and pages: words of the field, summaries and arguments that open with a noun."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

import pytest

import gflownet_crystal

PACKAGE = Path(gflownet_crystal.__file__).parent
REPOSITORY = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))
PROGRAMS = [
    path
    for folder in ("benchmarks", "scripts", "examples", "docs", "tests")
    for path in (REPOSITORY / folder).rglob("*.py")
    if path != Path(__file__)
]
CARDS = sorted((PACKAGE / "weights").glob("*.json"))
TEMPLATES = sorted(PACKAGE.rglob("*.html"))
PAGES = sorted((REPOSITORY / "docs").glob("*.md"))
PAGES += [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md")]
CONFIGS = sorted((PACKAGE / "config").rglob("*.yaml"))
# packages whose functions users call with their own arguments
PUBLIC = ("api", "workflows", "config")

PRIVATE = re.compile(
    r"\b(anew|besides|alike|eats|lonel(y|iness)|hurr(y|ies|ied)|mend(s|ed|ing)?|hear(s|d|ing)?|to\s+the\s+bit|"
    r"(come|comes|came|coming|brought)\s+to\s+rest|at\s+rest)\b",
    flags=re.IGNORECASE,
)
# names, not prose: `code`, ``code`` and :func:`roles` within a text, the names of arguments before their description
NAMES = re.compile(r"(:\w+)?(`+)[^`]+?\2|^ +\w+:(?= )", flags=re.DOTALL | re.MULTILINE)
# blocks of code, front matter and the targets of links of a page
BLOCKS = re.compile(r"^ *```.*?^ *```|\A---\n.*?^---$|(?<=\]\()[^)]*(?=\))", flags=re.DOTALL | re.MULTILINE)
# units, not the letter of a family of formulas
ANGSTROM = re.compile(r"(^| |/)A(?=[,;^]|$| and degrees)")
# a number, or a value that is filled in, and the unit
LENGTH = re.compile(r"[\d}] A(?=[,;:^).]|$| (apart|thick|and|of|an?|to|are|in|beside)\b)")
# a clause in place of a noun: "what is kept" for "kept rows"
CLAUSE = re.compile(r"\bwhat\b", flags=re.IGNORECASE)
RELATIVE = re.compile(r"(of|as|where|which|what|how|so)\b", flags=re.IGNORECASE)
ARGUMENT = re.compile(r"^    ([\w*]+(?:, [\w*]+)*): (.*)$", flags=re.MULTILINE)

EARLIER = {
    "gflownet_crystal/config/moved.py": {"hurry"},
    "gflownet_crystal/proxies/base.py": {"eats"},
    "gflownet_crystal/models/gemsdiff/settings.py": {"mended"},
    "tests/config/test_moved.py": {"hurry"},
    "tests/proxies/test_broken_proxies.py": {"eats"},
    "tests/models/gemsdiff/test_model.py": {"mended"},
    "tests/cli/test_train_generator.py": {"mended"},
}
"""Old names that stored settings and classes of users may still have, by the modules that translate them or test it."""

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def private_words(text: str) -> list[str]:
    """Private words of a prose text, names left out."""
    return [match.group() for match in PRIVATE.finditer(NAMES.sub("", text))]


def docstrings(tree: ast.AST) -> Iterator[tuple[Documented, int, str]]:
    """Each documented object of a module with the line of its docstring and the text, indented as written."""
    for node in ast.walk(tree):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            yield node, node.body[0].lineno, text


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each comment of a module."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def attribute_texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of each string that stands alone: docstrings, and the documentation of constants."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.lineno, node.value.value


def messages(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of each string that is no documentation: errors, help, captions, keys and values."""
    formatted = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    inner = {id(part) for node in formatted for part in node.values}
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            text = "".join(parts)
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in inner | documented
        ):
            text = node.value
        else:
            continue
        yield node.lineno, text.replace("_", " ") if " " not in text else text


def identifiers(source: str) -> Iterator[tuple[int, str]]:
    """Line and words of each name of a module."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", token.string).strip()


def faults_of_module(source: str, earlier: Collection[str] = (), clauses: bool = True) -> list[str]:
    """Private words, and clauses in place of a noun, each with its line.

    Args:
        source: text of the module.
        earlier: old names that it may hold.
        clauses: whether docstrings and comments may hold no "what" anywhere; in tests they may, but not as an opening.
    """
    # most modules have none of the words anywhere, names and strings included, and need not be taken apart
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", source)
    sought = (PRIVATE, LENGTH, CLAUSE) if clauses else (PRIVATE, LENGTH)
    if not any(one.search(apart) for one in sought) and not re.search(r"\"\"\"\s*(What|How)\b", source):
        return []
    tree = ast.parse(source)
    texts = [*attribute_texts(tree), *comments(source), *messages(tree), *identifiers(source)]
    found = [f"{line}: {word}" for line, text in texts if text not in earlier for word in private_words(text)]
    openings = ((line, re.match(r"\s*(What|How)\b", text)) for line, text in attribute_texts(tree))
    found += [f"{line}: opens with {match.group(1)}" for line, match in openings if match]
    spoken = [(line, text) for line, text in messages(tree) if " " in text]
    prose = [*attribute_texts(tree), *comments(source), *spoken] if clauses else []
    found += [f"{line}: clause with what" for line, text in prose if CLAUSE.search(NAMES.sub("", text))]
    return found + [f"{line}: A for Å" for line, text in texts if LENGTH.search(text)]


def faults_of_arguments(source: str) -> list[str]:
    """Entries of Args and Attributes of public objects that open with a clause or a preposition."""
    found = []
    for node, line, text in docstrings(ast.parse(source)):
        if isinstance(node, ast.Module) or node.name.startswith("_"):
            continue
        for section in re.findall(
            r"^(?:Args|Attributes):\n((?:(?: .*)?\n)*(?: .*)?)", text, flags=re.MULTILINE
        ):
            entries = ARGUMENT.findall(section)
            found += [f"{line}: {name}: {words}" for name, words in entries if RELATIVE.match(words)]
    return found


def faults_of_page(text: str) -> list[str]:
    """Private words of a Markdown page, each with its line."""
    kept = BLOCKS.sub(lambda block: "\n" * block.group().count("\n"), text)
    kept = NAMES.sub(lambda name: "\n" * name.group().count("\n"), kept)
    return [
        f"{kept.count(chr(10), 0, found.start()) + 1}: {found.group()}" for found in PRIVATE.finditer(kept)
    ]


def faults_of_data(text: str) -> list[str]:
    """Private words, clauses in comments, and Å written as A, of a YAML or JSON file, each with its line."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.replace("_", " ").replace(":", " ")
        found += [f"{number}: {word}" for word in private_words(words)]
        comment = line.partition("#")[2]
        found += [f"{number}: A for Å" for _ in ANGSTROM.finditer(comment)]
        found += [f"{number}: clause with what" for _ in CLAUSE.finditer(comment)]
    return found


def faults(paths: list[Path], of_text: Callable[[str], list[str]]) -> list[str]:
    """Faults of files, each with the file's name."""
    assert paths
    return [
        f"{path.relative_to(REPOSITORY)}:{fault}"
        for path in paths
        for fault in of_text(path.read_text(encoding="utf-8"))
    ]


def faults_of_modules(paths: list[Path]) -> list[str]:
    """Faults of modules, old names left out where they are translated."""
    return [
        fault
        for path in paths
        for fault in faults(
            [path],
            partial(
                faults_of_module,
                earlier=EARLIER.get(str(path.relative_to(REPOSITORY)), ()),
                clauses=REPOSITORY / "tests" not in path.parents,
            ),
        )
    ]


def test_docstrings_and_comments_have_no_private_words_and_summaries_open_with_a_noun() -> None:
    assert not faults_of_modules(MODULES)


def test_programs_have_no_private_words_and_summaries_open_with_a_noun() -> None:
    assert not faults_of_modules(PROGRAMS)


def test_templates_of_the_report_have_no_private_words() -> None:
    assert not faults(TEMPLATES, faults_of_page)


def test_pages_have_no_private_words() -> None:
    assert not faults(PAGES, faults_of_page)


@pytest.mark.parametrize("paths", [CONFIGS, CARDS])
def test_configuration_and_cards_have_no_private_words_and_write_angstroms(paths: list[Path]) -> None:
    assert not faults(paths, faults_of_data)


@pytest.mark.parametrize("package", PUBLIC)
def test_arguments_of_public_functions_open_with_a_noun(package: str) -> None:
    assert not faults(sorted((PACKAGE / package).rglob("*.py")), faults_of_arguments)


def test_each_kind_of_fault_is_found() -> None:
    module = '"""What a module holds."""\n\nspeed = 3  # drawn anew\nWIDTH = 2\n'
    module += '"""Of atoms at\nrest, with ``hurry``.\n\n    hurry: number.\n"""\n'
    module += 'print(f"{speed} lonely atoms, `eats`", "lonely")\nmax_hurry = 1\n'
    assert faults_of_module(module) == [
        "5: at\nrest", "3: anew", "10: lonely", "10: lonely", "11: hurry", "1: opens with What",
        "1: clause with what",
    ]  # fmt: skip
    clause = 'X = 1  # what\n"""Rows of what is kept.\n\n    what: name of ``what``.\n"""\n'
    assert faults_of_module(clause) == ["2: clause with what", "1: clause with what"]
    assert not faults_of_module(clause, clauses=False)
    assert faults_of_module('print("keep what is done", "what")\n') == ["1: clause with what"]
    assert faults_of_module("class HurryStep:\n    pass\n") == ["1: Hurry"]
    assert faults_of_module('NAME = "hurry"\n') == ["1: hurry"] and not faults_of_module(
        'N = "hurry"\n', ["hurry"]
    )
    assert faults_of_module('print(f"atoms {d} A apart, 3 A sites")\n') == ["1: A for Å"]
    assert faults_of_module('X = 1\n"""How far it is."""\n') == ["2: opens with How"]
    function = 'def f(a, b, c):\n    """Sum.\n\n    Args:\n        a: of the cell.\n        b: number.\n'
    function += '            so on.\n        c: where to go.\n\n    Returns:\n        d: of it.\n    """\n'
    assert faults_of_arguments(function) == ["2: a: of the cell.", "2: c: where to go."]
    assert faults_of_arguments(function.replace("Args", "Attributes")) == faults_of_arguments(function)
    assert not faults_of_arguments(function.replace("def f", "def _f"))
    assert faults_of_page("# A\n\n`anew`\n\n```bash\nanew\n```\nBesides this.\n") == ["8: Besides"]
    assert faults_of_data("max_hurry: 1  # velocities\n") == ["1: hurry"]
    assert faults_of_data("what: 1  # what is kept\n") == ["1: clause with what"]
    assert faults_of_data("recipe: quick  # velocities hurry; `hurry` stays\n") == ["1: hurry"]
    assert faults_of_data("d: 1  # longest edge, A\nf: 1  # eV/A, force\ng: null  # {A:[Li]}, A site\n") == [
        "1: A for Å",
        "2: A for Å",
    ]
