"""Predict crystal structures of a formula, or vary a given crystal, best first: a table, CIFs and a summary.

From the formula alone: a prior and known prototypes give likely space groups, numbers of formula units and cells, a
generator puts the atoms in, an energy model ranks the structures. space_group= and lattice= narrow the search. From a
crystal (start=FILE): other elements on its sites, other groups and cells for its elements, or a doped supercell. Of a
list of formulas each is kept once it is done; a run that was stopped goes on with resume=true.
"""

from __future__ import annotations

from gflownet_crystal.cli.page import print_predictions
from gflownet_crystal.config.predicting import predictor_of
from gflownet_crystal.config.request import Request
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.workflows.predicting.files import in_words, write_predictions
from gflownet_crystal.workflows.predicting.tasks import tasks_asked
from gflownet_crystal.workflows.settings.predict import PredictSettings


def run(request: Request) -> None:
    """The verb ``predict``."""
    settings = request.settings(PredictSettings)
    tasks = tasks_asked(settings)
    predictor = predictor_of(settings, request.build("generator", Generator))
    predictions = write_predictions(settings, tasks, predictor, request.value("generator"))
    if len(predictions) == 1 and predictions[0].frame is not None:
        print_predictions(predictions[0].frame)
    for folder, summary, _ in predictions:
        print(in_words(summary) if summary.get("reason") else f"{in_words(summary)}; in {folder}")
