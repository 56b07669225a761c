"""Public data sets by name: where they come from, and the table of each once it was fetched."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.user_cache import user_cache

FOLDER_VARIABLE = "GFLOWNET_CRYSTAL_DATA"
"""Environment variable that names the folder of public data sets."""


@dataclass(frozen=True)
class RemoteFile:
    """A file with a public address.

    Attributes:
        name: file name in the folder of its data set.
        url: address.
        digest: ``sha256:...`` or ``md5:...``; None where none is published. Then the SHA-256 of the first download is
            kept beside the file and checked afterwards.
        size: bytes, about; None where none is published.
    """

    name: str
    url: str
    digest: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class PublicSet:
    """A public data set.

    Attributes:
        name: name in ``fetch_data name=NAME`` and ``data=NAME``.
        form: format of the files, a key of :data:`gflownet_crystal.data.public_tables.FORMS`.
        files: files to download.
        crystals: number of crystals as published.
        licence: licence of the data.
        source: publication or page of the data.
        purpose: use in this package.
        parts: names of further tables, parts of the first.
    """

    name: str
    form: str
    files: tuple[RemoteFile, ...]
    crystals: int
    licence: str
    source: str
    purpose: str
    parts: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of all tables of the set."""
        return (self.name, *self.parts)

    @property
    def size(self) -> int | None:
        """Bytes to download, about; None where a file's size is not known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


_CDVAE = "https://raw.githubusercontent.com/txie-93/cdvae/main/data"
_MATBENCH = "https://ml.materialsproject.org/projects"
_FIGSHARE = "https://api.figshare.com/v2/file/download"
_OF_MATBENCH = "Dunn et al., npj Comput. Mater. 6, 138 (2020), https://matbench.materialsproject.org"


def _matbench(task: str, sha256: str, crystals: int, purpose: str) -> PublicSet:
    name = f"matbench_{task}"
    file = RemoteFile(f"{name}.json.gz", f"{_MATBENCH}/{name}.json.gz", f"sha256:{sha256}")
    return PublicSet(name, "matbench", (file,), crystals, "MIT", _OF_MATBENCH, purpose)


_ALL = (
    PublicSet(
        name="mp20",
        form="cdvae",
        files=(
            RemoteFile(
                "train.csv",
                f"{_CDVAE}/mp_20/train.csv",
                "sha256:133bab58dba02d316f9f91174839f17802dce648be4e8659d1a42b32b97fa01d",
            ),
            RemoteFile(
                "val.csv",
                f"{_CDVAE}/mp_20/val.csv",
                "sha256:7b5f4085464b3eac9fd2123acee97ec372214004ce7e983b535b33395abc3e29",
            ),
            RemoteFile(
                "test.csv",
                f"{_CDVAE}/mp_20/test.csv",
                "sha256:dd605c7543cf95a13e150aed630d0915e74edc8dea17e85301ee6fbfeb7f500a",
            ),
        ),
        crystals=45229,
        licence="CC-BY 4.0 (Materials Project)",
        source="Xie et al., ICLR 2022, https://github.com/txie-93/cdvae; Jain et al., APL Mater. 1, 011002 (2013)",
        purpose="training and validation of priors, proxies and generators; the reference of evaluate",
        parts=("mp20_train", "mp20_val", "mp20_test"),
    ),
    _matbench(
        "mp_e_form",
        "dedcb1d4ba2e3e50dbdd45ba5bc647a00e9c2bcf8f8bf556dc8e92caa39eb21f",
        132752,
        "formation energies beyond MP-20, for train_proxy and train_prior",
    ),
    _matbench(
        "mp_gap",
        "58b65746bd88329986ed66031a2ac1369c7c522f7bc9f9081528e07097c2c057",
        106113,
        "band gaps, for a proxy of your own",
    ),
    _matbench(
        "log_kvrh",
        "44b113ddb7e23aa18731a62c74afa7e5aa654199e0db5f951c8248a00955c9cd",
        10987,
        "bulk moduli, for a proxy of your own",
    ),
    _matbench(
        "log_gvrh",
        "098af941f4c663270f1fe21abf20ffad6fb85ecbfcba5786ceac03983ac29da7",
        10987,
        "shear moduli, for a proxy of your own",
    ),
    PublicSet(
        name="wbm",
        form="wbm",
        files=(
            RemoteFile(
                "wbm-computed-structure-entries.jsonl.gz",
                f"{_FIGSHARE}/53161832",
                "md5:655b7a9c368e136dd8747f1ef8002e7a",
                86_500_000,
            ),
            RemoteFile("wbm-summary.csv.gz", f"{_FIGSHARE}/64706751", "md5:1555268d3aa59d20262cb9d01ce0994b"),
        ),
        crystals=256963,
        licence="CC-BY 4.0",
        source="Wang, Botti and Marques, npj Comput. Mater. 7, 12 (2021); files of Matbench Discovery, "
        "https://doi.org/10.6084/m9.figshare.22715158",
        purpose="crystals outside the Materials Project: validation of proxies, not training",
    ),
)

PUBLIC_SETS: dict[str, PublicSet] = {one.name: one for one in _ALL}
"""Public data sets by name."""


def data_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Folder of public data sets: ``GFLOWNET_CRYSTAL_DATA``, or ``data`` in the user's cache folder.

    Args:
        environment: environment variables; those of the process if None.
    """
    given = (os.environ if environment is None else environment).get(FOLDER_VARIABLE)
    return Path(given) if given else user_cache(environment) / "data"


def set_of(name: str) -> PublicSet | None:
    """The public set that has a table of a name; None if there is none."""
    return next((one for one in PUBLIC_SETS.values() if name in one.tables), None)


def table_path(public: PublicSet, table: str, folder: Path | None = None) -> Path:
    """Path of a table of a public set.

    Args:
        public: data set.
        table: one of its tables.
        folder: folder of public data sets; None for :func:`data_folder`.
    """
    return (data_folder() if folder is None else folder) / public.name / f"{table}.parquet"


def data_path(source: Path | str) -> Path:
    """Path of a data source: the source itself, or the table of the public set of that name.

    Args:
        source: file, folder, or name of a table of a public set. A file or folder of that name goes before the set.

    Raises:
        DataError: the set of that name was not fetched.
    """
    path = Path(source)
    public = set_of(str(source))
    if public is None or path.exists():
        return path
    found = table_path(public, str(source))
    if not found.is_file():
        raise DataError(
            f"{source} is a public data set that is not in {data_folder()} yet: "
            f"run fetch_data name={public.name}, or give a file"
        )
    return found
