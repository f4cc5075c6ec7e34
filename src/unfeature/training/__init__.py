"""Training from a data set, for when there is one: originals, oracles and judges."""

from unfeature.training.attributes import AttributeSession, attribute_figures
from unfeature.training.calibration import calibrate
from unfeature.training.gan import GANSession
from unfeature.training.judge import JudgeSession, balanced_accuracy
from unfeature.training.loop import Session, Standing, TrainConfig, fit
from unfeature.training.vae import VAESession

__all__ = [
    "AttributeSession",
    "GANSession",
    "JudgeSession",
    "Session",
    "Standing",
    "TrainConfig",
    "VAESession",
    "attribute_figures",
    "balanced_accuracy",
    "calibrate",
    "fit",
]
