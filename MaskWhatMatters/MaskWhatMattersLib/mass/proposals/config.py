"""Settings of proposals by supervoxels; apart from the work, so that they can be read quickly."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SupervoxelConfig(BaseModel):
    """What is proposed; the defaults give two to four thousand proposals of a scan of the trunk."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    regions_ml: tuple[float, ...] = Field((32.0, 8.0, 2.0, 0.5), description="Sizes of even regions, mL.")
    tree_ml: float = Field(2.0, gt=0, description="Even regions of this size are merged to a tree, too.")
    half_from_ml: float = Field(8.0, gt=0, description="Regions from this size on are cut at half the resolution.")
    most_voxels: int = Field(
        1_200_000, ge=1, description="Of a body whose small regions are cut at full resolution; half beyond."
    )
    compactness: float = Field(0.1, gt=0, description="Of even regions; higher is more like cubes.")
    iterations: int = Field(5, ge=1, description="Of the clustering to even regions.")
    basin_depth: float = Field(0.01, ge=0, description="Of the watershed, in the scale of the windows, 0 to 1.")
    most_nodes: int = Field(600, ge=0, description="Merged nodes that are kept of each tree.")
    node_overlap: float = Field(0.9, gt=0, le=1, description="Of nodes that overlap more than this one is kept.")
    most_regions: int = Field(500, ge=1, description="Regions of one kind and size that are proposed, by chance.")
    least_ml: float = Field(0.2, gt=0, description="Of any proposal.")
    most_of_body: float = Field(0.6, gt=0, le=1, description="Of any proposal.")
    union_share: float = Field(0.05, ge=0, lt=1, description="Random unions of neighbours, of all proposals.")
    seed: int = Field(0, description="Of what is chosen by chance.")
