"""How well classes are told apart: accuracy, and means over the classes of AUROC, AUPRC and F1."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray


def classification_scores(probabilities: NDArray[np.floating], classes: NDArray[np.integer]) -> dict[str, float]:
    """Measures of a classifier.

    Args:
        probabilities: Of each class, [N, K]; each row sums to 1.
        classes: True class of each image, [N].

    Returns:
        "accuracy"; "auroc" (one class against the others), "auprc" (average precision) and "f1", each the mean over
        the classes for which it is defined: AUROC and AUPRC need images of the class and of others, F1 an image of
        the class or one taken for it. NaN where there is none, and throughout where there is no image.
    """
    if len(classes) == 0:
        return dict.fromkeys(("accuracy", "auroc", "auprc", "f1"), float("nan"))
    import torch
    from monai.metrics.average_precision import compute_average_precision
    from monai.metrics.confusion_matrix import compute_confusion_matrix_metric, get_confusion_matrix
    from monai.metrics.rocauc import compute_roc_auc

    count = probabilities.shape[1]
    scores = torch.from_numpy(np.asarray(probabilities, dtype=np.float64))
    truth = torch.nn.functional.one_hot(torch.from_numpy(np.asarray(classes, dtype=np.int64)), count)
    chosen = torch.nn.functional.one_hot(scores.argmax(1), count)
    told = truth.any(0) & ~truth.all(0)
    known = [index for index in range(count) if told[index]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about two classes as columns, which is what is meant
        aurocs: list[Any] = [compute_roc_auc(scores[:, index], truth[:, index]) for index in known]
        auprcs: list[Any] = [compute_average_precision(scores[:, index], truth[:, index]) for index in known]
    matrix = get_confusion_matrix(chosen, truth).sum(0)
    f1s = compute_confusion_matrix_metric("f1 score", matrix.double())
    return {
        "accuracy": float((chosen * truth).sum() / len(truth)),
        "auroc": float(np.mean(aurocs)) if known else float("nan"),
        "auprc": float(np.mean(auprcs)) if known else float("nan"),
        "f1": float(np.nanmean(np.asarray(f1s))),
    }
