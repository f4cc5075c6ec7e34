"""Logits made honest after training: Platt scaling, "Probabilistic Outputs for Support Vector
Machines" (1999), attribute by attribute, which is the temperature scaling of Guo, Pleiss, Sun,
Weinberger, "On Calibration of Modern Neural Networks" (ICML 2017, arXiv 1706.04599) with a bias.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unfeature.errors import UserError

BINS = 15


def calibrate(
    classifier: nn.Module, logits: Float[Tensor, "n k"], labels: Bool[Tensor, "n k"]
) -> None:
    """Fold the calibration of `logits`, the classifier's on held-out pictures, into its last layer:
    z ↦ a·z + b, with a and b of `platt`, is W ↦ a·W and c ↦ a·c + b.
    """
    head = classifier.head
    assert isinstance(head, nn.Linear)
    scale, shift = platt(logits, labels)
    with torch.no_grad():
        head.weight.mul_(scale[:, None])
        head.bias.mul_(scale).add_(shift)


def platt(
    logits: Float[Tensor, "n k"], labels: Bool[Tensor, "n k"]
) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    """Scales a > 0 and shifts b: a·z + b is of least cross-entropy, each attribute at even odds.

    As Platt has it, the aims are (n₊ + 1)/(n₊ + 2) and 1/(n₋ + 2), not 1 and 0, so that no
    attribute that is told without an error becomes infinitely sure.
    """
    z, y = logits.detach().double(), labels.double()
    weights = even_odds(labels).double()
    yes, no = y.sum(0), (1 - y).sum(0)
    aims = torch.where(labels, (yes + 1) / (yes + 2), 1 / (no + 2))
    spread = z.std(0).clamp(min=1e-6)  # fitted in units of their own, for LBFGS' sake
    log_a = torch.zeros(z.shape[1], dtype=torch.float64, requires_grad=True)
    b = torch.zeros(z.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_a, b], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        odds = log_a.exp() * z / spread + b
        total = (weights * F.binary_cross_entropy_with_logits(odds, aims, reduction="none")).sum()
        total.backward()
        return total.item()

    optimizer.step(loss)
    return (log_a.exp() / spread).detach().float(), b.detach().float()


def calibration_error(
    logits: Float[Tensor, "n k"], labels: Bool[Tensor, "n k"]
) -> Float[Tensor, " k"]:
    """Expected calibration error: Σ over bins of p of |Σ w·(y − p)|, w of `even_odds`."""
    p = logits.double().sigmoid()
    gaps = even_odds(labels).double() * (labels.double() - p)
    places = (p * BINS).long().clamp(max=BINS - 1)
    sums = torch.zeros(BINS, p.shape[1], dtype=torch.float64).scatter_add(0, places, gaps)
    return sums.abs().sum(0).float()


def even_odds(labels: Bool[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """Weights that sum to ½ over the pictures with an attribute, and to ½ over the rest."""
    without, having = class_weights(labels)
    return torch.where(labels, having, without)


def class_weights(labels: Bool[Tensor, "n k"]) -> Float[Tensor, "2 k"]:
    """1/(2n₋) for a picture without each attribute, and 1/(2n₊) for one that has it.

    Raises:
        UserError: every picture has some attribute, or none has.
    """
    yes = labels.sum(0)
    one_sided = (yes == 0) | (yes == len(labels))
    if one_sided.any():
        k = int(one_sided.nonzero()[0])
        raise UserError(f"{'every' if yes[k] else 'no'} picture has attribute number {k}")
    return torch.stack([0.5 / (len(labels) - yes), 0.5 / yes])
