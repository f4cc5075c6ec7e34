"""Settings: frozen, typed, checked when made. A TOML file's tables are these classes."""

from unfeature.config.attacks import AttackConfig, AttackTable, LossName, Norm
from unfeature.config.base import Settings
from unfeature.config.evaluation import EvaluateConfig, VerdictConfig
from unfeature.config.experiment import Experiment
from unfeature.config.labels import LabelConfig, LabelerConfig
from unfeature.config.models import EncoderConfig, GeneratorConfig, RecipeConfig
from unfeature.config.unlearning import EraseConfig, TargetConfig, UnlearnConfig

__all__ = [
    "AttackConfig",
    "AttackTable",
    "EncoderConfig",
    "EraseConfig",
    "EvaluateConfig",
    "Experiment",
    "GeneratorConfig",
    "LabelConfig",
    "LabelerConfig",
    "LossName",
    "Norm",
    "RecipeConfig",
    "Settings",
    "TargetConfig",
    "UnlearnConfig",
    "VerdictConfig",
]
