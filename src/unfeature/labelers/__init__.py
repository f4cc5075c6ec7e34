"""Who says whether a picture shows the feature: a classifier, a Python function, or a person."""

from unfeature.labelers.base import Labeler
from unfeature.labelers.classifier import ClassifierLabeler
from unfeature.labelers.function import FunctionLabeler

__all__ = ["ClassifierLabeler", "FunctionLabeler", "Labeler"]
