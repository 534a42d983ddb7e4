"""Load a model of the `transformers` library from a folder: safetensors only, strictly, never from the network."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from MaskWhatMattersLib.errors import ModelFileError


@dataclass(frozen=True)
class ModelFolder:
    """A folder in the layout of the hub, and the device to load it to."""

    path: Path
    device: torch.device

    @property
    def config(self) -> dict[str, Any]:
        """The content of config.json.

        Raises:
            ModelFileError: Missing or damaged.
        """
        try:
            config = json.loads((self.path / "config.json").read_text(encoding="utf-8"))
        except OSError:
            raise ModelFileError(
                f"{self.path} is not a model folder: config.json is missing. Choose the folder that holds config.json, "
                "model.safetensors and the tokenizer."
            ) from None
        except ValueError as error:
            raise ModelFileError(
                f"{self.path / 'config.json'} is damaged ({error}). Copy the model again from its source."
            ) from None
        if not isinstance(config, dict):
            raise ModelFileError(f"{self.path / 'config.json'} describes no model. Copy the model again.")
        return config

    @property
    def model_type(self) -> str:
        """The family that the config names; empty when it names none."""
        return str(self.config.get("model_type", ""))

    def model(self, class_name: str) -> Any:
        """The network, ready to predict.

        Raises:
            ModelFileError: No class of that name, a damaged file, a pickle, or tensors that do not fit.
        """
        import transformers

        try:
            cls = getattr(transformers, class_name)
        except (AttributeError, ImportError) as error:  # an unknown name, or a class whose own packages are missing
            raise ModelFileError(
                f"{self.path.name} needs the class {class_name}, which transformers {transformers.__version__} does "
                f"not have here: {_first_line(error)} Install a newer version of transformers."
            ) from error
        if not any(self.path.glob("*.safetensors")):
            found = ", ".join(sorted(file.name for file in self.path.glob("*.bin"))) or "no weights"
            raise ModelFileError(
                f"{self.path} holds no safetensors file; found {found}. Other formats can run code when they are read "
                "and are not used. Convert the weights to model.safetensors first."
            )
        try:
            with _quietly():
                network, report = cls.from_pretrained(
                    self.path, local_files_only=True, use_safetensors=True, output_loading_info=True
                )
        except Exception as error:  # a dozen kinds, from ImportError to SafetensorError
            raise ModelFileError(
                f"{self.path} cannot be loaded as {class_name}: {_first_line(error)} Copy the model again from its "
                "source, and check that it is for this class."
            ) from error
        _require_all_weights(self.path, class_name, report)
        return network.to(self.device).eval()

    def tokenizer(self) -> Any:
        """What turns a prompt into numbers.

        Raises:
            ModelFileError: The folder has none that can be read.
        """
        from transformers import AutoTokenizer

        try:
            with _quietly():
                return AutoTokenizer.from_pretrained(self.path, local_files_only=True)
        except Exception as error:
            raise ModelFileError(
                f"{self.path} has no tokenizer that can be read: {_first_line(error)} Copy tokenizer.json and "
                "tokenizer_config.json of the model into the folder."
            ) from error


def _require_all_weights(path: Path, class_name: str, report: dict[str, Any]) -> None:
    """transformers fills what a file lacks with random numbers and only warns."""
    problems = [
        f"{len(names)} {what}: {', '.join(str(name) for name in list(names)[:5])}{' ...' if len(names) > 5 else ''}"
        for what, key in (
            ("missing", "missing_keys"),
            ("unexpected", "unexpected_keys"),
            ("of another shape", "mismatched_keys"),
        )
        if (names := report.get(key))
    ]
    if problems:
        raise ModelFileError(
            f"The weights in {path} are not those of {class_name}. Tensors {'; '.join(problems)}. Choose the folder of "
            "the right model."
        )


def _first_line(error: Exception) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return text if text.endswith(".") else text + "."


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the progress bars and load reports of transformers, which would tear ours."""
    import transformers

    logging: Any = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
