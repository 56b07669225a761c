"""Pages of the documentation done as they say: their files written into an empty folder, their commands run."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cli.commands import run_command, run_words

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
FENCE = re.compile(r'^```(\w+)(?: title="(.*?)")?\n(.*?)^```', flags=re.DOTALL | re.MULTILINE)


def text_of(page: str) -> str:
    """The text of a page of the documentation."""
    return (DOCS / page).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[tuple[str, str]]:
    """Titles (empty for none) and texts of the blocks of a page in a language."""
    return [(title, block) for name, title, block in FENCE.findall(text) if name == language]


def commands(text: str) -> list[str]:
    """Commands of the bash blocks of a page, one a line, without comments."""
    joined = "\n".join(block.replace("\\\n", " ") for _, block in blocks(text, "bash"))
    lines = [line.split("  #")[0].strip() for line in joined.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def write_files(page: str, folder: Path) -> None:
    """Write every titled block of a page as the file it names."""
    for _, title, block in FENCE.findall(text_of(page)):
        if title:
            path = folder / title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block, encoding="utf-8")


def run_page(page: str, folder: Path, smaller: Mapping[str, Sequence[str]]) -> None:
    """Write the files of a page and run its commands with the package of this checkout.

    Args:
        page: name in the documentation.
        folder: an empty one.
        smaller: settings added by verb, so that a command takes seconds. What a run was trained with is not said again
            where it goes on (``resume=true``).
    """
    write_files(page, folder)
    for command in commands(text_of(page)):
        program, *words = shlex.split(command)
        if program == "python":
            ended = run_words(folder, [sys.executable, *words])
        else:
            assert program == "gflownet-crystal"
            verb = f"{words[0]} resume=true" if "resume=true" in words else words[0]
            ended = run_command(folder, *words, *smaller.get(verb, ()))
        assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
