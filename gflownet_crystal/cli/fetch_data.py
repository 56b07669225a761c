"""Download public data sets, once, as tables that the other verbs read by name, as in data=mp20.

Without name= it lists the sets: size, licence, source, use. Each download is checked against its published digest. A
download that was interrupted goes on with the same command.
"""

from __future__ import annotations

from pathlib import Path

from gflownet_crystal.common.commands import setting_word
from gflownet_crystal.config.request import Request
from gflownet_crystal.data.public_sets import FOLDER_VARIABLE, PUBLIC_SETS, PublicSet, data_folder, table_path
from gflownet_crystal.workflows.data.fetching import fetch_set, sets_asked
from gflownet_crystal.workflows.settings.data import FetchDataSettings

_MEGABYTE = 1e6


def run(request: Request) -> None:
    """The verb ``fetch_data``."""
    settings = request.settings(FetchDataSettings)
    folder = data_folder() if settings.folder is None else settings.folder
    if settings.name is None:
        print(listing(folder))
        return
    for public in sets_asked(settings):
        fetch_set(public, folder, settings)
        words = ", ".join(setting_word("data", name) for name in public.tables)
        print(f"{public.name} is in {folder / public.name}; use it as {words}")
    if settings.folder is not None and folder.absolute() != data_folder().absolute():
        print(f"other verbs look for it there with {FOLDER_VARIABLE}={folder.absolute()} in the environment")


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
