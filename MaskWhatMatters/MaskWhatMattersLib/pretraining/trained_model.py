"""The model file of a pretraining: its encoder alone, made of the last checkpoint, and what its card says."""

from __future__ import annotations

from pathlib import Path

from MaskWhatMattersLib.datasets.image_cases import ImageCases
from MaskWhatMattersLib.models import Metric, ModelCard, TrainingData, save_model
from MaskWhatMattersLib.networks.encoders import ARCHITECTURE
from MaskWhatMattersLib.pretraining.config import PretrainConfig
from MaskWhatMattersLib.training import runs
from MaskWhatMattersLib.training.checkpoints import read_checkpoint
from MaskWhatMattersLib.training.run_result import RunResult
from MaskWhatMattersLib.training.runs import MODEL_FILE, OWN_DATA, RunNote

_ENCODER = "encoder."


def begin_run(folder: Path, config: PretrainConfig, cases: ImageCases) -> None:
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
    weights = {
        name.removeprefix(_ENCODER): value for name, value in stored["module"].items() if name.startswith(_ENCODER)
    }
    logged = runs.last_logged(folder, steps, "loss")
    metrics: tuple[Metric, ...] = ()
    if logged:
        protocol = f"Loss of one batch of the images learned from, after step {logged['step']:.0f}"
        metrics = (Metric(name="Pretraining loss", value=round(logged["loss"], 5), protocol=protocol),)
    card = run.card.model_copy(update={"description": f"{run.card.description} {steps} steps.", "metrics": metrics})
    path = folder / MODEL_FILE
    save_model(weights, card, path)
    values = {name: value for name, value in logged.items() if name != "step"}
    return RunResult(path, card.name, steps, values, notes)


def _card(folder: Path, config: PretrainConfig, images: int) -> ModelCard:
    """The card without what only the end of the training tells; it names no file and no patient."""
    masking = config.masking
    how = f"{masking.kind} masking, {masking.ratio:.0%} hidden"
    if masking.kind == "relevance":
        budget = f", {masking.ratio:.0%} of every image" if masking.equal_budget else ""
        how = f"{masking.inside:.0%} hidden inside, {masking.outside:.0%} outside of the relevant region{budget}"
    if config.method == "simclr":
        how = "two views of each image, nothing hidden"
    prompts = ", ".join(config.region.prompts) if config.region.source == "prompts" else ""
    relevant = f" Relevant: {prompts}." if prompts else ""
    return ModelCard(
        name=runs.card_name(folder),
        version=runs.card_version(),
        description=f"Encoder ({config.encoder.kind}, {config.encoder.spatial_dims}D) pretrained by {config.method} on "
        f"{images} images without labels; {how}.{relevant}",
        architecture=ARCHITECTURE,
        config=config.encoder.model_dump(mode="json"),
        preprocessing={"image": config.preprocessing.model_dump(mode="json"), "size": list(config.size)},
        training_data=(TrainingData(name=f"Own images ({images})", licence=OWN_DATA, cases=images),),
        licence=OWN_DATA,
    )
