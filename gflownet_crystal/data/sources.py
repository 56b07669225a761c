"""Files of crystals in a file or folder, their kinds, and names that tell them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import (
    CANDIDATES,
    EVALUATION,
    EVALUATION_CSV,
    JUDGED,
    LEFT_OUT,
    RELAXED,
    RELAXED_CSV,
    SAMPLES,
    SAMPLES_CSV,
    SETTINGS,
    STRUCTURES,
    SUMMARY,
    UNPLACED,
)
from gflownet_crystal.data.public_sets import data_path

SUFFIXES = {
    ".cif": "cif",
    ".parquet": "parquet",
    ".csv": "csv",
    ".json": "json",
    ".json.gz": "json",
    ".xyz": "xyz",
    ".extxyz": "xyz",
    ".db": "db",
    ".vasp": "poscar",
    ".poscar": "poscar",
    ".pt": "tensors",
    ".pth": "tensors",
}
"""Kinds of files by the end of their names, in any letter case."""

VASP_NAMES = ("POSCAR", "CONTCAR")
"""Files whose names begin so, in any letter case, and have no end of ``SUFFIXES``, are VASP's."""

KINDS = ".cif, .parquet, .csv, .json, .json.gz, .xyz, .extxyz, .db, .vasp, .pt, or a POSCAR or CONTCAR"

_OWN_TABLES = (STRUCTURES, RELAXED)
_OF_CANDIDATES = (CANDIDATES, LEFT_OUT, SUMMARY)
# tables beside crystals that verbs of this package write, which hold none
_NO_CRYSTALS = (
    CANDIDATES, RELAXED_CSV, UNPLACED, JUDGED, EVALUATION_CSV, LEFT_OUT, SETTINGS,
    SUMMARY, EVALUATION, "candidates.parquet", SAMPLES, SAMPLES_CSV,
)  # fmt: skip


@dataclass(frozen=True)
class SourceFile:
    """A file of crystals.

    Attributes:
        path: path of the file.
        kind: a value of ``SUFFIXES``.
        name: name of its crystal, or the beginning of those of its crystals; unique in its source.
    """

    path: Path
    kind: str
    name: str


def kind_of(path: Path) -> str | None:
    """The kind of a file by its name; None for one that holds no crystals."""
    lower = path.name.lower()
    for suffix, kind in SUFFIXES.items():
        if lower.endswith(suffix):
            return kind
    return "poscar" if lower.startswith(tuple(name.lower() for name in VASP_NAMES)) else None


def source_files(source: Path | str) -> list[SourceFile]:
    """Files of crystals that a path is or holds.

    Args:
        source: a file, the name of a public data set that was fetched, or a folder, which is looked through with its
            subfolders. Names that begin with a dot are passed
            over, and tables that verbs of this package write beside crystals. Of a folder that ``generate`` or
            ``relax`` made, its table is taken, which holds all of its crystals; of a folder of candidates, its CIFs.

    Returns:
        At least one, in the order of their paths.

    Raises:
        DataError: nothing there, or nothing of a known kind.
    """
    path = data_path(source)
    if not path.is_dir():
        if not path.is_file():
            raise DataError(f"no data at {path}; give a file or a folder")
        kind = kind_of(path)
        if kind is None:
            raise DataError(f"cannot read {path}: give {KINDS}")
        return [SourceFile(path, kind, _stem(path))]
    own = _own_outputs(path)
    wanted = sorted(file for file in path.rglob("*") if _is_wanted(file, path))
    candidates = _folders_of_candidates(path)
    files = [
        file
        for file in wanted
        if all(own.get(parent, file) == file for parent in file.parents)
        and all(_is_candidate(file, parent) for parent in candidates.intersection(file.parents))
    ]
    if not files:
        raise DataError(f"{path} has no files of crystals ({KINDS}); give a folder with data")
    return [
        SourceFile(file, kind_of(file) or "", name)
        for file, name in zip(files, _names(files, path), strict=True)
    ]


def files_of_all(sources: Iterable[Path | str]) -> list[list[SourceFile]]:
    """Files of several sources; files of equal names are named by their whole paths.

    Raises:
        DataError: a source holds no files.
    """
    found = [source_files(source) for source in sources]
    count = Counter(file.name for files in found for file in files)
    return [
        [file if count[file.name] == 1 else replace(file, name=file.path.as_posix()) for file in files]
        for files in found
    ]


def _own_outputs(folder: Path) -> dict[Path, Path]:
    """Folders in a folder, itself included, that ``generate`` or ``relax`` made, with the table of each."""
    tables = [table for name in reversed(_OWN_TABLES) for table in folder.rglob(name)]
    return {table.parent: table for table in tables if (table.parent / SETTINGS).is_file()}


def _folders_of_candidates(folder: Path) -> set[Path]:
    """Folders in a folder, itself included, that ``export`` or ``pipeline`` made."""
    found = {table.parent for table in folder.rglob(_OF_CANDIDATES[0])}
    return {parent for parent in found if all((parent / name).is_file() for name in _OF_CANDIDATES)}


def _is_candidate(file: Path, folder: Path) -> bool:
    """Whether a file in a folder of candidates is the CIF of one, not a copy in another format or a file of a stage."""
    return kind_of(file) == "cif" and file.relative_to(folder).parts[:-1] in ((), ("cif",))


def _is_wanted(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and file.name not in _NO_CRYSTALS and kind_of(file) is not None and file.is_file()


def _names(files: list[Path], folder: Path) -> list[str]:
    """Stems; where several files share one, their paths in the folder, with the suffix if need be."""
    stems = [_stem(file) for file in files]
    inside = [file.relative_to(folder) for file in files]
    paths = [path.with_name(stem).as_posix() for path, stem in zip(inside, stems, strict=True)]
    n_stems, n_paths = Counter(stems), Counter(paths)
    return [
        stem if n_stems[stem] == 1 else path if n_paths[path] == 1 else file.as_posix()
        for stem, path, file in zip(stems, paths, inside, strict=True)
    ]


def _stem(path: Path) -> str:
    lower = path.name.lower()
    suffix = next((suffix for suffix in SUFFIXES if lower.endswith(suffix)), "")
    # a longer suffix ends as a shorter one does not: .json.gz is found as itself
    return path.name[: len(path.name) - len(suffix)] or path.name
