"""Training a judge of several yes/no attributes that do not exclude each other.

Every attribute is learned, calibrated and measured as if half of the pictures showed it ("even
odds"): that is what balanced accuracy counts, and a judge of an unlearned generator must not
expect the feature to be as frequent as it was in the data.
"""

import copy

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unfeature.averaging import update_average
from unfeature.datasets import AttributeSet
from unfeature.training.calibration import calibration_error, class_weights, even_odds
from unfeature.training.judge import moved
from unfeature.training.loop import Session, TrainConfig, scheduled, update


class AttributeSession(Session):
    """A classifier with one logit an attribute, and the average of its weights.

    The loss is the binary cross-entropy Σ_k w_k(y)·(−log p_k(y)), where the weights w_k(1) =
    1/(2π_k) and w_k(0) = 1/(2(1 − π_k)) make up for the share π_k of pictures with attribute k.

    Args:
        labels: of all training pictures; the shares π follow from them.
        shift: pictures are moved by up to so many pixels in each direction, edges repeated.
        flip: whether pictures are mirrored; not where an attribute says left or right.
    """

    parts = ("classifier", "average", "optimizer")

    def __init__(
        self,
        classifier: nn.Module,
        config: TrainConfig,
        *,
        labels: Bool[Tensor, "n k"],
        shift: int = 2,
        flip: bool = True,
    ):
        self.classifier, self.config, self.shift, self.flip = classifier, config, shift, flip
        self.average = copy.deepcopy(classifier).requires_grad_(False)
        self.weights = (len(labels) * class_weights(labels)).to(self.device)
        self.optimizer = torch.optim.AdamW(
            classifier.parameters(), config.learning_rate, weight_decay=1e-2, fused=True
        )

    def step(
        self, images: Tensor, labels: Tensor, rng: torch.Generator, progress: float
    ) -> dict[str, float]:
        scheduled(self.optimizer, self.config.learning_rate, progress)
        self.classifier.train()
        images = disturbed(moved(images, self.shift, rng), rng, flip=self.flip)
        logits = self.classifier(images)
        weights = torch.where(labels, self.weights[1], self.weights[0])
        loss = F.binary_cross_entropy_with_logits(logits, labels.float(), weight=weights)
        update(self.optimizer, loss)
        update_average(self.average, self.classifier, decay=self.config.average, step=self.steps)
        self.steps += 1
        correct = ((logits > 0) == labels).float().mean()
        return {"loss": loss.item(), "accuracy": correct.item()}


def disturbed(
    images: Float[Tensor, "n c h w"], rng: torch.Generator, *, flip: bool
) -> Float[Tensor, "n c h w"]:
    """Each picture by itself: mirrored or not, contrast ×[0.8, 1.2], brightness ±0.15, half of
    them softened towards their 3×3 mean, and noise of a σ in [0, 0.05]; then clamped to [−1, 1].

    A generator's pictures are a little soft and a little noisy; its judge must not mind.
    """

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(len(images), 1, 1, 1, generator=rng).to(images)

    if flip:
        images = torch.where(uniform(0.0, 1.0) < 0.5, images.flip(3), images)
    images = images * uniform(0.8, 1.2) + uniform(-0.15, 0.15)
    mean = F.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    images = images.lerp(mean, uniform(-1.0, 1.0).clamp(min=0))
    noise = torch.randn(images.shape, generator=rng).to(images)
    return (images + uniform(0.0, 0.05) * noise).clamp(-1, 1)


@torch.inference_mode()
def logits_of(classifier: nn.Module, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
    """The classifier's logits in evaluation mode, in parts."""
    classifier.eval()
    return torch.cat([classifier(part) for part in images.split(256)])


def attribute_figures(
    logits: Float[Tensor, "n k"], held: AttributeSet
) -> dict[str, dict[str, float]]:
    """What a model card says of each attribute, on pictures held out.

    Balanced accuracy and expected calibration error (both at even odds), and the attribute's
    share π of the pictures: log(π / (1 − π)) added to a logit makes it calibrated for that share.
    """
    correct = ((logits > 0) == held.labels).float()
    accuracy = (correct * even_odds(held.labels)).sum(0)
    error, share = calibration_error(logits, held.labels), held.labels.float().mean(0)
    return {
        name: {
            "balanced_accuracy": round(accuracy[k].item(), 4),
            "calibration_error": round(error[k].item(), 4),
            "share": round(share[k].item(), 4),
        }
        for k, name in enumerate(held.names)
    }
