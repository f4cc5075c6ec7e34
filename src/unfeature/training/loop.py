"""One training loop for everything that learns from a data set."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from unfeature.datasets import AttributeSet, ImageSet
from unfeature.errors import UserError
from unfeature.seeds import rng

DIVERGED = 20
"""So many updates in a row whose gradients are not finite end a training."""


class TrainConfig(BaseModel):
    """How a model is trained from data."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    epochs: int = Field(20, ge=1)
    """Passes over the data."""
    batch_size: int = Field(128, ge=2)
    """Images an update."""
    learning_rate: float = Field(2e-4, gt=0, allow_inf_nan=False)
    """Adam's step size at the start."""
    average: float = Field(0.999, ge=0, lt=1)
    """Decay of the weights' moving average; the average is what is saved. 0 turns it off."""
    beta: float = Field(1.0, ge=0, allow_inf_nan=False)
    """Weight of a VAE's KL term."""
    seed: int = Field(0, ge=0)
    """Everything random follows from it."""


class Session(ABC):
    """A model in training: what one step does, and what a checkpoint holds.

    Attributes:
        average: the moving average of the weights, which is saved when training ends.
        steps: updates done.
        parts: names of the attributes (modules, optimisers) whose state a checkpoint holds.
        late: those of them that may join a training that began without them.
    """

    average: nn.Module
    steps: int = 0
    parts: tuple[str, ...]
    late: tuple[str, ...] = ("second",)

    @property
    def model(self) -> nn.Module:
        """What is saved when training ends."""
        return self.average

    @property
    def device(self) -> torch.device:
        """Where the modules are, and the images have to be. Random numbers are drawn on the CPU."""
        return next(self.average.parameters()).device

    @abstractmethod
    def step(
        self, images: Tensor, labels: Tensor, rng: torch.Generator, progress: float
    ) -> dict[str, float]:
        """One update; `progress` runs from 0 to 1 over the whole training."""

    def state_dict(self) -> dict[str, Any]:
        states = {name: getattr(self, name).state_dict() for name in self.parts}
        return {"steps": self.steps, **states}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]
        for name in self.parts:
            if name in state or name not in self.late:
                getattr(self, name).load_state_dict(state[name])


@dataclass(frozen=True)
class Standing:
    """How far a training is: all that a checkpoint needs beside the session's state.

    Attributes:
        epochs: whole passes over the data that are done.
        batches: updates of the pass that has begun; 0 between two.
        losses: their means; between two passes, those of the last one.
        noise: the state of the pass's random numbers; None before the first.
    """

    epochs: int = 0
    batches: int = 0
    losses: dict[str, float] = field(default_factory=dict)
    noise: Tensor | None = None


def fit(
    session: Session,
    data: ImageSet | AttributeSet,
    config: TrainConfig,
    *,
    start: Standing | None = None,
) -> Iterator[Standing]:
    """Train on from where it stood, yielding after each update.

    The order of the images and all noise of an epoch follow from (seed, epoch), so a session
    restored with its standing goes on as if it had never stopped. A loss that is not finite
    is left out of the means.

    Raises:
        UserError: fewer images than a batch, or the training diverged (`update`).
    """
    if len(data) < config.batch_size:
        raise UserError(
            f"{len(data)} images are fewer than one batch of {config.batch_size}; "
            "give more data or a smaller --batch-size"
        )
    start = start or Standing()
    batches = len(data) // config.batch_size
    for epoch in range(start.epochs, config.epochs):
        random = rng(config.seed, "epoch", epoch)
        order = torch.randperm(len(data), generator=random)
        now = start if epoch == start.epochs else Standing(epoch)
        means = dict(now.losses) if now.batches else {}
        if now.batches and now.noise is not None:
            random.set_state(now.noise)
        for i in range(now.batches, batches):
            picked = order[i * config.batch_size : (i + 1) * config.batch_size]
            progress = (epoch + i / batches) / config.epochs
            images, labels = (x[picked].to(session.device) for x in (data.images, data.labels))
            for name, value in session.step(images, labels, random, progress).items():
                if math.isfinite(value):
                    mean = means.get(name, value)
                    means[name] = mean + (value - mean) / (i + 1)
            whole = i + 1 == batches
            yield Standing(epoch + whole, 0 if whole else i + 1, dict(means), random.get_state())


def scheduled(optimizer: torch.optim.Optimizer, base: float, progress: float) -> None:
    """Constant for the first half of training, then linear down to a twentieth."""
    factor = 1.0 if progress < 0.5 else 1.0 - 0.95 * (progress - 0.5) * 2
    for group in optimizer.param_groups:
        group["lr"] = base * factor


def lazy_adam(module: nn.Module, rate: float, every: int | None) -> torch.optim.Adam:
    """Adam with betas (0, 0.99), corrected for one more update every `every` steps.

    With c = k/(k + 1), where k is `every`, learning rate c·η and betas β₁ᶜ, β₂ᶜ make k + 1 updates
    do what k did (arXiv 1912.04958, appendix B).
    """
    c = 1.0 if every is None else every / (every + 1)
    return torch.optim.Adam(module.parameters(), c * rate, (0.0, 0.99**c), fused=True)


def update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One update of the optimizer's parameters; none where a gradient is not finite, as that of a
    batch whose loss overflowed.

    Raises:
        UserError: so it was `DIVERGED` times in a row.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if torch.nn.utils.clip_grad_norm_(parameters, float("inf")).isfinite():  # it clips nothing
        optimizer.step()
        skipped = 0
    else:
        skipped = getattr(optimizer, "skipped", 0) + 1
    optimizer.skipped = skipped  # type: ignore[attr-defined]
    if skipped == DIVERGED:
        raise UserError(
            f"the gradients of {DIVERGED} updates in a row are not finite: this training has "
            "diverged; begin it anew with a smaller learning rate or another seed"
        )
