"""Proposals without any weights: regions of several sizes, trees of merged regions, pieces between thresholds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from MaskWhatMattersLib.datasets.cases import looks_like_ct
from MaskWhatMattersLib.mass.proposals.adjacency import find_borders
from MaskWhatMattersLib.mass.proposals.body import body_mask
from MaskWhatMattersLib.mass.proposals.config import SupervoxelConfig
from MaskWhatMattersLib.mass.proposals.from_labels import from_label_volume, from_ranges, joined
from MaskWhatMattersLib.mass.proposals.merge_tree import merge_regions
from MaskWhatMattersLib.mass.proposals.proposal_set import KINDS, ProposalSet
from MaskWhatMattersLib.mass.proposals.renderings import render
from MaskWhatMattersLib.mass.proposals.supervoxels import Scene, basins, enlarged, even_regions, gradient
from MaskWhatMattersLib.mass.proposals.threshold_components import threshold_components
from MaskWhatMattersLib.mass.proposals.tree_nodes import chosen_nodes, nearest_above
from MaskWhatMattersLib.mass.proposals.unions import random_unions
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.volumes import Volume, require_3d, require_finite, require_scalar


class SupervoxelProposer:
    """Proposes regions of the scan that look alike, from half a millilitre to half of the body.

    Even regions alone are no organs: what matters are the nodes of the trees over them (specification 4.3 gives both).
    Two trees are kept, since even regions follow faint edges better and basins of the watershed follow clear ones.
    """

    def __init__(self, config: SupervoxelConfig | None = None) -> None:
        self.config = config or SupervoxelConfig()

    def propose(self, volume: Volume, progress: Progress | None = None) -> ProposalSet:
        """See `MaskProposer`. The same scan and settings give the same proposals.

        Raises:
            InputError: Several channels, or voxels that are not finite.
            GeometryError: A single slice.
        """
        progress = progress or SilentProgress()
        require_finite(require_3d(require_scalar(volume)))
        progress.stage("Proposing masks", len(self.config.regions_ml) + 4)
        is_ct = looks_like_ct(volume)
        body = body_mask(volume, is_ct)
        box = ndimage.find_objects(body.astype(np.uint8))[0]
        values, body = np.asarray(volume.array[0][box], np.float32), body[box]
        along_i, along_j, along_k = volume.spacing_mm
        scene = Scene(render(values, body, is_ct), body, (along_k, along_j, along_i))
        progress.step()
        sets = _Regions(scene, self.config, progress).sets()
        least = max(1, round(self.config.least_ml / volume.voxel_volume_ml))
        pieces = threshold_components(values, body, is_ct, least)
        sets.append(from_label_volume(pieces, volume.spacing_mm, "threshold"))
        progress.step()
        found = joined(sets)
        is_large = found.volume_ml >= self.config.least_ml
        is_part = found.volume_ml <= self.config.most_of_body * scene.body_ml
        found = found.subset(np.flatnonzero(is_large & is_part))
        return found.placed([side.start for side in box], volume.spatial_shape)


class _Regions:
    """Cuts one scene into regions and merges them.

    Args:
        full: At full resolution.
        config: Settings.
        progress: Receives steps.
    """

    def __init__(self, full: Scene, config: SupervoxelConfig, progress: Progress) -> None:
        self.full, self.half = full, full.halved()
        self.fine = full if full.body.size <= config.most_voxels else self.half
        self.edges = gradient(self.fine)
        self.config, self.progress = config, progress
        self.draw = np.random.default_rng(config.seed)

    def sets(self) -> list[ProposalSet]:
        """Proposals of every level."""
        config = self.config
        found: list[ProposalSet] = []
        unions_of: NDArray[np.int32] | None = None
        for region_ml in config.regions_ml:
            scene = self.half if region_ml >= config.half_from_ml else self.fine
            if scene.body_ml < 2 * region_ml:
                self.progress.step()
                continue
            regions = even_regions(scene, region_ml, config.compactness, config.iterations)
            is_tree = region_ml == config.tree_ml
            found.append(self._tree(regions, "supervoxel") if is_tree else self._flat(regions, "supervoxel"))
            unions_of = regions if is_tree else unions_of
            self.progress.step()
        found.append(self._tree(basins(self.edges, self.fine.body, config.basin_depth), "watershed"))
        self.progress.step()
        if unions_of is not None and config.union_share > 0:
            share = config.union_share / (1 - config.union_share)
            count = round(share * sum(map(len, found)))
            unions = random_unions(unions_of, find_borders(unions_of, self.edges), count, config.seed)
            found.append(self._flat(unions, "union"))
        self.progress.step()
        return found

    def _flat(self, regions: NDArray[np.int32], kind: str) -> ProposalSet:
        """Regions as they are, not more than wanted."""
        ids = self._some(int(regions.max()))
        return from_ranges(self._whole(regions), ids, ids, self._spacing(), np.full(len(ids), KINDS.index(kind)))

    def _tree(self, regions: NDArray[np.int32], kind: str) -> ProposalSet:
        """Regions, not more than wanted, and what becomes of them by merging."""
        config, scene = self.config, self.fine
        labels = regions.reshape(-1)
        count = int(labels.max())
        voxels = np.bincount(labels, minlength=count + 1)[1:]
        sums = [np.bincount(labels, channel.reshape(-1), count + 1)[1:] for channel in scene.channels]
        means = np.stack(sums, 1) / voxels[:, None]
        tree = merge_regions(voxels, means, find_borders(regions, self.edges))
        below = np.concatenate([[0], np.cumsum(voxels[np.argsort(tree.rank)])])
        volume_ml = (below[tree.last + 1] - below[tree.first]) * float(np.prod(scene.spacing_mm)) / 1000.0
        most_ml = config.most_of_body * scene.body_ml
        nodes = chosen_nodes(tree, volume_ml, config.least_ml, most_ml, config.node_overlap, config.most_nodes)
        chosen = np.concatenate([self._some(count) - 1, nodes])
        kinds = np.where(chosen < count, KINDS.index(kind), KINDS.index("merged"))
        ranked = np.concatenate([[0], tree.rank + 1]).astype(np.int32)[regions]
        return from_ranges(
            self._whole(ranked),
            tree.first[chosen] + 1,
            tree.last[chosen] + 1,
            self._spacing(),
            kinds,
            nearest_above(tree.parent, chosen)[chosen],
        )

    def _whole(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """Labels at full resolution, in the body only."""
        return enlarged(labels, self.full.body.shape) * self.full.body

    def _some(self, count: int) -> NDArray[np.int64]:
        """Labels from 1 to `count`, or as many of them as are wanted."""
        if count <= self.config.most_regions:
            return np.arange(1, count + 1)
        return np.sort(self.draw.permutation(count)[: self.config.most_regions]) + 1

    def _spacing(self) -> tuple[float, float, float]:
        along_k, along_j, along_i = self.full.spacing_mm
        return along_i, along_j, along_k
