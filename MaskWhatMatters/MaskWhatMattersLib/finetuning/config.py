"""Every setting of a finetuning, from the command line, a TOML file or the panel."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from MaskWhatMattersLib.datasets.device_scans import PatchAugmentConfig
from MaskWhatMattersLib.datasets.image_preprocessing import ImagePreprocessing
from MaskWhatMattersLib.networks.encoders import EncoderConfig, ViTConfig

TaskName = Literal["classification", "detection", "segmentation"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HeadConfig(_Part):
    """What is put on the encoder; each task reads its own fields."""

    features: int = Field(16, ge=1, description="Segmentation: channels at full resolution (UNETR on a ViT).")
    dropout: float = Field(0.0, ge=0, lt=1, description="Classification: before the last layer.")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="Classification: of the target.")
    queries: int = Field(20, ge=1, description="Detection: most objects that can be found in an image.")
    query_features: int = Field(128, ge=8, description="Detection: features of a query and of a pixel.")
    decoder_layers: int = Field(3, ge=1, description="Detection: layers of the transformer decoder.")


class FinetuneConfig(_Part):
    """A finetuning. A start model replaces `encoder`, `preprocessing` and `size`, where these are not given."""

    task: TaskName = "segmentation"
    encoder: EncoderConfig = Field(default_factory=ViTConfig)
    head: HeadConfig = HeadConfig()
    preprocessing: ImagePreprocessing = ImagePreprocessing()
    augment: PatchAugmentConfig = PatchAugmentConfig(quarter_turns=False, flips=False)
    size: tuple[int, ...] = Field((96, 96, 96), description="Voxels of a crop along the spatial axes.")
    batch_size: int = Field(4, ge=1, description="Crops per step and process.")
    steps: int = Field(5_000, ge=1, description="Optimizer steps.")
    minutes: float | None = Field(None, gt=0, description="Budget: at most as many steps as fit.")
    optimizer: Literal["adamw", "lamb"] = Field("adamw", description="LAMB is for large batches.")
    learning_rate: float = Field(1e-4, gt=0, description="Of the head, after the warm-up.")
    layer_decay: float = Field(0.75, gt=0, le=1, description="Factor of the learning rate per layer below the head.")
    weight_decay: float = Field(0.05, ge=0, description="Of matrices; not of biases, norms and positions.")
    betas: tuple[float, float] = Field((0.9, 0.999), description="Of the running means of the optimizer.")
    schedule: Literal["warmup", "sawtooth", "frozen"] = Field(
        "warmup",
        description="warmup: all learns, linear warm-up, then cosine; sawtooth: first the head alone up and down, "
        "then all; frozen: the encoder never learns (linear probing).",
    )
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps with a growing learning rate.")
    floor: float = Field(0.01, ge=0, le=1, description="Factor of the learning rate at the end of a cosine.")
    clip: float = Field(1.0, ge=0, description="Largest norm of the gradients; 0 leaves them as they are.")
    label_fraction: float = Field(1.0, gt=0, le=1, description="Share of the training patients that is used.")
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False
    channels_last: bool = True
    seed: int = 1337
    log_every: int = Field(10, ge=1, description="Steps between points of the curves.")
    validate_every: int = Field(250, ge=0, description="Steps between validations; 0: only at the end.")
    save_every: int = Field(250, ge=0, description="Steps between checkpoints; 0: only at the end.")
    tensorboard: bool = False

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        dims = self.encoder.spatial_dims
        if self.preprocessing.spatial_dims != dims or len(self.size) != dims:
            raise ValueError(
                f"encoder, preprocessing and size must agree on the dimensions; found {dims}, "
                f"{self.preprocessing.spatial_dims} and {len(self.size)}"
            )
        if isinstance(self.encoder, ViTConfig) and self.encoder.image_size != self.size:
            raise ValueError(f"size must be the encoder's image_size; found {self.size}, {self.encoder.image_size}")
        if any(side % patch for side, patch in zip(self.size, self.encoder.patch_size, strict=True)):
            raise ValueError(f"size must be whole tokens; found {self.size} with tokens of {self.encoder.patch_size}")
        if self.schedule == "sawtooth" and self.warmup > 0.5:
            raise ValueError(f"sawtooth takes twice the warmup, which must be at most 0.5; found {self.warmup}")
        if self.task == "detection" and dims != 2:
            raise ValueError("detection is for pictures and slices (2D); use segmentation for volumes")
        return self
