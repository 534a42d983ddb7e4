"""Every setting of a pretraining, from the command line, a TOML file or the panel."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from MaskWhatMattersLib.datasets.device_scans import PatchAugmentConfig
from MaskWhatMattersLib.datasets.image_preprocessing import ImagePreprocessing
from MaskWhatMattersLib.masking.config import MaskingConfig, RegionConfig
from MaskWhatMattersLib.networks.encoders import EncoderConfig, ViTConfig

Method = Literal["spark", "mae", "simmim", "simclr"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DecoderConfig(_Part):
    """What turns features back into voxels during pretraining; thrown away afterwards. SimMIM has one linear layer."""

    depth: int = Field(1, ge=0, le=16, description="Blocks of a MAE decoder; 0 is one linear layer.")
    width: int = Field(512, ge=4, description="Features of a token in a MAE decoder; deepest channels of a SparK one.")
    heads: int = Field(8, ge=1, description="Attention heads of a MAE decoder; divide the width.")


class TargetConfig(_Part):
    """What is reconstructed, and how the difference is measured."""

    normalized: bool = Field(True, description="Each token's voxels are brought to mean 0 and deviation 1 first.")
    norm: Literal["l1", "l2"] = Field("l2", description="Absolute or squared difference.")


class ContrastiveConfig(_Part):
    """SimCLR (arXiv:2002.05709)."""

    projection: int = Field(128, ge=2, description="Features that are compared, after two layers.")
    temperature: float = Field(0.1, gt=0, description="Of the softmax over similarities.")


class PretrainConfig(_Part):
    """A pretraining; by default MAE of a ViT-B on volumes, with a light decoder."""

    method: Method = "mae"
    encoder: EncoderConfig = Field(default_factory=ViTConfig)
    decoder: DecoderConfig = DecoderConfig()
    target: TargetConfig = TargetConfig()
    contrastive: ContrastiveConfig = ContrastiveConfig()
    masking: MaskingConfig = MaskingConfig(ratio=0.75)
    region: RegionConfig = RegionConfig()
    preprocessing: ImagePreprocessing = ImagePreprocessing()
    augment: PatchAugmentConfig = PatchAugmentConfig(quarter_turns=False, flips=False)
    size: tuple[int, ...] = Field((96, 96, 96), description="Voxels of a crop along the spatial axes.")
    batch_size: int = Field(16, ge=1, description="Crops per step and process.")
    steps: int = Field(20_000, ge=1, description="Optimizer steps.")
    epochs: float | None = Field(None, gt=0, description="Passes over the images; replaces `steps`.")
    minutes: float | None = Field(None, gt=0, description="Budget: at most as many steps as fit.")
    optimizer: Literal["adamw", "lamb"] = Field("adamw", description="LAMB is for large batches of SparK.")
    learning_rate: float = Field(3e-4, gt=0, description="After the warm-up.")
    weight_decay: float = Field(0.05, ge=0, description="Of matrices; not of biases, norms, positions and mask tokens.")
    weight_decay_end: float | None = Field(None, ge=0, description="Reached along a cosine; None: it stays.")
    betas: tuple[float, float] = Field((0.9, 0.95), description="Of the running means of the optimizer.")
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of the steps with a growing learning rate.")
    floor: float = Field(0.01, ge=0, le=1, description="Factor of the learning rate at the end; 1 keeps it constant.")
    clip: float = Field(5.0, ge=0, description="Largest norm of the gradients; 0 leaves them as they are.")
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = Field(False, description="Compile the networks; worth minutes of waiting on a GPU.")
    channels_last: bool = Field(True, description="Memory layout of convolutions.")
    seed: int = 1337
    log_every: int = Field(10, ge=1, description="Steps between points of the curves.")
    picture_every: int = Field(200, ge=0, description="Steps between pictures of a reconstruction; 0: none.")
    save_every: int = Field(500, ge=0, description="Steps between checkpoints; 0: only at the end.")
    tensorboard: bool = Field(False, description="Write the curves for TensorBoard, too.")

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        dims = self.encoder.spatial_dims
        if self.preprocessing.spatial_dims != dims or len(self.size) != dims:
            raise ValueError(
                f"encoder, preprocessing and size must agree on the dimensions; found {dims}, "
                f"{self.preprocessing.spatial_dims} and {len(self.size)}"
            )
        is_vit = isinstance(self.encoder, ViTConfig)
        if is_vit != (self.method in ("mae", "simmim")) and self.method != "simclr":
            raise ValueError(f"{self.method} needs an encoder of kind {'vit' if not is_vit else 'resnet or residual'}")
        if isinstance(self.encoder, ViTConfig) and self.encoder.image_size != self.size:
            raise ValueError(f"size must be the encoder's image_size; found {self.size}, {self.encoder.image_size}")
        if any(side % patch for side, patch in zip(self.size, self.encoder.patch_size, strict=True)):
            raise ValueError(f"size must be whole tokens; found {self.size} with tokens of {self.encoder.patch_size}")
        if self.masking.kind == "relevance" and self.region.source == "none":
            raise ValueError("masking by relevance needs a region: give prompts, or take it from label maps")
        if self.method == "simclr" and self.batch_size < 2:
            raise ValueError("simclr compares images with each other; batch_size must be at least 2, found 1")
        if self.method == "mae" and self.decoder.depth and self.decoder.width % self.decoder.heads:
            raise ValueError(f"heads must divide the decoder's width; found {self.decoder.heads}, {self.decoder.width}")
        return self

    @property
    def grid(self) -> tuple[int, ...]:
        """Tokens along the spatial axes."""
        return tuple(side // patch for side, patch in zip(self.size, self.encoder.patch_size, strict=True))
