"""Pretrained interatomic potentials as energy models: CHGNet and SevenNet, whose weights come inside their packages.

A potential gives total energies. Formation energies are these minus the energies of the elements' crystals by the same
potential, from ``potential_references.json``, which ``benchmarks/potential_references.py`` computes. CHGNet
(Deng et al., Nat. Mach. Intell. 5, 1031, 2023) learned energies with the MaterialsProject2020 corrections; SevenNet
(Park et al., J. Chem. Theory Comput. 20, 4857, 2024) without, so that
:mod:`~gflownet_crystal.models.energies.corrections` are added here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.files import read_json
from gflownet_crystal.models.energies.batched_chgnet import BatchedCHGNet
from gflownet_crystal.models.energies.batched_sevennet import BatchedSevenNet
from gflownet_crystal.models.energies.choice import TARGET, WEIGHTS, EnergyChoice, read_choice
from gflownet_crystal.models.energies.derivatives import (
    Derivatives,
    EnergyOf,
    differentiated,
    each_alone,
    in_halves,
)
from gflownet_crystal.models.energies.mean_energies import MeanEnergies
from gflownet_crystal.models.energies.potential_energies import PotentialEnergies, no_energy
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.structures.batching import batches_of_atoms
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.weights import FOLDER

if TYPE_CHECKING:
    pass

REFERENCES = Path(__file__).with_name("potential_references.json")
"""Energies of the elements, eV/atom, by potential and symbol."""

_BATCH_ATOMS = 128
"""Atoms of the structures that a potential judges at once; more are no faster on a CPU."""


class ForeignPotential(PotentialEnergies):
    """A potential of another package, many structures at once, with the references that belong to it.

    Args:
        inner: ASE calculator of the package, with its ``model``.
        energy_of: differentiable total energies by the same model.
        name: key of its references.
        reach: cutoff of its edges, Å.
        corrected: add the corrections.
    """

    def __init__(
        self, inner: Any, energy_of: EnergyOf, name: str, reach: float, corrected: bool = False
    ) -> None:
        from gflownet_crystal.models.energies.quiet_calculator import QuietCalculator

        self._inner, self._energy_of = inner, energy_of
        # only energies are differentiated
        inner.model.requires_grad_(False)
        super().__init__(QuietCalculator(inner), read_references(name), reach, corrected)

    def to(self, device: torch.device | str) -> Self:
        self._inner.model.to(device)
        self._inner.device = torch.device(device)
        self._calculator.reset()
        return self

    def _derivatives(self, structures: StructureBatch) -> Derivatives:
        compute = partial(differentiated, self._energy_of)
        return each_alone(compute, structures.to(self._inner.device))

    def _totals(self, structures: StructureBatch) -> Tensor:
        totals = torch.empty(len(structures), dtype=torch.float64)
        for rows in batches_of_atoms(structures.n_atoms, _BATCH_ATOMS):
            given = structures[rows].to(self._inner.device)
            totals[rows] = in_halves(self._energies, given, torch.cat, no_energy)
        return totals

    @torch.no_grad()
    def _energies(self, structures: StructureBatch) -> Tensor:
        return self._energy_of(structures, structures.cell, structures.fractional).double().cpu()


class CHGNetEnergies(ForeignPotential):
    """CHGNet; see the module's documentation.

    Args:
        version: ``0.3.0``, ``0.2.0``, or ``r2scan`` (another density functional).

    Raises:
        ConfigError: chgnet is not installed, or the version is unknown.
    """

    VERSIONS = ("0.3.0", "0.2.0", "r2scan")

    def __init__(self, version: str = "0.3.0") -> None:
        from gflownet_crystal.models.energies.quiet_calculator import quiet

        check_version("chgnet", version, self.VERSIONS)
        try:
            with quiet():
                from chgnet.model.dynamics import CHGNetCalculator
                from chgnet.model.model import CHGNet
        except ImportError as error:
            raise _not_installed("chgnet") from error
        with quiet():
            model = CHGNet.load(model_name=version, use_device="cpu", verbose=False)
            inner = CHGNetCalculator(model, use_device="cpu", on_isolated_atoms="error")
        reach = float(model.graph_converter.atom_graph_cutoff)
        super().__init__(inner, BatchedCHGNet(model), f"chgnet {version}", reach)


class SevenNetEnergies(ForeignPotential):
    """SevenNet; see the module's documentation.

    Args:
        version: ``7net-0``, ``7net-l3i5``, or ``7net-mf-0`` (its PBE channel).
        corrected: add the MaterialsProject2020 corrections, so that energies compare to those of CHGNet and to labels.

    Raises:
        ConfigError: sevenn is not installed, or the version is unknown.
    """

    VERSIONS = ("7net-0", "7net-l3i5", "7net-mf-0")

    def __init__(self, version: str = "7net-0", corrected: bool = True) -> None:
        from gflownet_crystal.models.energies.quiet_calculator import quiet

        check_version("sevenn", version, self.VERSIONS)
        try:
            with quiet():
                from sevenn.calculator import SevenNetCalculator
        except ImportError as error:
            raise _not_installed("sevenn") from error
        try:
            with quiet():
                modal = "PBE" if version == "7net-mf-0" else None
                inner = SevenNetCalculator(version, device="cpu", modal=modal)
        except OSError as error:
            # it would then download them
            raise ConfigError(
                f"the installed sevenn has no weights {version}; install a newer one"
            ) from error
        energy_of, reach = BatchedSevenNet(inner), float(inner.cutoff)
        super().__init__(inner, energy_of, f"sevenn {version}", reach, corrected)


POTENTIALS: dict[str, type[ForeignPotential]] = {"chgnet": CHGNetEnergies, "sevenn": SevenNetEnergies}


def load_energies(given: str | Mapping[str, object] | EnergyChoice, **options: Any) -> StructureEnergies:
    """An energy model by name.

    Args:
        given: ``chgnet`` or ``sevenn``, with a version as ``sevenn:7net-l3i5`` or without; weights of this package's
            networks, a shipped name or a ``.safetensors`` file; several of these joined by ``+``, as in
            ``alignn+gemsnet``, for their mean, a
            :class:`~gflownet_crystal.models.energies.mean_energies.MeanEnergies`; or the ``_target_`` and arguments of
            an ASE calculator, see :class:`~gflownet_crystal.models.energies.calculator_energies.CalculatorEnergies`.
        options: options of :class:`CHGNetEnergies`, :class:`SevenNetEnergies` or
            :meth:`~gflownet_crystal.models.energies.trained.TrainedEnergies.from_weights`.

    Raises:
        ConfigError: an unknown name (the choices are listed), version or option, a package that is not installed, or a
            calculator whose energies of the elements are not computed yet.
        DataError: the file of these energies is damaged.
        WeightsError: a weights file is missing, corrupt or of another kind.
    """
    choice = read_choice(given)
    if choice.members:
        return MeanEnergies([load_energies(member, **options) for member in choice.members])
    found = _factory(choice)
    taken = inspect.signature(found).parameters
    if choice.version is not None:
        if "version" not in taken:
            raise ConfigError(
                f"energies {choice.name!r} have no versions; leave out {':' + choice.version!r}"
            )
        if options.get("version", choice.version) != choice.version:
            raise ConfigError(
                f"{choice.label} and version={options['version']} are two versions; give one of them"
            )
        options["version"] = choice.version
    strange = [option for option in options if option not in taken]
    if strange:
        raise ConfigError(f"energies {choice.name!r} have no option {strange[0]}; leave it out")
    return found(**options)


def _factory(choice: EnergyChoice) -> Callable[..., StructureEnergies]:
    """Factory of the energies of a choice, given its options."""
    if choice.settings is not None:
        from gflownet_crystal.models.energies.calculator_energies import CalculatorEnergies

        return partial(CalculatorEnergies, choice)
    if choice.name in POTENTIALS:
        return POTENTIALS[choice.name]
    choices = (*POTENTIALS, *trained_names())
    if Path(choice.name).suffix != WEIGHTS and choice.name not in choices:
        raise ConfigError(
            f"unknown energies {choice.name!r}; choose one of {', '.join(choices)}, a {WEIGHTS} file, or several "
            f"joined by + for their mean; an ASE calculator goes by a key of its own, {TARGET}=my_module.my_calculator"
        )
    from gflownet_crystal.models.energies.trained import TrainedEnergies

    return partial(TrainedEnergies.from_weights, choice.name)


def trained_names() -> list[str]:
    """Shipped weights of networks that give energies of structures, sorted."""
    cards = {path.stem: read_json(path) for path in FOLDER.glob("*.json")}
    return sorted(name for name, card in cards.items() if card.get("kind") == "structure_energy")


def read_references(name: str) -> dict[str, float]:
    """Energies of the elements by a potential, eV/atom by symbol; empty if it has none yet."""
    stored = read_json(REFERENCES).get(name, {}) if REFERENCES.is_file() else {}
    return {symbol: float(energy) for symbol, energy in stored.get("energy", {}).items()}


def check_version(package: str, version: str, versions: tuple[str, ...]) -> None:
    """Refuse a version that a potential does not have.

    Raises:
        ConfigError: it has none of that name.
    """
    if version not in versions:
        raise ConfigError(f"{package} has no version {version!r}; choose one of {', '.join(versions)}")


def _not_installed(package: str) -> ConfigError:
    return ConfigError(
        f"{package} is not installed; install it with pip install 'gflownet_crystal[potentials]'"
    )
