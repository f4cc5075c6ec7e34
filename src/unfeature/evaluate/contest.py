"""Several methods measured on the same fresh latents, and each held against one of them."""

from dataclasses import asdict, dataclass
from typing import Any

import scipy
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unfeature.evaluate.collateral import Collateral, changed, compare_attributes
from unfeature.evaluate.features import Extractor
from unfeature.evaluate.statistics import Mean, Ratio, mcnemar, mean, wilson
from unfeature.evaluate.verdict import Quality, judged, quality
from unfeature.labelers.base import Labeler
from unfeature.labelers.classifier import AttributeJudge
from unfeature.msssim import similarities


@dataclass(frozen=True)
class Sight:
    """Pictures of many latents, and what the judges see in them.

    Attributes:
        shows: whether a picture shows the feature.
        attributes: which other attributes it has; no column where nobody can tell.
        exclusive: whether these are classes, of which a picture shows one.
    """

    images: Float[Tensor, "n c h w"]
    shows: Bool[Tensor, " n"]
    attributes: Bool[Tensor, "n k"]
    exclusive: bool = False


@dataclass(frozen=True)
class Jury:
    """Who looks, the same for all methods.

    Attributes:
        judge: of the feature.
        examiner: of other attributes or classes, or None.
        left_out: of these: the feature itself, and what cannot be without it.
        extractor: of what quality is measured in, or None.
        wanted: the features of what g should draw: pictures without the feature.
        closer: a judge of the feature that minds a rest of it, too, or None.
    """

    judge: Labeler
    examiner: AttributeJudge | None = None
    left_out: tuple[str, ...] = ()
    extractor: Extractor | None = None
    wanted: Float[Tensor, "m d"] | None = None
    closer: Labeler | None = None

    @property
    def names(self) -> list[str]:
        """The other attributes that are looked at."""
        names = self.examiner.names if self.examiner is not None else ()
        return [name for name in names if name not in self.left_out]

    def look(self, images: Float[Tensor, "n c h w"]) -> Sight:
        """What the judges see."""
        shows = judged(self.judge, images) > 0
        if self.examiner is None:
            return Sight(images, shows, torch.zeros(len(images), 0, dtype=torch.bool).to(shows))
        kept = [i for i, name in enumerate(self.examiner.names) if name not in self.left_out]
        return Sight(images, shows, self.examiner(images)[:, kept], self.examiner.exclusive)


@dataclass(frozen=True)
class Measured:
    """One generator's figures.

    Attributes:
        target: share of its pictures that show the feature.
        l1: to the original's picture, where that never had the feature; None where latents do not
            mean the same pictures.
        msssim: the same as similarity.
        having, lacking: other attributes changed, in pictures that had the feature and that did
            not; None where nobody can tell.
        quality: None where no features are named.
        rests: share of the pictures that had the feature in which a closer look still sees a rest;
            None where nobody looks, or latents do not mean the same pictures.
    """

    target: Ratio
    l1: Mean | None
    msssim: Mean | None
    having: Collateral | None
    lacking: Collateral | None
    quality: Quality | None
    rests: Ratio | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(jury: Jury, before: Sight, after: Sight, *, paired: bool, seed: int = 0) -> Measured:
    """The figures of the generator that drew `after` from the latents of `before`.

    Args:
        before: the original's pictures.
        paired: whether a latent means the same picture to both.
    """
    had = before.shows
    l1 = similar = None
    having = lacking = None
    if paired and not had.all():
        a, b = after.images[~had], before.images[~had]
        l1 = mean(_distance(before, after)[~had])
        similar = mean(similarities(a, b))
    if paired and jury.examiner is not None:
        having, lacking = (_changes(jury, before, after, rows) for rows in (had, ~had))
    figures = None
    if jury.extractor is not None and jury.wanted is not None:
        figures = quality(after.images, jury.extractor, jury.wanted, seed=seed)
    rests = None
    if paired and jury.closer is not None and had.any():
        rests = wilson(judged(jury.closer, after.images[had]) > 0)
    return Measured(wilson(after.shows), l1, similar, having, lacking, figures, rests)


def _changes(jury: Jury, before: Sight, after: Sight, rows: Tensor) -> Collateral | None:
    """Other attributes changed in some of the pictures, if there are any."""
    if jury.examiner is None or not rows.any():
        return None
    return compare_attributes(
        jury.examiner, jury.names, before.attributes[rows], after.attributes[rows]
    )


@dataclass(frozen=True)
class Duel:
    """Ours against another method, on the same latents.

    Attributes:
        p_target: that both show the feature equally often (McNemar, exact).
        target: difference of the shares, ours − theirs; in [−1, 1].
        l1: difference of the distances to the original where it never had the feature.
        p_l1: that it is zero (paired t-test).
        changed: difference of the number of other attributes changed there; of classes, of the
            share of pictures that changed theirs.
        p_changed: that it is zero.
    """

    p_target: float
    target: Mean
    l1: Mean | None
    p_l1: float | None
    changed: Mean | None
    p_changed: float | None


def held_against(before: Sight, ours: Sight, theirs: Sight, *, paired: bool) -> Duel:
    """The paired differences.

    Args:
        before: the original's pictures.
        paired: whether a latent means the same picture to all three.
    """
    target = mean(ours.shows.double() - theirs.shows.double())
    clean = ~before.shows
    l1 = others = None
    if paired and clean.any():
        l1 = _distance(before, ours)[clean], _distance(before, theirs)[clean]
        if before.attributes.shape[1]:
            others = _differing(before, ours)[clean], _differing(before, theirs)[clean]
    return Duel(mcnemar(theirs.shows, ours.shows), target, *_difference(l1), *_difference(others))


def _distance(a: Sight, b: Sight) -> Float[Tensor, " n"]:
    return (a.images - b.images).abs().flatten(1).mean(1).double()


def _differing(a: Sight, b: Sight) -> Float[Tensor, " n"]:
    return changed(a.attributes != b.attributes, exclusive=a.exclusive)


def _difference(values: tuple[Tensor, Tensor] | None) -> tuple[Mean | None, float | None]:
    """Mean difference and p-value of two columns of the same rows."""
    if values is None:
        return None, None
    x, y = values
    if bool((x == y).all()):
        return mean(x - y), 1.0
    return mean(x - y), float(scipy.stats.ttest_rel(x.cpu().numpy(), y.cpu().numpy()).pvalue)


def beyond(ours: tuple[float, float], theirs: tuple[float, float]) -> bool:
    """Whether ours lies on or past the front through theirs: better in one of two figures of which
    less is better, or as good in both."""
    return ours[0] < theirs[0] or ours[1] < theirs[1] or ours == theirs
