"""FID, KID, Inception Score and diversity of sets of pictures.

Written here and not taken from a metrics library because a verdict needs them free of global
randomness, independent of batch size, and with FID's matrix root in the symmetric form, which
takes a few seconds at 2,048 dimensions. The tests hold each against torchmetrics. Each tells a
generator that collapsed to one picture; Inception Score and diversity, which ask for no data, do
not tell an untrained one, so no verdict rests on them.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.msssim import similarities
from unfeature.seeds import rng


def gaussian(features: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Mean and (n − 1)-normalised covariance, in double precision."""
    x = features.double()
    return x.mean(0), torch.cov(x.T).reshape(x.shape[1], x.shape[1])


def frechet(
    mean_a: Float[Tensor, " d"],
    covariance_a: Float[Tensor, "d d"],
    mean_b: Float[Tensor, " d"],
    covariance_b: Float[Tensor, "d d"],
) -> float:
    """Squared Fréchet distance of two Gaussians (Dowson and Landau, 1982):

        |μa − μb|² + tr(Σa + Σb − 2·(Σa^½ Σb Σa^½)^½)

    The argument of the outer root is symmetric, so both roots come from `eigh`.
    """
    root = _root(covariance_a)
    inner = torch.linalg.eigvalsh(root @ covariance_b @ root)
    return _distance(mean_a, covariance_a, mean_b, covariance_b, inner)


def _root(covariance: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
    """Σ^½."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def _distance(
    mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor, inner: Tensor
) -> float:
    """Dowson and Landau's, given the eigenvalues of the product under the outer root."""
    cross = inner.clamp(min=0).sqrt().sum()
    apart = (mean_a - mean_b).square().sum()
    total = apart + covariance_a.trace() + covariance_b.trace() - 2 * cross
    return max(0.0, total.item())


def fid(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """Fréchet Inception Distance (Heusel et al., NeurIPS 2017) between two sets of features."""
    return frechet(*gaussian(a), *gaussian(b))


def fid_with_error(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> tuple[float, float]:
    """The FID, and its standard error between samples like `a` and the set `b`, by the delta
    method: a row x of `a` moves the FID by h(x)/n to first order, with

        h(x) = 2·(μa − μb)·(x − μa) + |x − μa|² − (x − μa)ᵀ T (x − μa)
        T    = Σb^½ (Σb^½ Σa Σb^½)^−½ Σb^½

    the derivative of Dowson and Landau's distance by a's mean and covariance. To first order: with
    hardly more rows than dimensions it is too large, by half and more.
    """
    (mean_a, covariance_a), (mean_b, covariance_b) = gaussian(a), gaussian(b)
    root = _root(covariance_b)
    inner, sides = torch.linalg.eigh(root @ covariance_a @ root)
    value = _distance(mean_a, covariance_a, mean_b, covariance_b, inner)
    there = inner > 1e-12 * inner[-1].clamp(min=1e-300)  # where neither set varies nothing is moved
    fourth = torch.where(there, inner.where(there, 1.0) ** -0.25, 0.0)
    apart = a.double() - mean_a
    mapped = apart @ (root @ (sides * fourth))
    moved = 2 * apart @ (mean_a - mean_b) + apart.square().sum(1) - mapped.square().sum(1)
    return value, (moved.std() / len(a) ** 0.5).item()


def kid(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "m d"],
    *,
    subsets: int = 50,
    size: int = 1000,
    seed: int = 0,
) -> float:
    """Kernel Inception Distance (Bińkowski et al., ICLR 2018): the unbiased squared MMD with the
    kernel (x·y/d + 1)³, averaged over random subsets."""
    size = min(size, len(a), len(b))
    total = 0.0
    for i in range(subsets):
        random = rng(seed, "kid", i)
        x = a[torch.randperm(len(a), generator=random)[:size]].double()
        y = b[torch.randperm(len(b), generator=random)[:size]].double()
        total += _mmd(x, y)
    return total / subsets


def _mmd(x: Tensor, y: Tensor) -> float:
    n, d = x.shape
    xx, yy, xy = (x @ x.T / d + 1) ** 3, (y @ y.T / d + 1) ** 3, (x @ y.T / d + 1) ** 3
    within = (xx.sum() - xx.trace() + yy.sum() - yy.trace()) / (n * (n - 1))
    return (within - 2 * xy.mean()).item()


def inception_score(logits: Float[Tensor, "n k"]) -> float:
    """Inception Score (Salimans et al., NeurIPS 2016): exp E KL(p(y | x) ‖ p(y)), one split.

    1 where all pictures are one class. It asks for no data, so pictures unlike any can score
    higher than good ones: never read it alone.
    """
    log_p = logits.double().log_softmax(1)
    p = log_p.exp()
    log_marginal = p.mean(0).clamp(min=1e-300).log()
    return (p * (log_p - log_marginal)).sum(1).mean().exp().item()


def diversity(images: Float[Tensor, "n c h w"]) -> float:
    """How unlike each other pictures are: 1 − mean MS-SSIM of picture 2i with picture 2i + 1.

    MS-SSIM between samples shows mode collapse (Odena et al., ICML 2017, arXiv 1610.09585, section
    4.3): 0 where all are one picture; higher is more varied.

    Args:
        images: at least two, in [−1, 1], in no order.
    """
    images = images[: len(images) // 2 * 2]
    return 1 - similarities(images[::2], images[1::2]).mean().item()
