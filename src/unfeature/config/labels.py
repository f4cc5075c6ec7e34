"""Settings: who says whether a picture shows a feature."""

from typing import Literal

from pydantic import Field, model_validator

from unfeature.config.base import Settings

By = Literal["function", "classifier", "sheet"]


class LabelerConfig(Settings):
    """Who says whether a picture shows a feature."""

    by: By = "function"
    """"function" (a Python function on images), "classifier" (a judge), or "sheet" (a person)."""
    function: str = ""
    """For "function": `module:name`, images in [−1, 1] → one number each."""
    threshold: float | None = None
    """The function's value (or a classifier's log-odds, 0 when not given) where the feature
    begins."""
    share: float | None = Field(None, gt=0, lt=1)
    """For "function", instead of `threshold`: the share of the original's pictures that have it."""
    side: Literal["above", "below"] = "above"
    """For "function": on which side of the threshold the feature lies."""
    classifier: str = ""
    """For "classifier": a shipped judge's name, a folder, or `module:factory`."""
    target: str = Field("", coerce_numbers_to_str=True)
    """For "classifier": the class, by name or index."""

    @model_validator(mode="after")
    def _complete(self) -> "LabelerConfig":
        if self.by == "function":
            if not self.function:
                raise ValueError("by = 'function' needs 'function', e.g. 'my_module:my_function'")
            if (self.threshold is None) == (self.share is None):
                raise ValueError("by = 'function' needs exactly one of 'threshold' and 'share'")
        if self.by == "classifier":
            if not self.classifier:
                raise ValueError("by = 'classifier' needs 'classifier', e.g. 'digits-judge'")
            if self.side == "below":
                raise ValueError("side = 'below' is for by = 'function'; name another 'target'")
        return self


class LabelConfig(LabelerConfig):
    """How the original's pictures are labelled."""

    n: int = Field(2000, ge=1)
    """Pictures to label."""
    unsure: float = Field(0.0, ge=0)
    """Scores nearer to zero than this count as unsure, in the labeller's unit."""
    answers: str = ""
    """For "sheet": the text file with the numbers of the pictures that show the feature."""
