"""Download public data sets, once, to tables that the other verbs read by name, as in data=mp20.

Without name= it lists the sets: size, licence, source, use. Each download is checked against its published digest. A
download that was interrupted goes on with the same command.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from gflownet_crystal.common.commands import setting_word
from gflownet_crystal.common.errors import ConfigError, unknown
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.common.tables import write_parquet
from gflownet_crystal.config.request import Request
from gflownet_crystal.data.downloads import fetch
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.public_sets import (
    FOLDER_VARIABLE,
    PUBLIC_SETS,
    PublicSet,
    RemoteFile,
    data_folder,
    set_of,
    table_path,
)
from gflownet_crystal.data.public_tables import public_tables
from gflownet_crystal.workflows.data_settings import FetchDataSettings

_MEGABYTE = 1e6


def run(request: Request) -> None:
    """The verb ``fetch_data``."""
    settings = request.settings(FetchDataSettings)
    folder = data_folder() if settings.folder is None else settings.folder
    if settings.name is None:
        print(listing(folder))
        return
    for public in _chosen(settings.name):
        with lock_folder(folder / public.name):
            print(_fetched(public, folder, settings))
    if settings.folder is not None and folder.absolute() != data_folder().absolute():
        print(f"other verbs look for it there with {FOLDER_VARIABLE}={folder.absolute()} in the environment")


def _chosen(names: Sequence[str]) -> list[PublicSet]:
    """Public sets that were asked for.

    Raises:
        ConfigError: a name is unknown, or there are none.
    """
    if not names:
        raise ConfigError(f"name must be a public data set or a list of them: {', '.join(PUBLIC_SETS)}")
    chosen: dict[str, PublicSet] = {}
    for name in names:
        public = set_of(name)
        if public is None:
            raise unknown("public data set", name, PUBLIC_SETS)
        chosen[public.name] = public
    return list(chosen.values())


def listing(folder: Path) -> str:
    """Text on all public sets, a paragraph each."""
    parts = [_described(public, folder) for public in PUBLIC_SETS.values()]
    return "\n\n".join([*parts, f"fetch_data name=NAME downloads one to {folder}"])


def _described(public: PublicSet, folder: Path) -> str:
    lines = (
        f"{public.name}: {public.crystals} crystals, {_size(public, folder)}",
        f"  use      {public.purpose}",
        f"  names    {', '.join(f'data={table}' for table in public.tables)}",
        f"  licence  {public.licence}",
        f"  source   {public.source}",
    )
    return "\n".join(lines)


def _size(public: PublicSet, folder: Path) -> str:
    """Size on disk of a set that was fetched, or of its download where that is known."""
    if table_path(public, public.name, folder).is_file():
        held = sum(path.stat().st_size for path in (folder / public.name).iterdir())
        return f"fetched, {held / _MEGABYTE:.0f} MB on disk"
    if public.size is None:
        return "size told by the server"
    return f"about {public.size / _MEGABYTE:.0f} MB"


def _fetched(public: PublicSet, folder: Path, settings: FetchDataSettings) -> str:
    """Download a set where it is missing, make its tables, and tell the result in a line.

    Raises:
        KeyboardInterrupt: interrupted; the downloaded part is kept.
        DataError: a download fails, or a file is damaged.
    """
    place, quiet = folder / public.name, settings.quiet
    try:
        for file in public.files:
            _download(file, place, settings.timeout, quiet)
        tables = {name: table_path(public, name, folder) for name in public.tables}
        left_out = LeftOut()
        if settings.overwrite or not all(path.is_file() for path in tables.values()):
            with tqdm(total=public.crystals, desc="reading", unit="crystal", disable=quiet) as bar:
                made = public_tables(public, place, left_out, bar.update)
            for name, table in made.items():
                write_parquet(tables[name], table)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the downloaded part is kept; go on with the same command") from None
    if line := left_out.line():
        print(line, file=sys.stderr)
    words = ", ".join(setting_word("data", name) for name in tables)
    return f"{public.name} is in {place}; use it as {words}"


def _download(file: RemoteFile, place: Path, timeout: float, quiet: bool) -> None:
    with tqdm(desc=file.name, unit="B", unit_scale=True, total=file.size, disable=quiet) as bar:

        def report(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        fetch(file, place, report, timeout)
