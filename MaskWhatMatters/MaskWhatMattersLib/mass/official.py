"""The released MASS weights (github.com/Stanford-AIMI/MASS, MIT): their names, and their conversion to a model file.

`python -m MaskWhatMattersLib.mass.official FOLDER [--weights mass_base.pth]` writes mass-base.safetensors and its card.
"""

from __future__ import annotations

import argparse
import re
import shutil
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from MaskWhatMattersLib.errors import ConsentRequiredError, InputError, ModelFileError
from MaskWhatMattersLib.mass.model_files import save_mass
from MaskWhatMattersLib.mass.preprocessing import MassPreprocessing
from MaskWhatMattersLib.models import HubFile, HubModel, ModelCard, TrainingData, download, load_into, read_third_party
from MaskWhatMattersLib.networks.mass_config import PRESETS
from MaskWhatMattersLib.networks.mass_network import MassNetwork
from MaskWhatMattersLib.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor

NAME = "mass-base"
SOURCE = "https://huggingface.co/StanfordAIMI/MASS/resolve/main/mass_base.pth"
"""Where the authors offer the file; size and checksum are not known to us."""
LICENCE = "MIT"

_RESEARCH_ONLY = ("AMOS", "AutoPET", "BraTS 2018")
_TRAINING_DATA = tuple(
    TrainingData(name=name, licence="terms of the set; not verified by us", research_only=name in _RESEARCH_ONLY)
    for name in ("BCV", "KiTS", "LiTS", "M&Ms", "StructSeg", "TotalSegmentator CT and MR", *_RESEARCH_ONLY)
)
_TIMEOUT_S = 30.0
_EXPECTED_BYTES = 484_000_000  # 120.8 million numbers of four bytes; a checkpoint with more than weights is larger
_CAUTION = "size by the number of parameters, checksum not known: not verified by us"

_AVERAGED = ("ema_model_state_dict", "ema_state_dict", "model_ema", "ema_model", "ema", "state_dict_ema")
"""Where a checkpoint may keep averaged weights, which are those to use."""
_PREFIXES = ("module.", "_orig_mod.", "ema_model.")

# The decoder joins maps of the encoder first, then the enlarged ones, as in earlier code of the same authors; the
# shapes cannot tell.
_RENAMED: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"^encoder\.inc\.conv1\.", "encoder.stem."),
    (r"^encoder\.inc\.conv2\.", "encoder.first."),
    (r"^encoder\.down(\d)\.conv\.(\d)\.", lambda found: f"encoder.stages.{int(found[1]) - 1}.{int(found[2]) - 1}."),
    (r"^decoder\.up(\d)\.conv\.", lambda found: f"decoder.stages.{int(found[1]) - 1}."),
    (r"\.conv1\.conv\.", ".first."),
    (r"\.conv2\.conv\.", ".second."),
    (r"\.shortcut\.conv\.", ".shortcut."),
    (r"^decoder\.prior_fuse\.(\d)\.attn_layers\.", r"decoder.fusions.\1."),
    (r"\.prior_aggregate_block\.", ".labels_see_places."),
    (r"\.prior_ffn\.", ".labels_think."),
    (r"\.feat_aggregate_block\.", ".places_see_labels."),
    (r"\.feat_ffn\.", ".places_think."),
    (r"\.prior_attn_block\.", ".labels_see_labels."),
    (r"\.prior_ffn_2\.", ".labels_think_again."),
    (r"^task_embedding\.(\d)\.", r"task_encoders.\1."),
    (r"\.task_query$", ".queries"),
    (r"\.attn_layers\.", ".blocks."),
    (r"\.query_attn_block_1\.", ".tokens_first."),
    (r"\.query_ffn_1\.", ".think_first."),
    (r"\.query_aggregate_block\.", ".look."),
    (r"\.query_aggregate_ffn\.", ".think."),
    (r"\.query_attn_block_2\.", ".tokens_last."),
    (r"\.query_ffn_2\.", ".think_last."),
    (r"\.norm_foreground\.", ".mean_norm."),
    (r"\.norm_query\.", ".query_norm."),
    (r"\.norm_combined\.", ".start_norm."),
    (r"\.norm_post\.", ".final_norm."),
    (r"\.(expand|merge|squeeze)\.2\.", r".\1."),
    (r"\.pos_embed\.embedding$", ".positions.parts.0"),
    (r"\.norm1\.", ".norm."),
    (r"\.norm2\.", ".context_norm."),
    (r"\.fn\.mha\.in_proj_", ".attention.projection."),
    (r"\.fn\.mha\.out_proj\.", ".attention.output."),
    (r"\.fn\.fc1\.", ".perceptron.first."),
    (r"\.fn\.fc2\.", ".perceptron.second."),
    (r"^out\.norm\.", "classifier.norm."),
    (r"^out\.classifier_pred\.0\.", "classifier.first."),
    (r"^out\.classifier_pred\.1\.", "classifier.second."),
    (r"^(classifier\.\w+)\.fc1\.", r"\1.first."),
    (r"^(classifier\.\w+)\.fc2\.", r"\1.second."),
    (r"^task_prior_(\d)$", r"memory_\1"),
)


def our_name(name: str) -> str:
    """What a tensor of the release is called here.

    >>> our_name("encoder.down1.conv.1.shortcut.conv.weight")
    'encoder.stages.0.0.shortcut.weight'
    """
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Released weights by our names; prefixes of parallel training and compilation are dropped."""
    return {our_name(_without_prefixes(name)): tensor for name, tensor in weights.items()}


def convert_official(path: Path, output: Path) -> ModelCard:
    """Write the released weights as the model file `mass-base` with its card.

    Args:
        path: mass_base.pth, or a checkpoint of the authors' code.
        output: Folder for mass-base.safetensors and mass-base.json, for example the user's folder of models.

    Raises:
        ModelFileError: Not readable, or other tensors than the release has; lists which.
    """
    network = MassNetwork(PRESETS["official"])
    load_into(network, renamed(read_third_party(path, first=_AVERAGED)), source=path)
    return save_mass(
        output / f"{NAME}.safetensors",
        network,
        MassPreprocessing(normalise="crop"),
        version="1.0.0",
        description=(
            "MASS as released by its authors (arXiv 2603.13660), 120 million parameters, CT, MR and PET; learned from "
            "automatic masks only. Converted, not verified by us. Needs a GPU. Not for clinical use."
        ),
        licence=LICENCE,
        training_data=_TRAINING_DATA,
    )


def download_official(
    output: Path,
    *,
    consent: bool | Callable[[HubModel], bool] = False,
    report: Progress | None = None,
    url: str = SOURCE,
) -> ModelCard:
    """Fetch the released weights from their authors and convert them; the server is not asked before the user.

    Args:
        output: As in `convert_official`; an interrupted download waits there.
        consent: True, or a question that shows `HubModel.summary` and returns the answer.
        report: Gets one step per MB; may stop the download.
        url: Of mass_base.pth.

    Raises:
        ConsentRequiredError: The answer was no.
        ModelFileError: No connection, full disk, or other tensors than the release has.
    """
    offered = _offer(url, _EXPECTED_BYTES)
    if not (consent(offered) if callable(consent) else consent):
        raise ConsentRequiredError(
            f"The released MASS weights are not downloaded without your consent ({offered.summary}; {_CAUTION}). "
            "Agree, or download mass_base.pth yourself and convert it."
        )
    folder = download(_offer(url, _size_of(url)), consent=True, report=report, user_folder=output)
    try:
        return convert_official(folder / "mass_base.pth", output)
    finally:
        shutil.rmtree(folder)


def _offer(url: str, size_bytes: int) -> HubModel:
    return HubModel(
        name=f"{NAME}-original",
        description=f"As released; {_CAUTION}.",
        licence=LICENCE,
        research_only=True,
        files=(HubFile(name="mass_base.pth", url=url, size_bytes=size_bytes, sha256=None),),
    )


def _size_of(url: str) -> int:
    """Of a file on a server, bytes; only the header of the answer is read."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:
            return int(response.headers["Content-Length"])
    except (OSError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{url} does not answer, or does not say how large it is ({error}). Check the network, or download "
            "mass_base.pth yourself and convert it."
        ) from error


def _without_prefixes(name: str) -> str:
    while prefix := next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None):
        name = name.removeprefix(prefix)
    return name


def main() -> None:
    """Command line of the conversion."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder for the model file and its card")
    parser.add_argument("--weights", type=Path, help="mass_base.pth; asks and downloads it when not given")
    given = parser.parse_args()
    try:
        if given.weights is not None:
            card = convert_official(given.weights, given.output)
        else:
            card = download_official(given.output, consent=_ask)
    except InputError as error:
        parser.error(str(error))
    print(f"{card.name} {card.version} is in {given.output}. {card.description}")


def _ask(offered: HubModel) -> bool:
    answer = input(f"Download the released MASS weights ({offered.summary}; {_CAUTION})? [y/N] ")
    return answer.strip().lower() in ("y", "yes")


if __name__ == "__main__":
    main()
