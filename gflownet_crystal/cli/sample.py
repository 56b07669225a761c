"""Sample objects from a trained run and write them as a Parquet or CSV file.

The sampler can be restricted to a part of its space, without training: restrict.elements=[Li,Fe,O],
restrict.space_groups=[225], restrict.n_atoms=[4,20]. With restrict.exact=true the samples are distributed as those of
the whole space that meet the restriction. A sampler that was trained for a range of conditions takes any value in it,
as in condition.band_gap=1.5.
"""

from __future__ import annotations

from gflownet_crystal.common.outputs import check_new
from gflownet_crystal.common.run_schema import LOG_WEIGHT
from gflownet_crystal.config.conditions import condition_values
from gflownet_crystal.config.request import Request
from gflownet_crystal.config.trained_runs import open_run
from gflownet_crystal.workflows.sampling.restricting import conditioning_of, restrictions
from gflownet_crystal.workflows.sampling.samples import check_suffix
from gflownet_crystal.workflows.sampling.sampling import sample_to_file
from gflownet_crystal.workflows.settings.verbs import SampleSettings


def run(request: Request) -> None:
    """The verb ``sample``."""
    settings = settings_of(request)
    out = settings.out
    check_suffix(out)
    check_new(out, "out", settings.overwrite)
    trained = open_run(settings.run, settings.device, settings.threads, settings.trust, quiet=settings.quiet)
    trained = trained.at(settings.condition)
    sampled = sample_to_file(trained.parts.model, trained.parts.reward, settings)
    proxy = trained.parts.reward.proxy
    median = f"median {proxy.property_name} ({proxy.unit}) {sampled.energy:.4g}"
    told = f"their weights are in column {LOG_WEIGHT}" if sampled.weighted else median
    print(f"{sampled.n} samples of {settings.run} in {out}; {told}")


def settings_of(request: Request) -> SampleSettings:
    """Settings of ``sample``."""
    section = request.section("restrict")
    sections = {"restrict": restrictions(section), "exact": conditioning_of(section)}
    return request.settings(SampleSettings, condition=condition_values(request), **sections)
