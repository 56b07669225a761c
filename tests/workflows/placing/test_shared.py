"""Placing by workers: the same table as without, and a spec that kills its worker is left out alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from gflownet_crystal.common.executors import LocalProcesses
from gflownet_crystal.generators.base import Generation, Generator
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.workflows.placing.placing import Placer
from gflownet_crystal.workflows.placing.shared import PIECE, pieces, shared
from tests.common.units_that_die import DeathError, Threads
from tests.workflows.crystals import ByEdge, Flat, Salts, contacts, salts


@dataclass
class Mortal(Generator):
    """Rock salt; an edge kills the worker.

    Attributes:
        fatal: edges that do, Å.
    """

    fatal: tuple[float, ...] = ()

    def generate(self, specs: CrystalSpec, seed: int = 0) -> Generation:
        """The atoms of each spec."""
        if {round(edge, 4) for edge in specs.lengths[:, 0].tolist()} & set(self.fatal):
            raise DeathError
        return Salts().generate(specs, seed)


def placer_of(frame: pd.DataFrame, *fatal: float) -> Placer:
    energies = {round(edge, 4): -0.1 * number for number, edge in enumerate(frame["a"].tolist())}
    return Placer(Mortal(fatal), Flat(), ByEdge(energies), contacts(2.0), tries=2)


@pytest.mark.parametrize(("n", "number"), [(1, 1), (7, 1), (8, 2), (20, 2), (128, 4), (4 * PIECE + 1, 5)])
def test_pieces_hold_each_spec_once_and_about_equal_atoms(n: int, number: int) -> None:
    frame = salts(n)
    multiples = np.random.default_rng(n).integers(1, 9, n)
    frame = frame.assign(formula=[f"Na{4 * times} Cl{4 * times}" for times in multiples])
    found = pieces(frame)
    assert len(found) == number and max(map(len, found)) <= PIECE
    pd.testing.assert_frame_equal(pd.concat(found).sort_index(), frame.sort_index())
    assert all(piece.index.is_monotonic_increasing for piece in found)
    atoms = [int(frame_to_specs(piece).n_atoms.sum()) for piece in found]
    assert max(atoms) - min(atoms) <= 64


def test_workers_place_as_this_process_does(capsys: pytest.CaptureFixture[str]) -> None:
    frame = salts(3 * PIECE + 1).iloc[::-1]
    placer = placer_of(frame)
    alone = placer.place(frame)
    with shared(placer, LocalProcesses()) as here, shared(placer, Threads()) as there:
        assert here is placer
        pd.testing.assert_frame_equal(there.place(frame), alone)
        # the workers stay for the next batch
        pd.testing.assert_frame_equal(there.place(frame[:2]), alone[:2])
    assert not capsys.readouterr().err


def test_a_spec_that_kills_its_worker_is_left_out_alone(capsys: pytest.CaptureFixture[str]) -> None:
    frame = salts(2 * PIECE + 1)
    edge = round(float(frame["a"].iloc[PIECE + 1]), 4)
    with shared(placer_of(frame, edge), Threads()) as there:
        made = there.place(frame)
    lost = frame.index[PIECE + 1]
    whole = placer_of(frame).place(frame)
    pd.testing.assert_frame_equal(made, whole[whole["row"] != lost].reset_index(drop=True))
    assert capsys.readouterr().err == f"1 specs get no atoms, as their workers died: [{lost}]\n"
