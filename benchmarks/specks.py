"""Whether a generator unlearnt a digit's stroke or strewed specks instead.

    python -m benchmarks.specks RUN [RUN …]      # of a slant, or of a thickness

RUN is an unlearned run of one of MNIST's. Of `--n` latents, in percent: pictures that still show
the feature by the run's own judge, and by the network of `examples.strokes`, which learnt to see
through specks (with the line that as many of the original's pictures pass as have the feature); the
same of those that had it. Then the mean L1 elsewhere, and the specks in pictures that had the
feature: the original's, the erased ones of the first round, and the unlearned.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from examples.strokes import judge
from jaxtyping import Float
from torch import Tensor

from unfeature import draw
from unfeature.adapters.sources import load_both
from unfeature.errors import UserError
from unfeature.evaluate.verdict import judged
from unfeature.features.digits import ink
from unfeature.folder import RunFolder
from unfeature.labelers.function import FunctionLabeler
from unfeature.labels import sample_seeds
from unfeature.learning import current_eraser
from unfeature.panel import load_panel

ERASED = 200
"""Erased pictures, which cost a search each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--n", type=int, default=3000)
    arguments = parser.parse_args()
    heads = ("run", "left", "by the network", "of those that had it", "L1", "specks: f, erased, g")
    print("| " + " | ".join(heads) + " |\n|" + " --- |" * len(heads))
    for path in arguments.runs:
        print("| " + " | ".join([path.name, *row(RunFolder.open(path), arguments.n)]) + " |")


def row(run: RunFolder, n: int) -> list[str]:
    """The cells of one run."""
    experiment = run.experiment()
    f, g = load_both(experiment.generator, run.unlearned)
    asked = load_panel(run.path / "panel").judge
    latents = f.latents_from_seeds(sample_seeds(n, experiment.seed, "specks").tolist())
    before, after = draw(f, latents), draw(g, latents)
    had = judged(asked, before) > 0
    network = second(asked, before, share=had.double().mean().item())
    seen, still = (judged(network, images) > 0 for images in (before, after))
    erased = current_eraser(run, experiment, f).erase(latents[had][:ERASED]).pictures(f)
    strewn = [specks(images).mean() for images in (before[had], erased, after[had])]
    return [
        f"{(judged(asked, after) > 0).double().mean():.2%}",
        f"{still.double().mean():.2%}",
        f"{seen[had].double().mean():.1%} → {still[had].double().mean():.1%}",
        f"{(before - after)[~had].abs().mean():.4f}",
        ", ".join(f"{value:.2f}" for value in strewn),
    ]


def second(asked: object, images: Tensor, *, share: float) -> FunctionLabeler:
    """The network's opinion on what `asked` measures.

    Raises:
        UserError: `asked` is no function of `unfeature.features.digits` that the network knows.
    """
    name = asked.reference.rpartition(":")[2] if isinstance(asked, FunctionLabeler) else ""
    if not isinstance(asked, FunctionLabeler) or name not in ("slant", "thickness"):
        raise UserError("the run's judge is neither 'slant' nor 'thickness'; give a run of these")
    fn, reference = getattr(judge, name), f"examples.strokes.judge:{name}"
    return FunctionLabeler.calibrated(fn, reference, images, share=share, side=asked.side)


def specks(images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """How much ink lies in pixels above all four neighbours: their excess, summed; a pixel of full
    ink that stands alone counts 1."""
    p = F.pad(ink(images), (1, 1, 1, 1))
    around = torch.stack([p[:, :-2, 1:-1], p[:, 2:, 1:-1], p[:, 1:-1, :-2], p[:, 1:-1, 2:]])
    return (p[:, 1:-1, 1:-1] - around.amax(0)).clamp(min=0).flatten(1).sum(1)


if __name__ == "__main__":
    main()
