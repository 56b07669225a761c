"""Train a sampler on a property of your own: here, light crystals. The first word is the number of iterations."""

import sys

import torch
from pymatgen.core import Element

import gflownet_crystal as gfc
from gflownet_crystal.proxies import Proxy

MASSES = torch.tensor([0.0] + [float(Element.from_Z(z).atomic_mass) for z in range(1, 119)])


class Density(Proxy):
    """Density of a crystal; low values get a high reward."""

    property_name, unit = "density", "g/cm3"

    def predict(self, batch):
        """Return the density of each spec, (n,) g/cm3."""
        return 1.66053907 * (batch.composition.double() @ MASSES.double()) / batch.volume


iterations = int(sys.argv[1]) if len(sys.argv) > 1 else 600
run = gfc.train(env="crystal", proxy=Density(), iterations=iterations)
print(run.sample(10))
