"""Make a pre-trained image generator stop producing one visual feature, and prove it.

The public names, in the order of the pipeline.
"""

from unfeature import avatars, labelers
from unfeature.adapters.sources import load, load_judge
from unfeature.attacking import attack_run
from unfeature.config import EraseConfig, Experiment, UnlearnConfig
from unfeature.diagnostics import diagnose
from unfeature.erase import Eraser, ImageEraser, LinearEraser
from unfeature.errors import UserError
from unfeature.evaluate import Extractor, Verdict, evaluate, extractor
from unfeature.generator import Generator, GeneratorSpec, draw
from unfeature.invert import invert
from unfeature.labels import LatentSet, label
from unfeature.loss import unlearning_loss
from unfeature.run import run_experiment
from unfeature.settings import read_experiment
from unfeature.target import TargetVector
from unfeature.unlearn import Step, unlearn

__all__ = [
    "EraseConfig",
    "Eraser",
    "Experiment",
    "Extractor",
    "Generator",
    "GeneratorSpec",
    "ImageEraser",
    "LatentSet",
    "LinearEraser",
    "Step",
    "TargetVector",
    "UnlearnConfig",
    "UserError",
    "Verdict",
    "attack_run",
    "avatars",
    "diagnose",
    "draw",
    "evaluate",
    "extractor",
    "invert",
    "label",
    "labelers",
    "load",
    "load_judge",
    "read_experiment",
    "run_experiment",
    "unlearn",
    "unlearning_loss",
]
