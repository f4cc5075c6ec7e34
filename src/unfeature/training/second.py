"""A second discriminator in training, for whichever model draws: its update and its opinion."""

from typing import Any

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from unfeature.models.feature_discriminator import (
    FeatureDiscriminator,
    discriminator_loss,
    generator_loss,
)
from unfeature.training.loop import lazy_adam, update


class SecondConfig(BaseModel):
    """What a training with a second discriminator knows besides `TrainConfig`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    judge_weight: float = Field(0.5, ge=0)
    """Weight of what the second discriminator says, in the generator's loss."""
    judge_rate: float = Field(2e-3, gt=0)
    """Adam's step size for the second discriminator."""


class SecondOpinion:
    """Trains the heads of a `FeatureDiscriminator` and says what they make of drawn pictures."""

    def __init__(self, discriminator: FeatureDiscriminator, rate: float):
        self.discriminator = discriminator
        self.optimizer = lazy_adam(discriminator.heads, rate, None)

    def __call__(
        self, real: Float[Tensor, "n c h w"], drawn: Float[Tensor, "n c h w"]
    ) -> tuple[float, Float[Tensor, ""]]:
        """One update of the heads; their loss, and the generator's, differentiable in `drawn`."""
        with torch.no_grad():
            wanted = self.discriminator.features(real)
        found = self.discriminator.features(drawn)
        fake = self.discriminator([x.detach() for x in found])
        loss = discriminator_loss(self.discriminator(wanted), fake)
        update(self.optimizer, loss)
        self.discriminator.heads.requires_grad_(False)
        opinion = generator_loss(self.discriminator(found))
        self.discriminator.heads.requires_grad_(True)
        return loss.item(), opinion

    def state_dict(self) -> dict[str, Any]:
        heads = self.discriminator.heads
        return {"heads": heads.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.discriminator.heads.load_state_dict(state["heads"])
        self.optimizer.load_state_dict(state["optimizer"])
