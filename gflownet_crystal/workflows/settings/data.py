"""Settings of the verbs on data and of those that look at finished things, checked when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from gflownet_crystal.common.bounds import Count, Whole
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.values import one_of, optional, text
from gflownet_crystal.relaxation.elements import ElementSettings
from gflownet_crystal.structures.cif_reading import FORMULA_CHECKS
from gflownet_crystal.structures.writing import FORMATS, SUFFIXES, format_of, formats_setting
from gflownet_crystal.workflows.settings.common import Checks, DeviceSettings, VerbSettings

TABLE = ".parquet"
OWN: Final = "own"
ATOMS = (OWN, "placed")


def _names(value: object, key: str) -> tuple[str, ...]:
    return tuple(map(str, value if isinstance(value, list | tuple) else [value]))


@dataclass(frozen=True)
class FetchDataSettings(VerbSettings):
    """Settings of ``fetch_data``.

    Attributes:
        name: names of public data sets; None to list them.
        folder: folder that they go to; None for the usual one.
        overwrite: whether tables are made again.
        timeout: seconds without an answer after which a download fails.
        quiet: whether to show no progress.
    """

    name: tuple[str, ...] | None = None
    folder: Path | None = None
    overwrite: bool = False
    timeout: Count = 60
    quiet: bool = False

    checks: ClassVar[Checks] = {"name": optional(_names)}


@dataclass(frozen=True)
class PrepareDataSettings(VerbSettings):
    """Settings of ``prepare_data``.

    Attributes:
        source: files and folders of crystals.
        formula_check: treatment of CIFs whose own formula differs from the structure: ``refuse`` or ``warn``.
        out: table, file of structures, or with ``format`` a folder of structures; None for none.
        format: file formats of structures in the folder ``out``.
        overwrite: whether earlier files are replaced.
        hull: table of the stable compounds; None for none.
        one_scheme: whether labels are brought to one scheme of corrections.
        strain: energy model whose energies of strained copies are the table; None for the crystals themselves.
        strains: number of strained copies of each crystal.
        seed: random seed of the strains.
        quiet: whether to show no progress.
    """

    source: tuple[Path, ...]
    formula_check: str = FORMULA_CHECKS[0]
    out: Path | None = None
    format: tuple[str, ...] = ()
    overwrite: bool = False
    hull: Path | None = None
    one_scheme: bool = False
    strain: str | None = None
    strains: Count = 5
    seed: int = 0
    quiet: bool = False

    checks: ClassVar[Checks] = {"format": formats_setting, "strain": optional(text)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_output()
        if self.hull is not None and self.hull.suffix != TABLE:
            raise ConfigError(f"hull must end in .parquet, not {self.hull.name!r}")
        if self.out is None and self.hull is None:
            raise ConfigError(
                "nothing to write: give out=FILE.parquet for the table, or hull=FILE.parquet for a hull"
            )
        if self.strain is not None and self.out is not None and not self.is_table:
            raise ConfigError("strain makes a table of energies: let out end in .parquet, without format")

    def _check_output(self) -> None:
        if self.out is None or (self.format and not self.is_table):
            return
        if self.format:
            raise ConfigError(
                f"format is of structures in a folder, and out={self.out} is a table; give one of the two"
            )
        if not self.is_table and format_of(self.out) is None:
            raise ConfigError(
                f"out must end in .parquet, or for structures in {', '.join(SUFFIXES.values())}, or be a folder with "
                f"format=[{','.join(FORMATS)}], not {self.out.name!r}"
            )

    @property
    def is_table(self) -> bool:
        """Whether ``out`` is a table."""
        return self.out is not None and self.out.suffix == TABLE


@dataclass(frozen=True)
class ReferencesSettings(DeviceSettings):
    """Settings of ``references``.

    Attributes:
        model: calculator's class and arguments.
        relaxation: settings of the relaxations.
        elements: symbols of elements; None for all with known crystals.
        data: file of further crystals of elements; None for none.
        formula_check: treatment of CIFs whose own formula differs from the structure: ``refuse`` or ``warn``.
        out: table; None for that of the calculator in the user's cache folder.
        overwrite: whether an earlier table is replaced.
    """

    model: str | Mapping[str, object]
    relaxation: ElementSettings = field(default_factory=ElementSettings)
    elements: list[str] | None = None
    data: Path | None = None
    formula_check: str = FORMULA_CHECKS[0]
    out: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class EvaluateProxySettings(DeviceSettings):
    """Settings of ``evaluate_proxy``, without the proxy.

    Attributes:
        data: files of labelled crystals.
        atoms: atoms that a proxy of structures judges: those of the data, or newly placed ones.
    """

    data: tuple[Path, ...]
    atoms: str = ATOMS[0]
    quiet: bool = field(default=True, kw_only=True)

    checks: ClassVar[Checks] = {"atoms": one_of(ATOMS)}


@dataclass(frozen=True)
class ReportSettings(VerbSettings):
    """Settings of ``report``.

    Attributes:
        run: run folder.
        out: page to write; None for that of the run folder.
        k: number of candidates to show; a page has details of as many of the best as fit.
        samples: table of samples; None for that of the run.
        candidates: folder of candidates; None for that of the run.
        relaxed: folder of relaxed candidates; None for that of the run.
        reference: file or folder of known crystals; None for none.
        formula_check: treatment of CIFs whose own formula differs from the structure: ``refuse`` or ``warn``.
        compare: number of draws of the samplers that the run is compared with; 0 for none.
        device: name of the device, or ``auto``.
        threads: number of CPU threads; None for PyTorch's choice.
        trust: whether classes from outside this package are built that the run folder names.
    """

    run: Path
    out: Path | None = None
    k: int = 100
    samples: Path | None = None
    candidates: Path | None = None
    relaxed: Path | None = None
    reference: Path | None = None
    formula_check: str = FORMULA_CHECKS[0]
    compare: Whole = 2000
    device: str = "auto"
    threads: int | None = None
    trust: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.out is not None and self.out.suffix not in (".html", ".htm"):
            raise ConfigError(f"out={self.out} must end in .html")
