"""Whether a generator unlearnt a digit's stroke or strewed specks instead.

    python -m benchmarks.specks RUN [RUN …]      # of a slant, or of a thickness

RUN is an unlearned run of one of MNIST's. Of `--n` latents, in percent: pictures that still show
the feature; of those that had it the share that does, by the run's own judge, and by the network of
`examples.strokes`, which learnt to see through specks (with the line that as many of the original's
pictures pass as have the feature), before → after. Then the mean L1 elsewhere, and the specks in
pictures that had the feature: the original's, the erased ones of the first round (of at most 200),
and the unlearned.
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
from unfeature.labelers.base import Labeler
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
    heads = ("run", "left", "of those that had it", "by the network", "L1", "specks: f, erased, g")
    print("| " + " | ".join(heads) + " |\n|" + " --- |" * len(heads))
    for path in arguments.runs:
        try:
            print("| " + " | ".join([str(path), *row(RunFolder.open(path), arguments.n)]) + " |")
        except UserError as error:
            parser.error(str(error))


def row(run: RunFolder, n: int) -> list[str]:
    """The cells of one run."""
    experiment = run.experiment()
    f, g = load_both(experiment.generator, run.unlearned)
    asked = load_panel(run.path / "panel").judge
    latents = f.latents_from_seeds(sample_seeds(n, experiment.seed, "specks").tolist())
    before, after = draw(f, latents), draw(g, latents)
    had = judged(asked, before) > 0
    if not had.any():
        raise UserError(f"none of {n} pictures of '{run.path}' had the feature; give a larger --n")
    network = second(asked, before, share=had.double().mean().item())
    left = judged(asked, after) > 0
    seen, still = (judged(network, images[had]) > 0 for images in (before, after))
    erased = current_eraser(run, experiment, f).erase(latents[had][:ERASED]).pictures(f)
    strewn = [specks(images).mean() for images in (before[had], erased, after[had])]
    return [
        f"{left.double().mean():.2%}",
        f"{left[had].double().mean():.1%}",
        f"{seen.double().mean():.1%} → {still.double().mean():.1%}",
        f"{(before - after)[~had].abs().mean():.4f}",
        ", ".join(f"{value:.2f}" for value in strewn),
    ]


def second(asked: Labeler, images: Tensor, *, share: float) -> FunctionLabeler:
    """The network's opinion on what `asked` measures.

    Raises:
        UserError: `asked` is no function of `unfeature.features.digits` that the network knows.
    """
    known = {f"unfeature.features.digits:{name}": name for name in ("slant", "thickness")}
    if not isinstance(asked, FunctionLabeler) or asked.reference not in known:
        raise UserError(
            f"'{asked.name}' judges the run, and not {' or '.join(known)}; give a run of these"
        )
    name = known[asked.reference]
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
