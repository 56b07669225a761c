"""Downloads of public data sets: their files, checked, and the tables that the other verbs read by name."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from gflownet_crystal.common.errors import ConfigError, unknown
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.common.tables import write_parquet
from gflownet_crystal.data.downloads import fetch
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.public_sets import PUBLIC_SETS, PublicSet, RemoteFile, set_of, table_path
from gflownet_crystal.data.public_tables import public_tables
from gflownet_crystal.workflows.data.tables import tell
from gflownet_crystal.workflows.settings.data import FetchDataSettings


def sets_asked(settings: FetchDataSettings) -> list[PublicSet]:
    """Public sets that were asked for.

    Raises:
        ConfigError: a name is unknown, or there are none.
    """
    if not settings.name:
        raise ConfigError(f"name must be a public data set or a list of them: {', '.join(PUBLIC_SETS)}")
    chosen: dict[str, PublicSet] = {}
    for name in settings.name:
        public = set_of(name)
        if public is None:
            raise unknown("public data set", name, PUBLIC_SETS)
        chosen[public.name] = public
    return list(chosen.values())


def fetch_set(public: PublicSet, folder: Path, settings: FetchDataSettings) -> None:
    """Download a set where it is missing, and make its tables; records left out are told on standard error.

    Args:
        public: the set.
        folder: folder of all sets.
        settings: settings of ``fetch_data``.

    Raises:
        KeyboardInterrupt: interrupted; the downloaded part is kept.
        DataError: a download fails, or a file is damaged.
    """
    place, quiet, left_out = folder / public.name, settings.quiet, LeftOut()
    with lock_folder(place):
        try:
            for file in public.files:
                _download(file, place, settings.timeout, quiet)
            tables = {name: table_path(public, name, folder) for name in public.tables}
            if settings.overwrite or not all(path.is_file() for path in tables.values()):
                with tqdm(total=public.crystals, desc="reading", unit="crystal", disable=quiet) as bar:
                    made = public_tables(public, place, left_out, bar.update)
                for name, table in made.items():
                    write_parquet(tables[name], table)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the downloaded part is kept; go on with the same command") from None
    tell(left_out)


def _download(file: RemoteFile, place: Path, timeout: float, quiet: bool) -> None:
    with tqdm(desc=file.name, unit="B", unit_scale=True, total=file.size, disable=quiet) as bar:

        def report(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        fetch(file, place, report, timeout)
