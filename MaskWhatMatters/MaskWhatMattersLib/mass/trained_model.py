"""The model file of a pretraining: the averaged weights of the last checkpoint, and what its card says."""

from __future__ import annotations

from pathlib import Path

from MaskWhatMattersLib.datasets.image_cases import ImageCases
from MaskWhatMattersLib.mass.pretrain_config import MassPretrainConfig
from MaskWhatMattersLib.models import Metric, ModelCard, TrainingData, save_model
from MaskWhatMattersLib.networks.mass_config import ARCHITECTURE
from MaskWhatMattersLib.training import runs
from MaskWhatMattersLib.training.checkpoints import read_checkpoint
from MaskWhatMattersLib.training.run_result import RunResult
from MaskWhatMattersLib.training.runs import MODEL_FILE, OWN_DATA, RunNote


def begin_run(folder: Path, config: MassPretrainConfig, cases: ImageCases) -> None:
    """Note what the pretraining is about, or see that it is the one which the folder holds.

    Raises:
        InputError: The folder holds something else, or cannot be written.
    """
    names = [case.name for case in cases.cases]
    runs.begin_run(folder, RunNote(cases=runs.fingerprint(names), card=_card(folder, config, len(names))))


def export_model(folder: Path, notes: tuple[str, ...] = ()) -> RunResult:
    """Make the model file of a run from its checkpoint; a model that the same run made before is replaced.

    Raises:
        InputError: There is no checkpoint yet, it is damaged, or the folder is not that of a run.
        ModelFileError: The training has diverged, or the disk is full.
    """
    run = runs.read_run(folder)
    stored = read_checkpoint(folder)
    steps = int(stored["step"])
    logged = runs.last_logged(folder, steps, "loss")
    metrics: tuple[Metric, ...] = ()
    if logged:
        protocol = f"Dice of automatic masks in augmented crops of the scans learned from, after step {steps}"
        metrics = (Metric(name="Pretraining Dice", value=round(logged["dice"], 4), protocol=protocol),)
    card = run.card.model_copy(update={"description": f"{run.card.description} {steps} steps.", "metrics": metrics})
    path = folder / MODEL_FILE
    save_model(stored["average"], card, path)
    values = {name: value for name, value in logged.items() if name != "step"}
    return RunResult(path, card.name, steps, values, notes)


def _card(folder: Path, config: MassPretrainConfig, scans: int) -> ModelCard:
    """The card without what only the end of the training tells; it names no file and no patient."""
    return ModelCard(
        name=runs.card_name(folder),
        version=runs.card_version(),
        description=f"Segments by example (MASS, width {config.network.width}); pretrained by in-context segmentation "
        f"of automatic masks on {scans} scans without labels, {config.preprocessing.spacing_mm:g} mm voxels.",
        architecture=ARCHITECTURE,
        config=config.network.model_dump(mode="json"),
        preprocessing=config.preprocessing.model_dump(mode="json"),
        training_data=(TrainingData(name=f"Own scans ({scans})", licence=OWN_DATA, cases=scans),),
        licence=OWN_DATA,
    )
