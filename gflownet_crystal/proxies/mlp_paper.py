"""The proxy of Crystal-GFN (Mila AI4Science et al., 2023, appendix D and table 1): composition, group, raw lattice."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gflownet_crystal.models.spec_energy.features import check_specs
from gflownet_crystal.proxies.stored import StoredProxy
from gflownet_crystal.structures.element_properties import N_PROPERTIES
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.weights import fitting_tensors

KIND = "mlp_paper"


class PaperNetwork(nn.Module):
    """PhAST-like element embeddings averaged over the atoms, a group embedding and an MLP on the lattice parameters.

    Args:
        properties_size: projection of the elements' properties.
        group_size: embedding of an element's group.
        period_size: embedding of an element's period.
        number_size: embedding of the atomic number.
        space_group_size: embedding of the space group.
        lattice_channels: hidden width of the lattice MLP (one hidden layer).
        n_layers: hidden layers of the final MLP.
        channels: their width.
        seed: random seed of the initial weights.
    """

    properties: Tensor
    lattice_scale: Tensor
    element_tables: Tensor

    def __init__(
        self,
        properties_size: int = 64,
        group_size: int = 16,
        period_size: int = 256,
        number_size: int = 128,
        space_group_size: int = 128,
        lattice_channels: int = 284,
        n_layers: int = 5,
        channels: int = 576,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.arguments = {
            "properties_size": properties_size, "group_size": group_size, "period_size": period_size,
            "number_size": number_size, "space_group_size": space_group_size,
            "lattice_channels": lattice_channels, "n_layers": n_layers, "channels": channels, "seed": seed,
        }  # fmt: skip
        self.register_buffer("properties", torch.zeros(N_ATOMIC_NUMBERS, N_PROPERTIES))
        self.register_buffer("lattice_scale", torch.stack([torch.zeros(6), torch.ones(6)]))
        self.register_buffer("element_tables", torch.zeros(2, N_ATOMIC_NUMBERS, dtype=torch.int64))
        self.project = nn.Linear(N_PROPERTIES, properties_size)
        self.number = nn.Embedding(N_ATOMIC_NUMBERS, number_size)
        self.period = nn.Embedding(8, period_size)
        self.group = nn.Embedding(19, group_size)
        embedding = properties_size + group_size + period_size + number_size
        self.mix = nn.Sequential(nn.Linear(embedding, embedding), nn.SiLU())
        self.space_group = nn.Embedding(231, space_group_size)
        self.lattice = nn.Sequential(
            nn.Linear(6, lattice_channels),
            nn.SiLU(),
            nn.Linear(lattice_channels, lattice_channels),
            nn.SiLU(),
        )
        widths = [embedding + space_group_size + lattice_channels, *[channels] * n_layers]
        hidden = [layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.SiLU())]
        self.hidden = nn.Sequential(*hidden)
        self.head = nn.Linear(channels, 1)
        self._initialise(seed)

    def _initialise(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                if parameter.dim() == 1:
                    parameter.zero_()
                else:
                    parameter.copy_(
                        torch.randn(parameter.shape, generator=generator) / parameter.shape[1] ** 0.5
                    )

    def forward(self, fractions: Tensor, space_group: Tensor, lattice: Tensor) -> Tensor:
        """Formation energies (n,), eV/atom.

        Args:
            fractions: (n, 119) float32 shares of the elements.
            space_group: (n,) int64.
            lattice: (n, 6) float32, A and degrees.
        """
        period, group = self.element_tables
        parts = [self.project(self.properties), self.number.weight, self.period(period), self.group(group)]
        composition = fractions @ self.mix(torch.cat(parts, dim=1))
        scaled = (lattice - self.lattice_scale[0]) / self.lattice_scale[1]
        joined = torch.cat([composition, self.space_group(space_group), self.lattice(scaled)], dim=1)
        hidden = self.hidden(joined)
        with torch.autocast(hidden.device.type, enabled=False):
            # bfloat16 would round the energies
            energy: Tensor = self.head(hidden.float())[:, 0]
        return energy


class PaperMLPProxy(StoredProxy):
    """Formation energy per atom by the architecture of Crystal-GFN's paper, trained on true cells alone.

    It knows nothing of strained cells; use it to repeat the paper's experiment.

    Args:
        weights: name of shipped weights or path of a ``.safetensors`` file with its card beside it.
        batch_size: specs evaluated at a time; None for all of a batch on a GPU, ``cpu_batch_size`` on a CPU.

    Raises:
        WeightsError: the weights are missing, corrupt or of another network.
    """

    kind: ClassVar[str] = KIND
    cpu_batch_size: ClassVar[int] = 4096

    def __init__(self, weights: str | Path = "mlp_paper", batch_size: int | None = None) -> None:
        super().__init__(weights, batch_size)

    def _build(self, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
        with fitting_tensors(tensors, "the paper's network"):
            self.network = PaperNetwork(**card["network"]).eval()
            self.network.load_state_dict(tensors)

    @torch.no_grad()
    def predict(self, batch: CrystalSpec) -> Tensor:
        check_specs(batch)
        parts = [
            self.network(
                specs.fractions.float(),
                specs.space_group,
                torch.cat([specs.lengths, specs.angles], dim=1).float(),
            )
            for specs in self.batches(batch)
        ]
        return torch.cat(parts).double()
