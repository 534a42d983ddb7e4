"""The model file of a left atrium training, made of its last checkpoint, and what its card says."""

from __future__ import annotations

from pathlib import Path

from MaskWhatMattersLib.corn.cards import LABELS
from MaskWhatMattersLib.corn.config import CornTrainingConfig
from MaskWhatMattersLib.corn.network import ARCHITECTURE
from MaskWhatMattersLib.corn.train import trained_network
from MaskWhatMattersLib.corn.training_result import TrainedModel
from MaskWhatMattersLib.datasets.training_cases import CornCases
from MaskWhatMattersLib.models import Metric, ModelCard, TrainingData, save_model
from MaskWhatMattersLib.training import runs
from MaskWhatMattersLib.training.runs import MODEL_FILE, OWN_DATA, RunNote, card_name, card_version, read_run


def begin_run(folder: Path, config: CornTrainingConfig, cases: CornCases, start: ModelCard | None) -> None:
    """Note what the training is about, or see that it is the one which the folder holds.

    Raises:
        InputError: The folder holds something else, or cannot be written.
    """
    roles = [f"{role}\n{case.name}\n{case.foreground}" for role, case in cases.with_roles()]
    card = _card(folder, config, cases, start)
    runs.begin_run(folder, RunNote(cases=runs.fingerprint(roles), validation_cases=len(cases.validation), card=card))


def export_model(folder: Path) -> TrainedModel:
    """Make the model file of a run from its checkpoint; a model that the same run made before is replaced.

    Raises:
        InputError: There is no checkpoint yet, it is damaged, or the folder is not that of a run.
        ModelFileError: The training has diverged, or the disk is full.
    """
    run = read_run(folder)
    network, config, steps = trained_network(folder)
    # Some methods have a loss of the name "dice"; only validation gives that of both branches.
    scored = runs.last_logged(folder, steps, "dice_auxiliary")
    metrics: tuple[Metric, ...] = ()
    if scored:
        protocol = (
            f"Mean over own scans ({run.validation_cases}) whose labels were not learned from; main branch, whole scan "
            f"at {config.preprocessing.spacing_mm:g} mm, no post-processing, weights after step {scored['step']:.0f}"
        )
        metrics = (Metric(name="Dice, left atrium", value=round(scored["dice"], 4), protocol=protocol),)
    which = f"averaged weights (decay {config.decay:g})" if config.decay else "last weights"
    description = f"{run.card.description} {steps} steps, {which}."
    card = run.card.model_copy(update={"description": description, "metrics": metrics})
    path = folder / MODEL_FILE
    save_model(network.state_dict(), card, path)
    return TrainedModel(path, card.name, steps, scored.get("dice"), run.validation_cases)


def _card(folder: Path, config: CornTrainingConfig, cases: CornCases, start: ModelCard | None) -> ModelCard:
    """The card without what only the end of the training tells; it names no file and no patient."""
    used = len(cases.labelled) + (len(cases.unlabelled) if config.uses_unlabelled else 0)
    counts = f"{len(cases.labelled)} labelled and {used - len(cases.labelled)} unlabelled scans"
    origin = f"adapted from {start.name} {start.version}" if start is not None else "trained from scratch"
    extra = " with the accuracy layer" if config.accuracy_layer else ""
    own = TrainingData(name=f"Own scans ({counts.removesuffix(' scans')})", licence=OWN_DATA, cases=used)
    return ModelCard(
        name=card_name(folder),
        version=card_version(),
        description=f"Left atrium in MR, {origin} on {counts}; mode {config.mode}{extra}.",
        architecture=ARCHITECTURE,
        config=config.network.model_dump(mode="json"),
        preprocessing=config.preprocessing.model_dump(mode="json"),
        labels=LABELS,
        training_data=(*(start.training_data if start is not None else ()), own),
        licence=OWN_DATA if start is None else f"{OWN_DATA}; start model: {start.licence}",
        research_only=start is not None and start.research_only,
    )
