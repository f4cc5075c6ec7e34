"""Gate and eraser: which latents carry the feature, and the nearest ones that do not.

Moon, Cho, Kim (AAAI 2024), section 3.3, with z_e a unit vector that points towards the feature:

    sim(z, z_e) = [z · z_e > t]           ẑ = z − max(0, z · z_e − t) · z_e
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unfeature.confine import confined
from unfeature.donors import Donors, towards_donors
from unfeature.errors import UserError
from unfeature.generator import Generator
from unfeature.labelers.base import Labeler, look
from unfeature.labels import LatentSet, sample_seeds
from unfeature.search import Found, approach, descent, line, moved
from unfeature.sharpen import look_closely
from unfeature.target import TargetVector

SearchPath = Literal["line", "descent", "donors"]


@dataclass(frozen=True)
class Erasure:
    """What an eraser did to a batch of latents.

    Attributes:
        latents: ẑ; equal to z where the gate is shut. With `ImageEraser.layers`, one w for each
            layer, which the generator takes, too.
        edited: where the gate was open, the `sim` of the paper's loss.
        images: f(ẑ), where the eraser had to draw it anyway, else None; with
            `ImageEraser.confine`, f(z) outside a region.
    """

    latents: Float[Tensor, "n *erased"]
    edited: Bool[Tensor, " n"]
    images: Float[Tensor, "n c h w"] | None = None

    def pictures(self, original: Generator) -> Float[Tensor, "n c h w"]:
        """What is to be drawn instead of f(z)."""
        return original(self.latents) if self.images is None else self.images


class Eraser(ABC):
    """Latents → latents, or pictures, that do not show the feature."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The gate and its setting, in a few words."""

    @abstractmethod
    def erase(self, latents: Float[Tensor, "n *latent"]) -> Erasure:
        """ẑ for each latent, and which were edited."""

    def __call__(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *latent"]:
        """ẑ alone; what is taught for it is `Erasure.pictures`."""
        return self.erase(latents).latents

    @staticmethod
    def fit(
        target: TargetVector, labels: LatentSet, *, gate: str = "calibrated", recall: float = 0.95
    ) -> "LinearEraser":
        """A linear eraser with the threshold that `gate` names (see `threshold_for`)."""
        return LinearEraser(target, threshold_for(labels, target, gate, recall=recall), gate)


@dataclass(frozen=True)
class LinearEraser(Eraser):
    """The paper's gate and eraser, for any threshold t."""

    target: TargetVector
    threshold: float
    gate: str = "paper"

    @property
    def name(self) -> str:
        return f"{self.gate} gate: z·z_e > {self.threshold:.4g}"

    def erase(self, latents: Float[Tensor, "n *latent"]) -> Erasure:
        excess = (self.target.score(latents) - self.threshold).clamp(min=0)
        erased = moved(latents, self.target.direction, excess)
        return Erasure(erased, excess > 0)


@dataclass(frozen=True)
class ImageEraser(Eraser):
    """Ask a labeller whether f(z) shows the feature; if so, the smallest shift after which not.

    ẑ is the first latent on a path from z at which the labeller's score of f(ẑ) is below −margin.
    Where none is, it is the one with the lowest score. The path is the line z − s·z_e
    (`unfeature.search.line`); the way to similar pictures that lack the feature
    (`unfeature.donors`); or, for a labeller that can be differentiated, the way down its score
    (`unfeature.search.descent`), which bends and is shorter.

    Attributes:
        original: f, the generator that draws the pictures the labeller sees.
        labeler: says whether a picture shows the feature (score > 0).
        target: its direction is the line along which is searched.
        path: "line", "donors" or "descent".
        margin: how far below zero the score must fall, in the labeller's unit.
        reach: the longest shift, in latent units (standard deviations of a Gaussian prior).
        coarse: steps of the search along the line; one step is reach / coarse long.
        fine: bisections inside the step that was found.
        descents: steps of the way down at most.
        pictures: for "donors", how many are drawn, among which those without the feature are
            looked up; they are drawn when they are first needed.
        towards: for "descent" and "donors", when the labeller can be differentiated: whose picture
            ẑ's should be near to, as far as it lacks the feature (`unfeature.search.approach`):
            the original's, so that as little as possible changes, or in later rounds g's, which is
            the easiest to learn. Attributes that the labeller looks at, too, are kept.
        approaches: how many latents are looked at on that way, the first of them where it starts.
        stride: the length of its steps, against the usual one.
        layers: for generators with w: whether these steps move every layer's w by itself
            (`Generator.per_layer`), which gets nearer than one w for all can.
        sharpen: above 0, ẑ's picture must lack the feature when it is sharpened so much, too, so
            that no faint rest stays (`unfeature.sharpen`).
        confine: above 0, what is taught is f(ẑ) only inside a region that holds at least this share
            of what takes the feature away (`unfeature.confine`), and f(z) around it.
    """

    original: Generator
    labeler: Labeler
    target: TargetVector
    path: SearchPath = "line"
    margin: float = 0.5
    reach: float = 6.0
    coarse: int = 8
    fine: int = 2
    descents: int = 12
    pictures: int = 3000
    towards: Generator | None = None
    approaches: int = 12
    stride: float = 1.0
    layers: bool = False
    sharpen: float = 0.0
    confine: float = 0.0
    gate: str = field(default="image", init=False)

    @cached_property
    def donors(self) -> Donors:
        """For "donors", the pictures without the feature."""
        seeds = sample_seeds(self.pictures, 0, "donors").tolist()
        latents = self.original.latents_from_seeds(seeds)
        return Donors.among(latents, self.original, self._seen, margin=self.margin)

    @property
    def name(self) -> str:
        return f"image gate: {self.labeler.name}, margin {self.margin:g}"

    @torch.inference_mode()
    def erase(self, latents: Float[Tensor, "n *latent"]) -> Erasure:
        images = self.original(latents)
        scores, kept = look(self.labeler, images)
        edited = scores > 0
        rows = edited.nonzero().squeeze(1)
        erased = self._apart(latents)
        if len(rows) == 0:
            return Erasure(erased, edited, images)
        found = self._search(latents[rows], images[rows], kept[rows])
        pictures = found.images
        if self.confine:
            pictures = confined(
                images[rows],
                pictures,
                lambda seen: self._seen(seen)[0],
                share=self.confine,
                limit=-self.margin / 2,
            )
        return Erasure(
            erased.index_copy(0, rows, found.latents),
            edited,
            images.index_copy(0, rows, pictures),
        )

    def _search(self, latents: Tensor, images: Tensor, kept: Tensor) -> Found:
        """For latents whose pictures show the feature: the nearest that do not.

        Args:
            images: their pictures.
            kept: what the labeller said of the attributes that are to be kept.
        """
        if self.path == "line":
            return line(
                latents,
                self.original,
                lambda images: self._seen(images)[0],
                direction=self.target.direction,
                margin=self.margin,
                reach=self.reach,
                coarse=self.coarse,
                fine=self.fine,
            )
        if self.path == "donors":
            found = towards_donors(
                latents,
                images,
                self.original,
                self._seen,
                kept=kept,
                donors=self.donors,
                margin=self.margin,
            )
        else:
            found = descent(
                latents,
                self.original,
                self._seen,
                kept=kept,
                margin=self.margin,
                reach=self.reach,
                steps=self.descents,
            )
        if self.towards is None:
            return found
        apart = self._apart(found.latents)
        return approach(
            replace(found, latents=apart),
            self.towards(latents),
            self.original,
            self._seen,
            kept=kept,
            margin=self.margin,
            steps=self.approaches,
            stride=self.stride * (apart.numel() / found.latents.numel()) ** 0.5,
        )

    def _seen(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the search asks of a picture: its score, or that of the sharpened one where it is
        higher, and the log-odds of the attributes that are to be kept."""
        return look_closely(self.labeler, images, self.sharpen)

    def _apart(self, latents: Tensor) -> Tensor:
        """One w for each layer, where these are moved by themselves."""
        if self.layers and self.towards is not None:
            return self.original.per_layer(latents).contiguous()
        return latents


def threshold_for(
    labels: LatentSet, target: TargetVector, gate: str, *, recall: float = 0.95
) -> float:
    """The t of a linear gate.

    Args:
        gate: "paper", the mean score of all labelled samples; "midpoint", halfway between the
            class means; "calibrated", the highest t, and so the smallest share of latents edited,
            at which `recall` of the labelled positives score above it.
        recall: for "calibrated", in (0, 1].
    """
    scores = target.score(labels.require_both().latents)
    if gate == "paper":
        return scores.mean().item()
    positives = target.score(labels.positives)
    if gate == "midpoint":
        return ((positives.mean() + target.score(labels.negatives).mean()) / 2).item()
    if gate == "calibrated":
        if not 0 < recall <= 1:
            raise UserError(f"erase.recall is {recall}; give a share above 0 and at most 1")
        allowed = int((1 - recall) * len(positives) + 1e-9)
        lowest_kept = positives.sort().values[allowed].item()
        return float(torch.nextafter(torch.tensor(lowest_kept), torch.tensor(-torch.inf)))
    raise UserError(f"unlearning gate '{gate}' has no threshold; use paper, midpoint or calibrated")
