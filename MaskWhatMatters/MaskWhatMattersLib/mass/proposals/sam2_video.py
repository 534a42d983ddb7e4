"""Follow masks of one slice through the others: SAM 2 takes the slices for the frames of a video."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from MaskWhatMattersLib.mass.proposals.sam2_config import Sam2Config
from MaskWhatMattersLib.relevance.text_models.pixels import Frame, Preprocessing, prepare

_MOST_FRAMES_KEPT = 256  # features of a frame take about 17 MB


class SliceFollower:
    """The video predictor of SAM 2 (Ravi et al. 2024, arXiv:2408.00714) over the slices of one scan.

    Args:
        model: Sam2VideoModel, ready to predict.
        device: Where it runs.
        wanted: How it wants its pixels.
        pictures: RGB, [H, W, 3] each, in the order of the slices.
        config: How many objects at once, and when to stop.
    """

    def __init__(
        self,
        model: Any,
        device: torch.device,
        wanted: Preprocessing,
        pictures: Sequence[NDArray[np.uint8]],
        config: Sam2Config,
    ) -> None:
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        self._model = model
        self._config = config
        self._at_once = config.objects_at_once
        prepared = [prepare(picture, wanted) for picture in pictures]
        self._frame: Frame = prepared[0][1]
        self._session: Any = Sam2VideoInferenceSession(
            video=torch.cat([pixels for pixels, _ in prepared]),
            video_height=pictures[0].shape[0],
            video_width=pictures[0].shape[1],
            inference_device=device,
            inference_state_device=device,
            dtype=torch.float32,
            max_vision_features_cache_size=min(len(pictures), _MOST_FRAMES_KEPT),
        )

    def follow(self, seed: int, masks: NDArray[np.bool_]) -> Iterable[NDArray[np.bool_]]:
        """Each mask of a slice in all slices, [T, H, W] at a time.

        Args:
            seed: The slice.
            masks: [N, H, W].
        """
        first = 0
        while first < len(masks):
            try:
                followed = self._chunk(seed, masks[first : first + self._at_once])
            except torch.cuda.OutOfMemoryError:
                if self._at_once == 1:
                    raise
                self._at_once //= 2
                torch.cuda.empty_cache()
                continue
            yield from followed
            first += len(followed)

    @torch.inference_mode()
    def _chunk(self, seed: int, masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Some masks at once, [n, T, H, W]."""
        session = self._session
        session.reset_tracking_data()
        followed = np.zeros((len(masks), session.num_frames, *masks.shape[1:]), np.bool_)
        followed[:, seed] = masks
        for number, mask in enumerate(masks):
            session.add_mask_inputs(session.obj_id_to_idx(number), seed, self._on_input(mask))
        session.obj_with_new_inputs = list(range(len(masks)))
        self._model(session, frame_idx=seed)
        for reverse in (False, True):
            gone = 0
            for answer in self._model.propagate_in_video_iterator(session, start_frame_idx=seed, reverse=reverse):
                if answer.frame_idx == seed:
                    continue
                here = self._frame.maps_on_picture(answer.pred_masks[:, 0].float().cpu()) > 0
                followed[:, answer.frame_idx] = here.numpy()
                gone = 0 if here.any() else gone + 1
                if gone >= self._config.empty_slices:
                    break
        return followed

    def _on_input(self, mask: NDArray[np.bool_]) -> Tensor:
        """A mask at the size of the network's input, 0 and 1, [1, 1, h, w]."""
        given = torch.from_numpy(mask).float()[None, None]
        fitted = functional.interpolate(given, self._frame.content_size, mode="bilinear", antialias=True)
        return (fitted >= 0.5).float()
