"""Settings: how the result is attacked."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from unfeature.config.base import Settings
from unfeature.config.labels import LabelerConfig

Norm = Literal["l2", "linf"]
LossName = Literal["log-odds", "logit", "margin"]


class AttackConfig(Settings):
    """A budget."""

    norm: Norm = "l2"
    """Of the ball around the latent where a search begins."""
    epsilon: float = Field(2.0, ge=0, allow_inf_nan=True)
    """Its radius, in latent units; inf for all plausible latents."""
    steps: int = Field(20, ge=1)
    """Queries of a restart."""
    restarts: int = Field(10, ge=1)
    """Searches a latent; the first begins at the latent itself, the others beside it."""
    loss: LossName = "log-odds"
    """What is climbed: the log-odds, log p − log(1 − p), whose direction is the cross-entropy's,
    too; the class's logit; or its margin over the largest other (Carlini and Wagner, arXiv
    1608.04644). They differ for a classifier of several classes; of one logit, or of attributes
    that do not exclude each other, there is only one."""
    confidence: float = Field(1.0, ge=0)
    """A search goes on until the classifier's score is above this, in its unit; above 0 it sees the
    feature, but another judge may not yet."""
    batch_size: int = Field(256, ge=1)
    """Latents at a time."""


class AttackTable(AttackConfig):
    """How the result is attacked."""

    n: int = Field(500, ge=2)
    """Latents to begin at, the same for every generator."""
    epsilons: tuple[Annotated[float, Field(allow_inf_nan=True)], ...] = (
        0.0,
        0.5,
        1.0,
        2.0,
        float("inf"),
    )
    """Radii, in rising order; what a smaller one finds counts for a larger one, too."""
    classifier: LabelerConfig | None = None
    """The attacker's classifier, h; when not given, the labeller where that is a classifier, else
    one distilled from its labels."""
    inversions: int = Field(0, ge=0)
    """Of the original's pictures with the feature, how many are looked up in the unlearned
    generator's latents; 0 leaves it out."""
    inversion_steps: int = Field(200, ge=1)
    """Steps of each inversion."""
    relearn: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Numbers of pictures with the feature from which it is taught again, e.g. [0, 10, 100]."""
    relearn_steps: int = Field(200, ge=1)
    """Updates of each lesson."""

    @model_validator(mode="after")
    def _rising(self) -> "AttackTable":
        if not self.epsilons or not all(epsilon >= 0 for epsilon in self.epsilons):
            raise ValueError("epsilons must be radii of 0 or more, e.g. [0, 1, 2, inf]")
        if list(self.epsilons) != sorted(set(self.epsilons)):
            raise ValueError("epsilons must rise, e.g. [0, 1, 2, inf]")
        if self.epsilon != AttackConfig().epsilon:
            raise ValueError("attack.epsilon is one search's; give attack.epsilons, e.g. [1, 2]")
        return self

    def at(self, epsilon: float) -> "AttackTable":
        """The same budget with another radius."""
        return self.model_copy(update={"epsilon": epsilon})
