"""A person's labels made into a classifier a program can ask: train a small network on them."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unfeature import models
from unfeature.datasets import ImageSet
from unfeature.diagnostics import held_out_auc
from unfeature.generator import Generator, draw
from unfeature.labelers.classifier import ClassifierLabeler
from unfeature.labels import NO, YES, LatentSet, sample_seeds
from unfeature.seeds import derive, rng
from unfeature.target import binary, raw_direction
from unfeature.training import JudgeSession, TrainConfig, balanced_accuracy, fit

GUIDE_AUC, GUIDED = 0.9, 3000
LEARNING_RATES = {"lenet": 1e-3, "linear": 1e-2}


@dataclass(frozen=True)
class Distilled:
    """A classifier that imitates whoever gave the labels.

    Attributes:
        labeler: asks the classifier; its threshold marks the labelled share of held-out pictures.
        accuracy: balanced accuracy on held-out labels.
        trained_on, held_out: how many labels were used for each.
        guided: whether the latents helped (see `distil`).
    architecture, options: how to build its module.
    """

    labeler: ClassifierLabeler
    accuracy: float
    trained_on: int
    held_out: int
    guided: bool
    architecture: str
    options: dict[str, Any]


def distil(
    labels: LatentSet,
    generator: Generator,
    *,
    architecture: Literal["lenet", "linear"] = "lenet",
    steps: int = 800,
    held_out: float = 0.25,
    recall: float | None = None,
    seed: int = 0,
) -> Distilled:
    """Train a classifier on the pictures that were labelled.

    The classifier is trained on 1 − `held_out` of the labels, with small random shifts of the
    pictures; the rest tell its accuracy and where its threshold must lie: to find as many pictures
    with the feature as the labeller did or, given `recall`, that share of those the labeller found.

    A few hundred labels are few for pixels, but not for latents. Where a logistic regression on
    the training latents ranks them well (cross-validated AUC of at least `GUIDE_AUC`), it labels
    `GUIDED` more pictures of the generator for the classifier to learn from.
    """
    train, test = (
        labels.sure().require_both().split(1 - held_out, rng(seed, "distil", architecture))
    )
    rank = partial(raw_direction, method="logistic")
    guided = held_out_auc(train, fit=rank, seed=seed) >= GUIDE_AUC
    data = _pictures(guide(train, generator, seed) if guided else train, generator)
    options: dict[str, Any] = {"classes": 2, "channels": generator.image_shape[0]}
    config = TrainConfig(
        epochs=max(1, steps * 64 // max(64, len(data))),
        batch_size=min(64, len(data)),
        learning_rate=LEARNING_RATES[architecture],
        average=0.99,
        seed=derive(seed, "distil") % 2**31,
    )
    with torch.random.fork_rng(devices=[]):  # weights and dropout draw from the global generator
        torch.manual_seed(derive(seed, "distil weights", architecture))
        extra = {"dropout": 0.3} if architecture == "lenet" else {}
        module = models.build(architecture, options | extra).to(generator.device)
        session = JudgeSession(module, config)
        for _ in fit(session, data, config):
            continue
    module = session.model.eval().requires_grad_(False)
    held = _pictures(test, generator)
    asked = ClassifierLabeler(module, f"distilled {architecture} from {labels.labeled_by}", 1)
    odds = _odds(asked, held.images)
    shown = test.labels == YES
    if recall is None:
        threshold = odds.quantile(1 - shown.float().mean().item()).item()
    else:
        threshold = odds[shown.to(odds.device)].quantile(1 - recall).item()
    labeler = replace(
        asked,
        threshold=threshold,
        temperature=max(odds.std().item(), 1e-6),
        target_name=labels.feature,
    )
    accuracy = balanced_accuracy(_Thresholded(labeler), held.images, held.labels)
    return Distilled(labeler, accuracy, len(train), len(test), guided, architecture, options)


def guide(labels: LatentSet, generator: Generator, seed: int) -> LatentSet:
    """The labels, and those a logistic regression on their latents gives to `GUIDED` new ones."""
    from sklearn.linear_model import LogisticRegression

    direction = raw_direction(labels, method="logistic", regularization=10.0)
    x, y = binary(labels)
    model = LogisticRegression(C=1.0).fit((x @ direction)[:, None].numpy(), y.numpy())
    seeds = sample_seeds(GUIDED, seed, "guided")
    latents = generator.latents_from_seeds(seeds.tolist())
    odds = model.decision_function((latents.flatten(1).cpu() @ direction)[:, None].numpy())
    scores = torch.from_numpy(odds).float()
    answers = torch.where(scores > 0, YES, NO).to(torch.int8)
    return labels.merge(
        replace(labels, latents=latents.cpu(), labels=answers, scores=scores, seeds=seeds)
    )


class _Thresholded(nn.Module):
    """Two logits whose larger one is the labeller's answer."""

    def __init__(self, labeler: ClassifierLabeler):
        super().__init__()
        self.labeler = labeler

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 2"]:
        score = self.labeler.score(images)
        return torch.stack([-score, score], dim=1)


def _pictures(labels: LatentSet, generator: Generator) -> ImageSet:
    images = draw(generator, labels.latents.to(generator.device)).clone()
    return ImageSet(images, (labels.labels == YES).long().to(images.device), ("no", "yes"))


@torch.inference_mode()
def _odds(labeler: ClassifierLabeler, images: Tensor) -> Tensor:
    return torch.cat([labeler.score(part) for part in images.split(256)])
