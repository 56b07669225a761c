"""Agreement of CPU and GPU, and rates of a GPU. Prints one JSON object a part as it goes.

    python -m benchmarks.gpu [data=FILE.parquet] [parts=checks,rates] [device=cuda] [seconds=3]

FILE holds crystals in the package's schema; without it, parts that read crystals are left out. Checks: masks of
env=crystal bit for bit, log-probabilities of both policies, energies of the proxy ``mlp``, energies, forces and
stresses of ``alignn`` and ``gemsnet``, and structures of the generators (coordinates, as each draws the same numbers
everywhere). Rates: trajectories of training and sampling by batch size, with the number of kernels (on a CPU, of
operations, which are one kernel or more each) and of waits for the device in an iteration; crystals of ``alignn`` and
``gemsnet`` judged and trained on by batch size; specs that get atoms. A part that fails is reported with its error, and
the others go on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.options import names, read_options, run
from gflownet_crystal.common.devices import autocast, find_device
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.config.parts import Parts, build_parts
from gflownet_crystal.envs.base import Context
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.gflownet.log_probs import evaluate
from gflownet_crystal.gflownet.rollout import sample_forward
from gflownet_crystal.models.energies.trained import TrainedEnergies
from gflownet_crystal.models.layers.stored_graphs import StoredGraphs
from gflownet_crystal.structures.batching import cut_by_atoms
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.energies.labelled import read_labelled
from gflownet_crystal.training.samplers.training import SamplerTraining
from tests.models.host_guard import HostWaits, as_on_a_gpu

_DEFAULTS = {"data": "", "parts": "checks,rates", "device": "cuda", "seconds": "3"}
_NETWORKS = ("alignn", "gemsnet")
_GENERATORS = ("wyckoff", "gemsdiff", "langevin")
_CPU = torch.device("cpu")


def main(arguments: list[str]) -> None:
    """Run the parts and print their results."""
    options = read_options(__doc__, _DEFAULTS, arguments)
    device, seconds = find_device(options["device"]), float(options["seconds"])
    structures = None
    if options["data"]:
        found = read_labelled([Path(options["data"])]).structures
        structures = found[(found.n_atoms <= 20).nonzero()[:, 0]]
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    _report("machine", lambda: {"device": name, "torch": torch.__version__})
    for part in names(options, "parts", ("checks", "rates")):
        work = checks(device, structures) if part == "checks" else rates(device, structures, seconds)
        for title, step in work.items():
            _report(f"{part}: {title}", step)


def _report(title: str, step: Callable[[], dict[str, Any]]) -> None:
    start = time.perf_counter()
    try:
        found = step()
    except Exception as error:  # one part must not end the others
        found = {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"}
    seconds = round(time.perf_counter() - start, 1)
    print(json.dumps({"part": title, **found, "took_s": seconds}), flush=True)


def checks(
    device: torch.device, structures: StructureBatch | None
) -> dict[str, Callable[[], dict[str, Any]]]:
    """Calculations on which the CPU and the device should agree."""
    work: dict[str, Callable[[], dict[str, Any]]] = {"sampler": lambda: _check_sampler(device)}
    if structures is not None:
        few = structures[torch.arange(min(64, len(structures)))]
        for name in _NETWORKS:
            work[name] = lambda name=name: _check_energies(name, few, device)  # type: ignore[misc]
    for name in _GENERATORS:
        work[name] = lambda name=name: _check_generator(name, device)  # type: ignore[misc]
    return work


def _parts(device: torch.device, *overrides: str) -> Parts:
    words = ["env=crystal", "proxy=mlp", f"device={device}", *overrides]
    return build_parts(compose_config("train_gfn", words))


def _moved(context: Context, device: torch.device) -> Context:
    return Context(context.n, device, tuple(state.to(device) for state in context.states))


def _check_sampler(device: torch.device, n: int = 512) -> dict[str, Any]:
    """Masks along CPU trajectories, and whether both devices agree on them."""
    here, there = _parts(_CPU), _parts(device)
    there.model.load_state_dict(here.model.state_dict())
    paths = sample_forward(here.model, n, torch.Generator().manual_seed(0))
    differing = compared = 0
    for index, part in enumerate(paths.stages):
        earlier = Context(n, _CPU, paths.terminal.states[:index])[part.row]
        for states, record, method in (
            (part.parent, part.forward_support, "forward_support"),
            (part.child, part.backward_support, "backward_support"),
        ):
            with _way_of(device):
                support = getattr(there.env.stages[index], method)(states.to(device), _moved(earlier, device))
            pairs = (
                [(record, support)]
                if isinstance(record, Tensor)
                else [(getattr(record, f.name), getattr(support, f.name)) for f in fields(record)]
            )
            for mine, other in pairs:
                if mine.dtype == torch.bool:
                    differing += int((mine != other.cpu()).sum())
                    compared += mine.numel()
    moved = _to(paths, device)
    specs = here.env.objects(paths.terminal)
    with torch.no_grad():
        log_probs, mine = evaluate(here.model, paths), here.reward(specs)
        with _way_of(device):
            others, other = evaluate(there.model, moved), there.reward(there.env.objects(moved.terminal))
    errors = [(one - two.cpu()).abs().max().item() for one, two in zip(log_probs, others, strict=True)]
    return {
        "masks_compared": compared,
        "masks_differing": differing,
        "log_pf_error": errors[0],
        "log_pb_error": errors[1],
        "proxy_error_eV": (mine.prediction.value - other.prediction.value.cpu()).abs().max().item(),
        "std_error_eV": (mine.prediction.std - other.prediction.std.cpu()).abs().max().item(),
    }


def _way_of(device: torch.device) -> AbstractContextManager[None]:
    """The way in which the device computes; on a CPU that of a GPU, so that the two ways are compared there too."""
    return as_on_a_gpu() if device.type == "cpu" else nullcontext()


def _to(value: Any, device: torch.device) -> Any:
    """Trajectories on a device."""
    stages = tuple(
        type(part)(*(getattr(part, field.name).to(device) for field in fields(part))) for part in value.stages
    )
    return type(value)(_moved(value.terminal, device), stages)


def _check_energies(name: str, structures: StructureBatch, device: torch.device) -> dict[str, Any]:
    """Energies of single precision, forces and stresses of double."""
    here, there = (TrainedEnergies.from_weights(name).to(place) for place in (_CPU, device))
    energy = [model.predict(structures.to(place)) for model, place in ((here, _CPU), (there, device))]
    found = {
        "energy_error_eV_per_atom": (energy[0][0] - energy[1][0].cpu()).abs().nan_to_num(9.0).max().item(),
        "std_error_eV_per_atom": (energy[0][1] - energy[1][1].cpu()).abs().nan_to_num(9.0).max().item(),
    }
    few = structures[torch.arange(8)]
    mine, other = (model.derivatives(few) for model in (here, there))
    for name, unit in (("energy", "eV"), ("forces", "eV_per_A"), ("stress", "eV_per_A3")):
        found[f"{name}_{unit}_error"] = (getattr(mine, name) - getattr(other, name)).abs().max().item()
    return found


def _generator(name: str, device: torch.device) -> Generator:
    config = compose_config("generate", [f"generator={name}", "generator.tries=1"])
    made: Any = build(config.generator, Generator, "generator")
    return made.to(device) if hasattr(made, "to") else made


def _specs(n: int, device: torch.device) -> Any:
    parts = _parts(_CPU)
    paths = sample_forward(parts.model, n, torch.Generator().manual_seed(1))
    return parts.env.objects(paths.terminal).to(device)


def _check_generator(name: str, device: torch.device, n: int = 8) -> dict[str, Any]:
    """Structures of the same seed."""
    mine = _generator(name, _CPU).generate(_specs(n, _CPU), seed=0)
    other = _generator(name, device).generate(_specs(n, device), seed=0)
    same = mine.rows.tolist() == other.rows.tolist()
    found: dict[str, Any] = {"specs": n, "placed": len(mine.rows), "same_rows": same}
    if same and len(mine.rows):
        difference = mine.structures.fractional - other.structures.fractional.cpu()
        found["coordinate_error"] = (difference - difference.round()).abs().max().item()
    return found


def rates(
    device: torch.device, structures: StructureBatch | None, seconds: float
) -> dict[str, Callable[[], dict[str, Any]]]:
    """Calculations whose speed is measured."""
    sizes = (256, 1024, 4096, 16384) if device.type == "cuda" else (256,)
    work: dict[str, Callable[[], dict[str, Any]]] = {
        f"training, batch {size}": lambda size=size: _training_rate(device, size, seconds)  # type: ignore[misc]
        for size in sizes
    }
    if structures is not None:
        for name in _NETWORKS:
            for atoms in (4096, 16384) if device.type == "cuda" else (1024,):
                work[f"{name}, {atoms} atoms"] = lambda name=name, atoms=atoms: _network_rate(  # type: ignore[misc]
                    name, structures, device, atoms, seconds
                )
    for name in _GENERATORS:
        work[f"{name}, 64 specs"] = lambda name=name: _generator_rate(name, device)  # type: ignore[misc]
    return work


def _wait(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _rate(work: Callable[[], int], device: torch.device, seconds: float) -> float:
    """Items a second, after one call of warm-up."""
    work()
    start, items = _wait(device), 0
    while (now := _wait(device)) - start < seconds:
        items += work()
    return round(items / (now - start), 1)


def _training_rate(device: torch.device, size: int, seconds: float) -> dict[str, Any]:
    """Whole iterations of the default run, and one of them looked at by the profiler; on a CPU counted as on a GPU."""
    parts = _parts(device, f"trainer.batch_size={size}")
    training = SamplerTraining(parts.model, parts.reward, parts.objective, parts.settings)

    def iterate() -> int:
        training.take_step()
        return size

    found: dict[str, Any] = {"trajectories_per_s": _rate(iterate, device, seconds)}
    if device.type == "cuda":
        with torch.profiler.profile() as profile:
            iterate()
        events = profile.key_averages()
        found["kernels"] = sum(e.count for e in events if "LaunchKernel" in e.key)
        found["waits"] = sum(e.count for e in events if "Synchronize" in e.key)
        found["memory_GB"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    else:
        with as_on_a_gpu(), HostWaits() as counted:
            iterate()
        found["operations"], found["waits"] = counted.n_operations, counted.lines.total()
    return found


def _network_rate(
    name: str, structures: StructureBatch, device: torch.device, atoms: int, seconds: float
) -> dict[str, Any]:
    """Crystals judged (their neighbours searched for) and trained on (graphs stored), in bfloat16."""
    energies = TrainedEnergies.from_weights(name).to(device)
    model = energies.model
    some = structures[torch.arange(min(8192, len(structures)))].to(device)
    stored = StoredGraphs.of(some, model.graph)
    # batches of about equal sizes, as in a training
    batches = cut_by_atoms(some.n_atoms.cpu().argsort(stable=True), some.n_atoms.cpu(), atoms)
    batches = [rows.to(device) for rows in batches[:-1] or batches]
    place = [0]

    def rows() -> Tensor:
        place[0] = (place[0] + 1) % len(batches)
        return batches[place[0]]

    def judge() -> int:
        chosen = rows()
        with torch.no_grad(), autocast(device, True):
            model(model.graph(some[chosen]))
        return len(chosen)

    def train() -> int:
        chosen = rows()
        with autocast(device, True):
            loss = model(stored.batch(chosen)).float().abs().mean()
        loss.backward()
        model.zero_grad()
        return len(chosen)

    found: dict[str, Any] = {"judged_per_s": _rate(judge, device, seconds)}
    model.train()
    found["trained_per_s"] = _rate(train, device, seconds)
    if device.type == "cuda":
        found["memory_GB"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    return found


def _generator_rate(name: str, device: torch.device, n: int = 64) -> dict[str, Any]:
    specs, generator = _specs(n, device), _generator(name, device)
    start = _wait(device)
    made = generator.generate(specs, seed=0)
    return {"placed": len(made.rows), "specs_per_s": round(n / (_wait(device) - start), 1)}


if __name__ == "__main__":
    run(main)
