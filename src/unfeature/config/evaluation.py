"""Settings: how the result is judged, and what it may be at most."""

from pydantic import Field

from unfeature.config.base import Settings
from unfeature.config.labels import LabelerConfig


class EvaluateConfig(Settings):
    """How the result is judged."""

    n: int = Field(5000, ge=2)
    """Fresh latents, the same for original, erased and unlearned."""
    judge: LabelerConfig | None = None
    """Who judges; when not given, the labelling function itself, or for other labellers a second
    classifier distilled from labels the first has not seen."""
    closely: LabelerConfig | None = None
    """A second judge: one that minds a faint rest of the feature, e.g. a rim that is half gone
    (`unfeature train judge --faint`), or one that is not fooled by what fools the first. It looks
    at attacked pictures, too. It decides only where `verdict.rests` sets a limit: what it sees in
    pictures that had the feature stands beside the verdict, and beside it what it sees, wrongly, in
    the original's that never had it."""
    features: str = ""
    """Extractor for FID, KID and IS: a shipped judge, a folder, "inception", or "inception:FILE";
    when not given, the shipped digits judge for 1×28×28 images, and none for others: the figures
    are then left out, and the report says so."""
    attributes: str = ""
    """A judge that tells what else changed, of many attributes or of classes (which digit it is): a
    shipped one, a folder, or the `module:factory` of a module that names its outputs as its
    `attributes` or `classes`."""
    leave_out: tuple[str, ...] = ()
    """Of its attributes: the feature itself, and what cannot be without it."""
    counterfactual: str = ""
    """For generators of avatars: the attribute whose perfect removal, which is known, the result is
    compared with."""
    grid: int = Field(16, ge=1, le=64)
    """Pictures a row of grids in the report."""


class VerdictConfig(Settings):
    """What the result may be at most; a limit that is not given decides nothing."""

    target_ratio: float | None = Field(None, ge=0, le=1)
    """Share of pictures that still show the feature."""
    negatives_l1: float | None = Field(None, ge=0)
    """Mean L1 to the original in pictures that never had the feature; images in [−1, 1]."""
    changed: float | None = Field(None, ge=0)
    """Other attributes that differ from the original's, a picture that never had the feature, or
    the share of these that are of another class; needs `evaluate.attributes`."""
    changed_having: float | None = Field(None, ge=0)
    """The same for pictures that had it."""
    rests: float | None = Field(None, ge=0, le=1)
    """Of the pictures that had the feature, the share in which a closer look still sees a rest;
    needs `evaluate.closely`."""
    fid: float | None = Field(None, ge=0)
    """FID to the original's pictures without the feature; needs `evaluate.features`."""
