"""Training from a data set, for when there is one: originals, oracles and judges."""

from unfeature.training.gan import GANSession
from unfeature.training.judge import JudgeSession, balanced_accuracy
from unfeature.training.loop import Epoch, Session, TrainConfig, fit
from unfeature.training.vae import VAESession

__all__ = [
    "Epoch",
    "GANSession",
    "JudgeSession",
    "Session",
    "TrainConfig",
    "VAESession",
    "balanced_accuracy",
    "fit",
]
