"""Reference hulls of real data.

    OMP_NUM_THREADS=1 python -m benchmarks.hulls data=FILE.parquet,FILE.parquet

The files, one or more, are crystals in the columns of ``prepare_data``'s input, with MP-20's splits and energies above
hull. Printed are: CPU seconds from compounds to a hull; the largest difference to pymatgen's phase diagrams, at
compounds and at random compositions of their systems; compositions looked up a second; and how far energies above hull
of MP-20 val, with the data's own energies, are from the labels: measured from the hull of all other formulas, the
shipped one, and the learned one; and CPU seconds for the batches of a training with each of the two that ship.
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import torch
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition
from torch import Tensor

from benchmarks.options import names, read_options, run
from gflownet_crystal.data.compounds import lowest_by_formula
from gflownet_crystal.data.label_schemes import to_one_scheme
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.data.splits import reduced_formulas, without_formulas
from gflownet_crystal.proxies.hull import MAX_ELEMENTS, Hull
from gflownet_crystal.proxies.learned_hull import LearnedHull
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.elements import SYMBOLS
from gflownet_crystal.structures.formulas import composition_to_text, text_to_composition

COLUMNS = ["formula", ENERGY_COLUMN, "energy_source", "e_above_hull", "mp20_split"]
SYSTEMS_OF_A_SIZE, N_TIMED, NEAR = 40, 20_000, 0.02
BATCH, BATCHES = 384, 5


def known_compounds(table: pd.DataFrame) -> ReferenceHull:
    """All compounds of a table, unstable ones too."""
    lowest = lowest_by_formula(table)
    energy = torch.tensor(lowest[ENERGY_COLUMN].to_numpy(dtype=np.float64))
    return ReferenceHull(text_to_composition(lowest["formula"].tolist()), energy)


def phase_diagram(known: ReferenceHull, elements: Tensor) -> PhaseDiagram:
    """Pymatgen's diagram of all known compounds of ``elements`` (k,), stable or not."""
    outside = torch.ones(known.composition.shape[1], dtype=torch.bool)
    outside[elements] = False
    rows = (known.composition[:, outside].sum(1) == 0).nonzero()[:, 0]
    formulas = [Composition(formula) for formula in composition_to_text(known.composition[rows])]
    entries = [
        PDEntry(formula, energy * formula.num_atoms)
        for formula, energy in zip(formulas, known.energy[rows].tolist(), strict=True)
    ]
    return PhaseDiagram([*entries, *(PDEntry(Composition(SYMBOLS[z]), 0.0) for z in elements.tolist())])


def against_pymatgen(known: ReferenceHull, hull: Hull) -> tuple[int, float]:
    """Compositions compared and the largest difference, eV/atom: systems of 2 to 6 elements, two compositions each."""
    rng = np.random.default_rng(0)
    n_elements = (known.composition > 0).sum(1)
    compositions, energies = [], []
    for k in range(2, 7):
        rows = (n_elements == k).nonzero()[:, 0].numpy()
        for row in rng.choice(rows, min(len(rows), SYSTEMS_OF_A_SIZE), replace=False):
            elements = known.composition[row].nonzero()[:, 0]
            diagram = phase_diagram(known, elements)
            other = torch.zeros_like(known.composition[row])
            other[elements] = torch.from_numpy(rng.integers(1, 12, k))
            for composition in (known.composition[row], other):
                formula = Composition({SYMBOLS[z]: int(composition[z]) for z in elements.tolist()})
                compositions.append(composition)
                energies.append(diagram.get_hull_energy_per_atom(formula))
    difference = hull.hull_energy(torch.stack(compositions)) - torch.tensor(energies)
    return len(energies), float(difference.abs().max())


def random_compositions(n: int, k: int) -> Tensor:
    """Compositions (n, 119) of k elements up to plutonium."""
    generator = torch.Generator().manual_seed(0)
    composition = torch.zeros(n, len(SYMBOLS), dtype=torch.int64)
    elements = torch.rand(n, 94, generator=generator).argsort(1)[:, :k] + 1
    return composition.scatter_(1, elements, torch.randint(1, 13, (n, k), generator=generator))


def per_second(hull: Hull, composition: Tensor) -> float:
    """Compositions looked up a second of CPU time."""
    start = time.process_time()
    hull.hull_energy(composition)
    return len(composition) / (time.process_time() - start)


def batch_seconds(hull: Hull, n_elements: int) -> float:
    """CPU seconds for a batch of compositions of 2 to 5 of the first elements, the mean of several after the first."""
    generator = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(BATCHES + 1):
        elements = torch.rand(BATCH, n_elements, generator=generator).argsort(1)[:, :5] + 1
        counts = torch.randint(1, 13, (BATCH, 5), generator=generator)
        # two elements at least, up to five
        kept = torch.arange(5) < torch.randint(2, 6, (BATCH, 1), generator=generator)
        composition = torch.zeros(BATCH, len(SYMBOLS), dtype=torch.int64)
        batches.append(composition.scatter_(1, elements, counts * kept))
    hull.hull_energy(batches[0])
    start = time.process_time()
    for composition in batches[1:]:
        hull.hull_energy(composition)
    return (time.process_time() - start) / BATCHES


def label_error(name: str, hull: Hull, rows: pd.DataFrame) -> str:
    """Errors of energies above ``hull`` against the labels of the rows, alone and with each row's own entry in it."""
    composition = text_to_composition(rows["formula"].tolist())
    above = rows[ENERGY_COLUMN].to_numpy(dtype=np.float64) - hull.hull_energy(composition).numpy()
    label = rows["e_above_hull"].to_numpy(dtype=np.float64)
    lines = []
    for how, values in (("hull alone", above), ("and the entry itself", np.maximum(above, 0.0))):
        error = np.abs(values - label)
        lines.append(
            f"{name:<30} {how:<21} median {np.median(error):.4f}, mean {error.mean():.4f} eV/atom, "
            f"{(error <= NEAR).mean():.3f} within {NEAR}"
        )
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Print the figures."""
    paths = names(read_options(__doc__, {}, arguments, required=["data"]), "data")
    torch.set_num_threads(1)
    table = pd.concat([pd.read_parquet(path, columns=COLUMNS) for path in paths], ignore_index=True)
    rows = table[(table["mp20_split"] == "val") & table["e_above_hull"].notna()]
    table = to_one_scheme(table)
    start = time.process_time()
    known = known_compounds(table)
    hull = known.stable()
    seconds = time.process_time() - start
    print(f"{len(known)} compounds below 0, {len(hull)} of them stable, {seconds:.1f} s")
    n, largest = against_pymatgen(known, hull)
    print(f"largest difference to pymatgen at {n} compositions: {largest:.1e} eV/atom")
    real = known.composition[:: max(1, len(known) // N_TIMED)]
    for k in (2, 4, MAX_ELEMENTS):
        print(
            f"random compositions of {k} elements: {per_second(hull, random_compositions(N_TIMED, k)):.0f}/s"
        )
    print(f"known compounds: {per_second(hull, real):.0f}/s")
    print(f"energy above hull of {len(rows)} crystals of MP-20 val against its labels:")
    others = known_compounds(without_formulas(table, reduced_formulas(rows))).stable()
    print(label_error("hull of all other formulas", others, rows))
    print(label_error("hull of all formulas", hull, rows))
    shipped, learned = ReferenceHull.from_weights(), LearnedHull.from_weights()
    print(label_error("shipped reference hull", shipped, rows))
    print(label_error("learned hull", learned, rows))
    for name, asked in (("shipped reference hull", shipped), ("learned hull", learned)):
        print(
            f"{name}: {batch_seconds(asked, 24):.4f} s a batch of {BATCH} of 24 elements, "
            f"{batch_seconds(asked, 89):.4f} s of 89"
        )


if __name__ == "__main__":
    run(main)
