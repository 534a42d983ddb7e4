"""Which tokens the encoder does not see, and what counts as relevant."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class MaskingConfig(BaseModel):
    """How the hidden tokens of an image are drawn.

    The defaults of `inside` and `outside` are the setting 0.6 / 0.2 of Mask What Matters (arXiv:2509.23054), which is
    the only published pair that is consistent with its headline of 40 % hidden overall; unverified.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["random", "block", "grid", "relevance"] = Field(
        "random", description="How tokens are chosen; relevance: at different ratios inside and outside the region."
    )
    ratio: float = Field(
        0.6,
        gt=0,
        lt=1,
        description="Hidden share of all tokens: random, block, grid, equal_budget, and images without a region.",
    )
    inside: float = Field(0.6, ge=0, le=1, description="Hidden share of the tokens in the relevant region.")
    outside: float = Field(0.2, ge=0, le=1, description="Hidden share of all other tokens.")
    equal_budget: bool = Field(
        False, description="Hide the share `ratio` of every image; inside - outside is kept where it can be."
    )
    shuffled: bool = Field(
        False, description="Control: each image uses the region of another, with as many tokens as its own has."
    )
    rule: Literal["area", "nearest"] = Field(
        "area",
        description="A token is relevant by covered share; nearest: by one voxel, as in the paper (the "
        "central one; which one the paper took is unverified).",
    )
    area_share: float = Field(
        0.25,
        ge=0,
        le=1,
        description="Covered share from which a token is relevant; so is every token that the region touches "
        "where no neighbour reaches that share, so that small lesions stay.",
    )

    @model_validator(mode="after")
    def _budget_can_be_met(self) -> Self:
        if self.kind == "relevance" and self.inside == self.outside == 0:
            raise ValueError("nothing would be hidden: inside and outside are both 0; raise one of them")
        if self.kind == "relevance" and self.inside == self.outside == 1:
            raise ValueError("nothing would be seen: inside and outside are both 1; lower one of them")
        if self.shuffled and self.kind != "relevance":
            raise ValueError(f"shuffled needs the kind relevance; found {self.kind}")
        return self


class RegionConfig(BaseModel):
    """What is relevant in an image: what prompts find, or what label maps say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["none", "prompts", "labels"] = Field(
        "none", description="labels: the drawn label maps, the upper bound that prompts can reach."
    )
    prompts: tuple[str, ...] = Field((), description="What matters, in words; the region is the union of all found.")
    localizer: str = Field("builtin", description="Who finds it.")
    model: str | None = Field(None, description="Model of the localizer; its own when None.")
    threshold: float | None = Field(None, gt=0, le=1, description="Relevance of the region; None: as advised.")
    box: bool = Field(True, description="Fill the bounding box of each connected piece, as in the paper.")
    expand: float = Field(1.0, ge=1, le=3, description="Factor of the box's sides about its centre; 1 in the paper.")
    expand_mm: float = Field(0.0, ge=0, le=100, description="Added to every side of the box, mm.")

    @model_validator(mode="after")
    def _prompts_where_they_are_needed(self) -> Self:
        if self.source == "prompts" and not [text for text in self.prompts if text.strip()]:
            raise ValueError('the region comes from prompts, but there are none; type what matters: "left lung"')
        return self
