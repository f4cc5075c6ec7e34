"""Training a judge: Adam on the cross-entropy, with small random shifts of the pictures."""

import copy

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from unfeature.averaging import update_average
from unfeature.training.loop import Session, TrainConfig, scheduled, update


class JudgeSession(Session):
    """A classifier and the average of its weights.

    Args:
        shift: pictures are moved by up to so many pixels in each direction, edges repeated.
    """

    parts = ("classifier", "average", "optimizer")

    def __init__(self, classifier: nn.Module, config: TrainConfig, *, shift: int = 2):
        self.classifier, self.config, self.shift = classifier, config, shift
        self.average = copy.deepcopy(classifier).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            classifier.parameters(), config.learning_rate, weight_decay=1e-2, fused=True
        )

    def step(
        self, images: Tensor, labels: Tensor, rng: torch.Generator, progress: float
    ) -> dict[str, float]:
        scheduled(self.optimizer, self.config.learning_rate, progress)
        self.classifier.train()
        logits = self.classifier(moved(images, self.shift, rng))
        loss = F.cross_entropy(logits, labels)
        update(self.optimizer, loss)
        update_average(self.average, self.classifier, decay=self.config.average, step=self.steps)
        self.steps += 1
        correct = (logits.argmax(1) == labels).float().mean()
        return {"loss": loss.item(), "accuracy": correct.item()}


def moved(images: Tensor, shift: int, rng: torch.Generator) -> Tensor:
    """The batch moved by one random number of pixels, up to `shift` in each direction."""
    if shift == 0:
        return images
    height, width = images.shape[2:]
    down, right = torch.randint(0, 2 * shift + 1, (2,), generator=rng).tolist()
    padded = F.pad(images, (shift, shift, shift, shift), mode="replicate")
    return padded[:, :, down : down + height, right : right + width]


@torch.inference_mode()
def balanced_accuracy(
    classifier: nn.Module, images: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"]
) -> float:
    """The mean over classes of the share of each that is recognised, in [0, 1]."""
    classifier.eval()
    guesses = torch.cat([classifier(part).argmax(1) for part in images.split(512)])
    shares = [(guesses[labels == k] == k).float().mean() for k in labels.unique()]
    return torch.stack(shares).mean().item()
