"""The documentation: every page is found, every link leads somewhere, every command exists, and the site builds."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gflownet_crystal.cli.main import VERBS, split_options
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.compose import compose_config
from tests.own_pages import DOCS, REPOSITORY, commands, write_files

PAGES = sorted(path.relative_to(REPOSITORY).as_posix() for path in DOCS.rglob("*.md"))
READ = ["README.md", *PAGES]
NOTEBOOK = "docs/notebook.ipynb"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```", flags=re.DOTALL | re.MULTILINE)
# the doors to a verb; what follows is the verb and its settings
DOORS = (("gflownet-crystal",), ("python", "-m", "gflownet_crystal"))


def prose(page: str) -> str:
    """A page without its blocks of code."""
    return CODE.sub("", (REPOSITORY / page).read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """Names of the headings of a page, as both the site and GitHub make them."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", path.read_text(encoding="utf-8")), flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"\s+", "-", text) for text in plain}


def nav_entries(node: Any) -> Iterator[str]:
    """Files named in the navigation of the site."""
    if isinstance(node, str):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nav_entries(inner)


def said_commands(page: str) -> list[list[str]]:
    """The words of all commands of a page: lines of its bash blocks, and code within its text that begins like one."""
    lines = commands((REPOSITORY / page).read_text(encoding="utf-8"))
    quoted = [text.replace("\\|", "|") for text in re.findall(r"`([^`\n]+)`", prose(page))]
    lines += [text for text in quoted if re.match(r"(gflownet-crystal|python|torchrun) ", text)]
    # as in: sample run=DIR
    lines += [
        f"gflownet-crystal {text}"
        for text in quoted
        if text.split()[0] in VERBS and re.fullmatch(r"\w+( [\w.@+]+=[^=\s]+)+", text)
    ]
    return [shlex.split(line) for line in lines]


def verb_and_settings(words: list[str]) -> list[str] | None:
    """Verb and settings of a command; None for another program, or where the verb is a word for any."""
    if words[0] == "torchrun":
        words = ["python", *words[words.index("-m") :]]
    # NAME=value before a command
    words = words[next(i for i, word in enumerate(words) if not re.fullmatch(r"[A-Z_]+=.*", word)) :]
    for door in DOORS:
        if tuple(words[: len(door)]) == door:
            found = words[len(door) :]
            break
    else:
        script = re.fullmatch(r"(?:.*/)?scripts/(\w+)\.py", words[1]) if words[0] == "python" else None
        if script is None:
            return None
        found = [script[1], *words[2:]]
    return found if found and found[0] not in ("VERB", "--help") else None


@pytest.mark.parametrize("page", READ)
def test_links_and_anchors_lead_somewhere(page):
    path = REPOSITORY / page
    wrong = []
    for target in LINK.findall(prose(page)):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        if not place.exists() or (anchor and anchor not in anchors(place)):
            wrong.append(target)
    assert wrong == []


def test_every_page_is_in_the_navigation_and_the_other_way_round():
    text = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    entries = list(nav_entries(yaml.safe_load(text)["nav"]))
    assert sorted(f"docs/{entry}" for entry in entries) == sorted([*PAGES, NOTEBOOK])


@pytest.mark.parametrize("page", READ)
def test_commands_are_verbs_with_keys_that_exist(page, tmp_path, monkeypatch):
    if page.startswith("docs/own_"):
        # their configs of the user's own
        write_files(Path(page).name, tmp_path)
    monkeypatch.chdir(tmp_path)
    wrong = []
    for words in said_commands(page):
        found = verb_and_settings(words)
        if found is None:
            continue
        verb, *rest = found
        if verb == "help":
            assert rest[0] in (*VERBS, "VERB")
            continue
        try:
            assert verb in VERBS
            settings, own, _ = split_options(rest)
            # one of several choices, as in proxy=chgnet|sevenn
            first = [setting.split("|")[0] for setting in settings]
            compose_config(verb, [setting.replace("[...]", "[one]") for setting in first], own)
        except (AssertionError, ConfigError) as error:
            wrong.append(f"{shlex.join(words)}: {error}")
    assert wrong == []


@pytest.mark.parametrize("page", READ)
def test_programs_of_the_repository_exist(page):
    wrong = []
    for words in said_commands(page):
        names = re.findall(
            r"(?:^|\s)(?:-m )?((?:benchmarks|docs|scripts)[./](?!VERB)\w+)(?:\.py)?\b", " ".join(words)
        )
        wrong += [name for name in names if not (REPOSITORY / f"{name.replace('.', '/')}.py").is_file()]
    assert wrong == []


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built with every warning an error and no way to the network."""
    for name in ("mkdocs", "material", "mkdocstrings", "mkdocs_jupyter"):
        pytest.importorskip(name, reason="pip install -e '.[docs]'")
    out = tmp_path_factory.mktemp("site")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=REPOSITORY,
        env=os.environ | nowhere | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert built.returncode == 0, built.stderr
    return out


def test_the_site_has_every_page_and_reads_nothing_from_elsewhere(site):
    for page in PAGES:
        html = (site / page.removeprefix("docs/")).with_suffix(".html").read_text(encoding="utf-8")
        assert re.findall(r'(?:src|<link[^>]*href)="?(?:https?:)?//[^"]*', html) == []
    assert not list(site.rglob("*.py"))


def test_the_site_shows_the_notebook_with_its_outputs(site):
    html = (site / "notebook.html").read_text(encoding="utf-8")
    cells = json.loads((REPOSITORY / NOTEBOOK).read_text(encoding="utf-8"))["cells"]
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    assert len(outputs) >= 5
    for data in outputs:
        tables = re.findall(r"<td>[^<]+</td>", "".join(data.get("text/html", "")))
        assert all(cell in html for cell in tables)
    images = [data["image/png"].strip() for data in outputs if "image/png" in data]
    assert images
    assert all("".join(image.split()) in "".join(html.split()) for image in images)
    # kept beside the page, to be opened in Jupyter
    assert (site / "notebook.ipynb").is_file()


def test_the_reference_has_the_contracts_with_their_docstrings(site):
    html = (site / "api" / "contracts.html").read_text(encoding="utf-8")
    for name in (
        "envs.base.Stage.step",
        "policies.base.Policy",
        "proxies.base.Proxy.predict",
        "generators.base.Generator",
    ):
        assert f'id="gflownet_crystal.{name}"' in html
    assert "testing.generator.check_generator" in html
    assert not re.search(r":(mod|class|func|meth):", html)


def test_the_search_works_in_a_page_that_is_opened_as_a_file(site):
    assert (site / "search" / "search_index.js").read_text(encoding="utf-8").startswith("var __index = {")
    for page, up in (("index.html", ""), ("api/contracts.html", "../")):
        html = (site / page).read_text(encoding="utf-8")
        assert re.search(rf'<script src="?{re.escape(up)}javascripts/iframe-worker.js', html)
        # by the system's colours, light, dark
        assert len(re.findall(r"data-md-color-media", html)) >= 3


def test_the_index_of_the_search_finds_words_of_every_page(site):
    text = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    found = {
        entry["location"].partition("#")[0]
        for entry in json.loads(text.removeprefix("var __index = "))["docs"]
    }
    assert {page.removeprefix("docs/").replace(".md", ".html") for page in PAGES} <= found | {""} | {
        "index.html"
    }
