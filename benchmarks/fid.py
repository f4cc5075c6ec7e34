"""FID at Inception's 2,048 dimensions: the symmetric form over torchmetrics' general one.

    python -m benchmarks.fid

Ratios measured in one process, A B A B; both get the same random features, and the values that
they come to are printed beside them.
"""

import argparse

import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from benchmarks.attack_speed import report
from unfeature.evaluate.quality import fid
from unfeature.seeds import rng


class Flat(nn.Module):
    """Images whose pixels are the features."""

    num_features = 2048

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1).double()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=3000, help="features of each kind")
    parser.add_argument("--pairs", type=int, default=3)
    arguments = parser.parse_args()
    a, b = (torch.randn(arguments.n, 2048, generator=rng(seed, "fid")) for seed in (0, 1))
    b = b * 0.8
    theirs = FrechetInceptionDistance(feature=Flat())
    theirs.set_dtype(torch.float64)
    for features, real in ((a, True), (b, False)):
        theirs.update(features.view(-1, 2, 32, 32).double(), real=real)

    def general() -> float:
        theirs._computed = None  # or it would remember
        return float(theirs.compute())

    print(f"values: {fid(a, b):.4f}, torchmetrics {general():.4f}", flush=True)
    report("ours over torchmetrics", arguments.pairs, lambda: fid(a, b), general)


if __name__ == "__main__":
    main()
