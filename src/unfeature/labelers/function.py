"""A Python function on images as the labeller."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.errors import UserError, first_line
from unfeature.labelers.base import Labeler

Side = Literal["above", "below"]
Measure = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class FunctionLabeler:
    """score = ±(fn(images) − threshold) / scale.

    Attributes:
        fn: images in [−1, 1], shape (n, c, h, w) → one number each.
        reference: how it is called, `module:name`.
        threshold: where the feature begins, in the function's unit.
        side: whether the feature lies "above" or "below" the threshold.
        scale: what counts as one unit of score, in the function's unit.
    """

    fn: Measure
    reference: str
    threshold: float
    side: Side = "above"
    scale: float = 1.0

    @property
    def name(self) -> str:
        sign = ">" if self.side == "above" else "<"
        return f"function {self.reference} {sign} {self.threshold:.6g}"

    def score(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        sign = 1 if self.side == "above" else -1
        return (measured(self.fn, images, self.reference) - self.threshold) * (sign / self.scale)

    @classmethod
    def calibrated(
        cls,
        fn: Measure,
        reference: str,
        images: Float[Tensor, "n c h w"],
        *,
        share: float | None = None,
        threshold: float | None = None,
        side: Side = "above",
    ) -> "FunctionLabeler":
        """A labeller whose scale is the function's spread over `images`, and whose threshold is
        given, or lies where `share` of `images` have the feature.

        Raises:
            UserError: neither or both of `share` and `threshold`; a function that does not vary.
        """
        if (share is None) == (threshold is None):
            raise UserError("give exactly one of label.share and label.threshold")
        values = measured(fn, images, reference)
        scale = values.std().item()
        if scale == 0:
            raise UserError(
                f"'{reference}' gives the same value for all {len(values)} pictures; "
                "it cannot tell a feature"
            )
        if threshold is None:
            assert share is not None
            quantile = 1 - share if side == "above" else share
            threshold = values.quantile(quantile).item()
        return cls(fn, reference, threshold, side, scale)


def same_function(a: Labeler, b: Labeler) -> bool:
    """Whether both measure the same, wherever each draws the line."""
    if not (isinstance(a, FunctionLabeler) and isinstance(b, FunctionLabeler)):
        return False
    return a.fn is b.fn or a.reference == b.reference


def measured(fn: Measure, images: Tensor, reference: str) -> Float[Tensor, " n"]:
    """The function's values of the images, clamped to [−1, 1], as they are shown; checked.

    Raises:
        UserError: not one finite number an image.
    """
    try:
        values = fn(images.clamp(-1, 1))
    except Exception as error:  # it is the user's, and may raise anything
        raise UserError(
            f"'{reference}' cannot be called on images of {list(images.shape)}: {first_line(error)}"
        ) from error
    if not isinstance(values, Tensor) or values.shape != (len(images),):
        shape = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise UserError(
            f"'{reference}' gave {shape} for {len(images)} images; it must give a tensor with one "
            "number an image"
        )
    if not torch.isfinite(values).all():
        raise UserError(f"'{reference}' gave NaN or infinity; make it total on images in [-1, 1]")
    return values.float()
