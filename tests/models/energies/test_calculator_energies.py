"""Calculators by dotted path: the same energies as the calculator itself, and one line where something is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.files import read_json, write_json, write_text
from gflownet_crystal.models.energies import reference_tables
from gflownet_crystal.models.energies.choice import read_choice
from gflownet_crystal.models.energies.corrections import materials_project_corrections
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.models.energies.reference_tables import ReferenceTable, table_path
from gflownet_crystal.structures.convert import from_ase
from tests.models.energies.test_potentials import METALS, alloy, metals

EMT_PATH = {"_target_": "ase.calculators.emt.EMT"}
HERE = "tests.models.energies.test_calculator_energies"


def lennard_jones(device: str = "none", epsilon: float = 1.0) -> Calculator:
    """As packages of potentials have it: a function with a device."""
    made = LennardJones(epsilon=epsilon, sigma=2.4, rc=8.0)
    made.device = device
    return made


def nothing(**_: Any) -> str:
    return "no calculator"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_tables, "user_cache", lambda: tmp_path / "cache")


def with_references(given: dict[str, Any], energies: dict[str, float]) -> dict[str, Any]:
    choice = read_choice(given)
    table = ReferenceTable.of(choice)
    for symbol, energy in energies.items():
        table = table.with_element(symbol, energy, "crystal", "")
    table.write(table_path(choice))
    return given


def test_energies_are_those_of_the_calculator_less_the_elements() -> None:
    energies = load_energies(with_references(dict(EMT_PATH), METALS))
    crystals = from_ase([alloy(), bulk("Cu", "fcc", 3.7), bulk("Fe", "bcc", 2.87), bulk("Cu", "fcc", 30.0)])
    found, _ = energies.predict(crystals)
    assert torch.equal(found.isnan(), torch.tensor([False, False, True, True]))
    assert torch.allclose(found[:2], metals().predict(crystals[:2])[0], rtol=0.0, atol=1e-12)
    given, direct = alloy(), alloy()
    given.positions[0] += 0.1
    direct.positions[0] += 0.1
    given.calc, direct.calc = energies.calculator(), EMT()
    assert given.get_potential_energy() == pytest.approx(direct.get_potential_energy(), abs=1e-12)
    assert given.get_forces() == pytest.approx(direct.get_forces(), abs=1e-12)
    assert given.get_stress() == pytest.approx(direct.get_stress(), abs=1e-12)


def test_a_function_gets_its_arguments_and_the_device() -> None:
    given = with_references({"_target_": f"{HERE}.lennard_jones", "epsilon": 2.0}, {"Cu": -1.0})
    energies: Any = load_energies(given)
    assert energies.calculator().inner.device == "cpu"
    assert energies.to("meta").calculator().inner.device == "meta"
    plain = bulk("Cu", "fcc", 3.6)
    plain.calc = lennard_jones()
    # twice the depth of the well is twice the energy
    assert energies.predict(from_ase([plain]))[0].item() == pytest.approx(
        2.0 * plain.get_potential_energy() + 1.0
    )
    own: Any = load_energies(with_references({**given, "device": "mine"}, {"Cu": -1.0}))
    assert own.to("meta").calculator().inner.device == "mine"


def test_corrections_are_added_unless_told_otherwise() -> None:
    oxide = Atoms("CuO", scaled_positions=[[0] * 3, [0.5] * 3], cell=[4.2] * 3, pbc=True)
    base = {"_target_": f"{HERE}.lennard_jones"}
    with_references(base, {"Cu": -1.0, "O": -1.0})
    batch = from_ase([oxide])
    corrected = load_energies(base).predict(batch)[0]
    raw = load_energies({**base, "corrected": False}).predict(batch)[0]
    assert (corrected - raw).item() == pytest.approx(materials_project_corrections(batch).item())
    assert materials_project_corrections(batch).item() < -0.1
    with pytest.raises(ConfigError, match="corrected"):
        load_energies({**base, "corrected": "no"})


def test_without_references_the_command_for_them_is_told() -> None:
    with pytest.raises(ConfigError, match=r"references model\._target_=ase\.calculators\.emt\.EMT"):
        load_energies(EMT_PATH)
    with pytest.raises(ConfigError, match=r"model\.asap_cutoff=true.* out=mine\.json"):
        load_energies({**EMT_PATH, "asap_cutoff": True, "references": "mine.json"})
    # of another calculator, of other arguments
    path = table_path(read_choice(with_references(dict(EMT_PATH), METALS)))
    for other in ({**EMT_PATH, "asap_cutoff": True}, {"_target_": f"{HERE}.lennard_jones"}):
        with pytest.raises(ConfigError, match="overwrite=true"):
            load_energies({**other, "references": str(path)})


def test_references_of_another_version_of_the_package_are_refused() -> None:
    path = table_path(read_choice(with_references(dict(EMT_PATH), METALS)))
    stored = read_json(path)
    write_json(path, {**stored, "package": "ase 0.1"})
    with pytest.raises(ConfigError, match=r"ase 0\.1"):
        load_energies(EMT_PATH)


def test_a_table_of_the_users_own_needs_energies_alone(tmp_path: Path) -> None:
    write_json(tmp_path / "own.json", {"energy": METALS})
    energies = load_energies({**EMT_PATH, "references": str(tmp_path / "own.json")})
    assert torch.equal(energies.predict(from_ase([alloy()]))[0], metals().predict(from_ase([alloy()]))[0])


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"energy": [1]}', '{"energy": {"Xx": 1.0}}', '{"energy": {"Cu": "a"}}', '{"energy": {"Cu": NaN}}',
     '{"energy": {"Cu": true}}', '{"energy": {"Cu": -1}, "refused": 3}'],
)  # fmt: skip
def test_damaged_tables_are_refused(tmp_path: Path, text: str) -> None:
    write_text(tmp_path / "bad.json", text)
    with pytest.raises(DataError, match=r"bad\.json"):
        load_energies({**EMT_PATH, "references": str(tmp_path / "bad.json")})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"_target_": "ase.calculators.emt.Nothing"}, "does not exist"),
        ({"_target_": "not_a_module.mace_mp"}, "install the package"),
        ({"_target_": "ase.atoms.Atoms"}, "is no ASE calculator"),
        ({"_target_": "math.pi"}, "is no ASE calculator"),
        ({"_target_": f"{HERE}.nothing"}, "makes a str, not an ASE calculator"),
        ({"_target_": f"{HERE}.lennard_jones", "depth": 3}, "unexpected keyword"),
    ],
)
def test_what_is_no_calculator_is_told_in_a_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as told:
        load_energies(with_references(given, METALS))
    assert "\n" not in str(told.value)
