"""The verdict: how much is left, what else changed, how good the pictures still are."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unfeature.erase import Eraser
from unfeature.errors import UserError
from unfeature.evaluate.features import Extractor
from unfeature.evaluate.manifold import manifold
from unfeature.evaluate.quality import diversity, fid_with_error, inception_score, kid
from unfeature.evaluate.statistics import Mean, Ratio, mean, wilson
from unfeature.generator import Generator, draw
from unfeature.labelers.base import Labeler
from unfeature.labels import sample_seeds
from unfeature.msssim import similarities


@dataclass(frozen=True)
class Quality:
    """Figures of one set of pictures against the original's pictures without the feature.

    Attributes:
        fid, kid: distances to the reference set; 0 is equal.
        inception_score: of the set itself; higher is better.
        precision, density: how many of the pictures look like the reference set's.
        recall, coverage: how much of the reference set could be, or is, drawn.
        diversity: 1 − MS-SSIM between pictures of the set; 0 when all are one.
        fid_error: standard error of the FID; None in files from before it was noted.
    """

    fid: float
    kid: float
    inception_score: float
    precision: float
    recall: float
    density: float
    coverage: float
    diversity: float
    fid_error: float | None = None


@dataclass(frozen=True)
class Verdict:
    """Everything measured on fresh latents, the same for original, erased and unlearned.

    Attributes:
        judge: who said whether a picture shows the feature.
        original, erased, unlearned: share of pictures that show it: f(z), f(ẑ) (or what
            is taught in its place: `Erasure.pictures`), g(z).
        negatives: how many pictures never had it.
        negatives_l1: |g(z) − f(z)| over these; images in [−1, 1].
        negatives_msssim: mean MS-SSIM(g(z), f(z)) over these.
        erased_l1: mean |f(ẑ) − f(z)| over these: what the eraser itself would change.
        features: what FID, KID and IS are measured in; "" when they were not.
        quality: figures by set: "original", "erased", "unlearned", and "floor", the distance
            between two sets of the original's own pictures without the feature.
    """

    judge: str
    original: Ratio
    erased: Ratio
    unlearned: Ratio
    negatives: int
    negatives_l1: Mean
    negatives_msssim: float
    erased_l1: float
    features: str
    quality: dict[str, Quality]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Verdict":
        ratios = {k: Ratio(**values[k]) for k in ("original", "erased", "unlearned")}
        quality = {k: Quality(**v) for k, v in values["quality"].items()}
        l1 = Mean(**values["negatives_l1"])
        return cls(**{**values, **ratios, "negatives_l1": l1, "quality": quality})


@dataclass(frozen=True)
class Pairs:
    """The pictures behind a verdict, row i of each from the same latent, and the judge's scores."""

    seeds: Int[Tensor, " n"]
    original: Float[Tensor, "n c h w"]
    erased: Float[Tensor, "n c h w"]
    unlearned: Float[Tensor, "n c h w"]
    score_original: Float[Tensor, " n"]
    score_erased: Float[Tensor, " n"]
    score_unlearned: Float[Tensor, " n"]
    l1: Float[Tensor, " n"]

    def __getitem__(self, rows: Int[Tensor, " m"]) -> "Pairs":
        parts = {name: values[rows.to(values.device)] for name, values in vars(self).items()}
        return Pairs(**parts)


def evaluate(
    original: Generator,
    unlearned: Generator,
    *,
    judge: Labeler,
    eraser: Eraser,
    n: int = 5000,
    features: Extractor | None = None,
    seed: int = 0,
) -> Verdict:
    """Judge f, f∘erase and g on `n` fresh latents, the same for all three.

    Args:
        judge: best not the one that labelled.
        eraser: what g was taught; its pictures are the ideal that g is compared with.
        features: what FID, KID and IS are measured in; none leaves them out.
    """
    pairs = draw_pairs(original, unlearned, eraser, judge, sample_seeds(n, seed, "evaluate"))
    reference = clean_pictures(original, judge, n, seed=seed) if features else None
    return verdict(pairs, judge=judge.name, extractor=features, reference=reference, seed=seed)


def clean_pictures(
    original: Generator, judge: Labeler, n: int, *, seed: int
) -> Float[Tensor, "m c h w"]:
    """Of `n` pictures of the original drawn for nothing else, those without the feature."""
    images = draw(
        original, original.latents_from_seeds(sample_seeds(n, seed, "reference").tolist())
    )
    return images[judged(judge, images) <= 0]


def draw_pairs(
    original: Generator,
    unlearned: Generator,
    eraser: Eraser,
    judge: Labeler,
    seeds: Int[Tensor, " n"],
) -> Pairs:
    """The same latents through f, f∘erase and g, judged."""
    latents = original.latents_from_seeds(seeds.tolist())
    before, after = draw(original, latents), draw(unlearned, latents)
    erased = torch.cat([_erased(original, eraser, z) for z in latents.split(256)])
    return Pairs(
        seeds,
        before,
        erased,
        after,
        judged(judge, before),
        judged(judge, erased),
        judged(judge, after),
        (after - before).abs().flatten(1).mean(1),
    )


@torch.inference_mode()
def _erased(original: Generator, eraser: Eraser, latents: Tensor) -> Tensor:
    return eraser.erase(latents).pictures(original).clamp(-1, 1)


@torch.inference_mode()
def judged(judge: Labeler, images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """A judge's scores of many pictures."""
    return torch.cat([judge.score(part) for part in images.split(256)])


def verdict(
    pairs: Pairs,
    *,
    judge: str,
    extractor: Extractor | None = None,
    reference: Float[Tensor, "m c h w"] | None = None,
    seed: int = 0,
) -> Verdict:
    """The figures of a set of pairs.

    Args:
        judge: the name of who gave the scores.
        extractor: for FID, KID and IS; none leaves them out.
        reference: other pictures of the original without the feature, at least two; needed with
            an extractor.

    Raises:
        UserError: every picture had the feature, so nothing can be said of the others.
    """
    clean = pairs.score_original <= 0
    if not clean.any():
        raise UserError(
            f"the judge ({judge}) sees the feature in all {len(clean)} pictures of the original; "
            "check its threshold"
        )
    before, after = pairs.original[clean], pairs.unlearned[clean]
    figures: dict[str, Quality] = {}
    if extractor is not None:
        assert reference is not None
        figures = _quality(pairs, clean, extractor, reference, seed)
    return Verdict(
        judge=judge,
        original=wilson(pairs.score_original > 0),
        erased=wilson(pairs.score_erased > 0),
        unlearned=wilson(pairs.score_unlearned > 0),
        negatives=int(clean.sum()),
        negatives_l1=mean(pairs.l1[clean]),
        negatives_msssim=similarities(after, before).mean().item(),
        erased_l1=(pairs.erased[clean] - before).abs().mean().item(),
        features=extractor.name if extractor else "",
        quality=figures,
    )


def _quality(
    pairs: Pairs, clean: Tensor, extractor: Extractor, reference: Tensor, seed: int
) -> dict[str, Quality]:
    wanted, _ = extractor(reference)
    sets = {
        "original": pairs.original,
        "erased": pairs.erased,
        "unlearned": pairs.unlearned,
        "floor": pairs.original[clean],
    }
    return {name: quality(images, extractor, wanted, seed=seed) for name, images in sets.items()}


def quality(
    images: Float[Tensor, "n c h w"],
    extractor: Extractor,
    wanted: Float[Tensor, "m d"],
    *,
    seed: int = 0,
) -> Quality:
    """The figures of one set of pictures.

    Args:
        wanted: the reference set's features. Precision and its like take as many pictures of both
            sets: the first of the larger one.

    Raises:
        UserError: fewer than six pictures of a set.
    """
    if min(len(images), len(wanted)) < 6:
        raise UserError(
            f"figures of quality need six pictures or more of each set; here are {len(images)} "
            f"and {len(wanted)}; raise evaluate.n (of a comparison: n or data_n)"
        )
    features, logits = extractor(images)
    n = min(len(features), len(wanted))
    distance, error = fid_with_error(features, wanted)
    return Quality(
        distance,
        kid(features, wanted, seed=seed),
        inception_score(logits),
        **vars(manifold(wanted[:n], features[:n])),
        diversity=diversity(images),
        fid_error=error,
    )
