"""The work of a refinement, done by the parts of the other verbs."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.common.checkpoint import latest
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.files import read_json
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.run_schema import RELAXED
from gflownet_crystal.common.values import names_setting
from gflownet_crystal.config.build import Trust, build, load_class, plain
from gflownet_crystal.config.compose import TARGET, compose_config
from gflownet_crystal.config.prior_training import train_prior
from gflownet_crystal.config.request import Request
from gflownet_crystal.config.trained_generators import generator_settings, trained_generator
from gflownet_crystal.config.trained_runs import TrainedRun, open_run
from gflownet_crystal.config.training import train_sampler
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.prepare import load_prepared
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.data.splits import reduced_formulas
from gflownet_crystal.evaluation.contacts import Contacts
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.trained import KIND
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.e_above_hull import EnergyAboveHull, load_hull
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.proxies.several import SeveralProxies
from gflownet_crystal.relaxation.inputs import Item
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.base import Training
from gflownet_crystal.training.energies.labelled import LabelledStructures
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.generators.choices import TRAINED
from gflownet_crystal.training.proxies.recipe import Recipe, Run
from gflownet_crystal.weights import load_weights, weights_path
from gflownet_crystal.workflows.data.tables import read_crystals
from gflownet_crystal.workflows.placing.generating import make_structures
from gflownet_crystal.workflows.placing.placing import Placer, judged_energies
from gflownet_crystal.workflows.refining.labels import Draw, some_formulas
from gflownet_crystal.workflows.refining.parts import Judge, Learned
from gflownet_crystal.workflows.relaxing.relaxing import load_on, relax_kept
from gflownet_crystal.workflows.sampling.sampling import sample_model
from gflownet_crystal.workflows.settings.refine import RefineSettings
from gflownet_crystal.workflows.settings.training import TrainEnergySettings, TrainPriorSettings
from gflownet_crystal.workflows.training.energies import train_energies
from gflownet_crystal.workflows.training.generators import train_generator

_HOLDOUT = 0.04
"""Share of reduced formulas that trainings of energies and priors validate on where MP-20's val is not there."""


@dataclass(frozen=True)
class VerbEngines:
    """Implementation of :class:`gflownet_crystal.workflows.refining.parts.Engines` by the verbs.

    Attributes:
        settings: settings of ``refine``.
        generator_section: configuration of the generator that puts atoms into samples.
        device: name of the device.
        trust: classes from outside the package that the run may name.
        section: the run's configuration of its spec proxy, ``mlp``.
    """

    settings: RefineSettings
    generator_section: DictConfig
    device: str
    trust: Trust
    section: DictConfig

    @property
    def learned(self) -> str:
        """The key of the spec proxy's section for the trained weights: all its weights, or a correction of them."""
        return "placing" if self.settings.is_placing else "weights"

    def sampler(self, run: str) -> Draw:
        """A trained sampler, opened."""
        parts = self.open(run).parts
        return lambda n, seed: sample_model(parts.model, parts.reward, n, seed, batch_size=min(n, 2048))

    def open(self, run: str) -> TrainedRun:
        """A run folder, or a prior, with its configuration."""
        return open_run(Path(run), self.device, self.settings.threads, self.trust.everything)

    def place(self, folder: Path, samples: pd.DataFrame, learned: Learned) -> pd.DataFrame:
        """Structures of samples, each batch kept once it is done."""
        settings = self.settings
        judge, generator = load_on(learned.energies, None, self.device), self.generator(learned)
        hull, contacts = load_hull(settings.hull), Contacts.from_weights("contacts")
        # labels far from the hull are as good as those near it
        placer = Placer(generator, hull, judge, contacts, settings.tries, inf, settings.seed, self.device)
        return make_structures(
            folder, samples, placer.place, settings.batch_size, settings.quiet, settings.executor
        )

    def generator(self, learned: Learned) -> Generator:
        """The generator, with the weights that it has learned."""
        trained = {"weights": learned.generator, "ranking": learned.ranking}
        section = self.generator_section.copy()
        section.update({key: weights for key, weights in trained.items() if weights is not None})
        return build(section, Generator, "generator")

    def judge(self, energies: str) -> Judge:
        """An energy model, opened."""
        model = load_on(energies, None, self.device)
        return lambda structures: judged_energies(structures.to(self.device), model)[0]

    def relax(self, folder: Path, names: Sequence[str], structures: StructureBatch) -> pd.DataFrame:
        """Prepared rows of structures after ``relax_steps`` steps by the teacher."""
        settings, teacher = self.settings, self.settings.labeller
        relaxation = RelaxationSettings(steps=settings.relax_steps)
        items = [Item(name, structures[row : row + 1]) for row, name in enumerate(names)]
        load = functools.partial(load_on, teacher, None, self.device)
        rows = range(len(items))
        relax_kept(folder, items, rows, load, relaxation, teacher, settings.executor, settings.quiet)
        if not (folder / RELAXED).is_file():
            return pd.DataFrame({ENERGY_COLUMN: np.empty(0)})
        return load_prepared([folder / RELAXED], atoms=True, left_out=LeftOut())

    def proxy(self, weights: str | None) -> Proxy:
        """The run's spec proxy with the weights that it has learned."""
        section = self.section.copy()
        self._learn(section, weights)
        return build(section, Proxy, "proxy")

    def recipe(self, start: str | None) -> Recipe:
        """Recipe of the spec proxy: trained from earlier weights, or a correction of the run's, which stay."""
        given = {"start": start} | ({} if self.learned == "weights" else {"ensemble": self.section.weights})
        return build(OmegaConf.create({**self.settings.training, **given}), Recipe, "training")

    def steps(self, folder: Path) -> Run:
        """Takes the steps of the spec proxy's training; they are recorded in the folder."""

        def take(training: Training) -> None:
            engine = Engine(training, folder, quiet=self.settings.quiet)
            engine.restore(latest(folder))
            with stop_on_signal() as should_stop:
                engine.train(should_stop)

        return take

    def train_energies(
        self, folder: Path, out: Path, start: str, labels: Sequence[Path], held_out: Sequence[Path]
    ) -> None:
        """Train the energy network from earlier weights on labels and known crystals but for held-out formulas."""
        network = load_weights(start, KIND)[1]["network"]
        config = self._training("train_energy", folder, self.settings.energy_loop, start)
        config.model = OmegaConf.create(network)
        config.data = [str(path) for path in (*(self.settings.data or ()), *labels)]
        request = Request(config)
        settings = request.settings(TrainEnergySettings, model=request.network())
        banned = reduced_formulas(load_prepared(held_out))

        def read() -> LabelledStructures:
            data = read_crystals(settings.data, strained=settings.strained, seed=settings.seed)
            return data.take(~np.isin(data.formula, banned) | (data.split == "val"))

        train_energies(request.training_run(folder, "train_energy"), settings, out, read)

    def train_prior(self, folder: Path, out: Path, start: str | None, stable: Sequence[Path]) -> None:
        """Train the prior from earlier weights on known crystals and stable ones."""
        source = self.prior_source() if start is None else start
        config = self._training("train_prior", folder, self.settings.prior_loop, source)
        config.data = [str(path) for path in (*(self.settings.data or ()), *stable)]
        request = Request(config)
        train_prior(folder, request, request.settings(TrainPriorSettings), out)

    def train_generator(
        self, folder: Path, out: Path, start: str, finds: Path, held_out: Sequence[Path]
    ) -> None:
        """Train a generator or a ranking further, on finds and known crystals without held-out formulas."""
        card = read_json(weights_path(start).with_suffix(".json"))
        name = next(name for name, found in TRAINED.items() if found.kind == card["kind"])
        # a ranking learns from large cells too
        choices = [f"generator={name}", *(["max_atoms=null"] if name == "assignments" else [])]
        config = self._training("train_generator", folder, self.settings.generator_loop, start, *choices)
        config.generator.network = OmegaConf.create(card["network"]["settings"])
        config.data = [str(path) for path in (*(self.settings.data or ()), finds)]
        request = Request(config)
        settings = generator_settings(request)
        banned, own = (reduced_formulas(load_prepared(paths)) for paths in (held_out, [finds]))

        def read() -> LabelledStructures:
            data = read_crystals(settings.data, one_scheme=False)
            is_own, validates = np.isin(data.formula, own), data.split == "val"
            replayed = ~is_own & ~validates & ~np.isin(data.formula, banned)
            if (share := self.settings.rounds.replay) is not None:
                most = round(share * int(is_own.sum()))
                replayed &= some_formulas(data.formula, replayed, most, settings.seed)
            return data.take(is_own | validates | replayed)

        run, trained = request.training_run(folder, "train_generator"), trained_generator(request, settings)
        train_generator(run, settings, trained, out, read)

    def prior_source(self) -> str:
        """The prior of the run."""
        section = self.open(str(self.settings.run)).config.get("prior")
        if section is None:
            raise ConfigError(f"prior=true, but run={self.settings.run} has no prior: leave prior out")
        return str(section.source)

    def train_sampler(self, folder: Path, start: str, learned: Learned, found: Sequence[Path]) -> None:
        """Train the sampler from an earlier one as its run says, with the newest weights."""
        config = self.open(start).config
        config.start, config.run.dir, config.resume = start, str(folder), False
        config.seed, config.trust, config.quiet = config.seed + 1, self.trust.everything, self.settings.quiet
        config.record.command = []
        if self.settings.iterations is not None:
            config.trainer.iterations = self.settings.iterations
        self._learn(proxy_section(config, self.trust), learned.proxy)
        if learned.prior is not None:
            config.prior.source, config.prior.digest = learned.prior, None
        if self.settings.known_samples:
            know(config, found)
        train_sampler(Request(config, self.trust), folder)

    def _learn(self, section: DictConfig, weights: str | None) -> None:
        """Put weights into the section of a spec proxy."""
        if self.learned == "weights" and "placing" in section:
            # a correction belongs to the weights that it was trained with
            section.placing = None
        OmegaConf.update(section, self.learned, weights, force_add=True)

    def _training(
        self, verb: str, folder: Path, loop: Mapping[str, object], start: str, *choices: str
    ) -> DictConfig:
        """The configuration of a verb that goes on training weights."""
        config = compose_config(verb, choices)
        config.loop = OmegaConf.merge(config.loop, dict(loop))
        config.holdout = _HOLDOUT
        config.run.dir, config.start, config.seed = str(folder), start, self.settings.seed
        config.device, config.threads, config.quiet = self.device, self.settings.threads, self.settings.quiet
        # as one would give them to the verb: the card says so
        given = {
            "start": start,
            "holdout": config.holdout,
            **{f"loop.{key}": value for key, value in loop.items()},
        }
        config.record.command = [*choices, *(f"{key}={value}" for key, value in given.items())]
        return config


def proxy_section(config: DictConfig, trust: Trust) -> DictConfig:
    """The section of a run's configuration that has the weights of the spec proxy.

    Raises:
        ConfigError: the run's proxy has none that a refinement can train.
    """
    section = config.proxy
    found = load_class(section.get(TARGET), Proxy, "proxy", trust)
    if issubclass(found, SeveralProxies):
        raise ConfigError("the run has several proxies; refine needs a run with proxy=mlp")
    if issubclass(found, EnergyAboveHull):
        section = section.energy
        found = load_class(section.get(TARGET), Proxy, "proxy.energy", trust)
    if not issubclass(found, MLPProxy):
        raise ConfigError(
            f"the run's proxy is {found.__name__}; refine needs a run with proxy=mlp, or proxy=e_above_hull "
            "with proxy.energy=mlp"
        )
    return section


def know(config: DictConfig, found: Sequence[Path]) -> None:
    """Let formulas of earlier samples count as known.

    Raises:
        ConfigError: the run's reward knows no novelty.
    """
    novelty = config.reward.get("novelty")
    if novelty is None:
        raise ConfigError("known_samples=true needs a run with reward=discovery; leave known_samples out")
    known = plain(novelty.known)
    earlier = [] if known is None else names_setting(known, "reward.novelty.known")
    novelty.known = list(dict.fromkeys([*earlier, *map(str, found)]))
