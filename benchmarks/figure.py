"""The README's picture: the same latents before, as taught, and after.

unfeature demo && python -m benchmarks.figure runs/demo docs/demo.png
"""

import sys
from pathlib import Path

import torch

from unfeature.adapters.sources import load_both
from unfeature.evaluate import draw_pairs
from unfeature.folder import RunFolder
from unfeature.labels import sample_seeds
from unfeature.learning import current_eraser
from unfeature.panel import load_panel
from unfeature.pictures import grid

COLUMNS, GAP, ZOOM = 12, 10, 2


def main() -> None:
    run, output = RunFolder.open(Path(sys.argv[1])), Path(sys.argv[2])
    experiment = run.experiment()
    original, unlearned = load_both(experiment.generator, run.unlearned)
    pairs = draw_pairs(
        original,
        unlearned,
        current_eraser(run, experiment, original),
        load_panel(run.path / "panel").judge,
        sample_seeds(200, experiment.seed, "evaluate"),
    )
    had = pairs.score_original > 0
    halves = []
    for rows in (had.nonzero().squeeze(1)[:COLUMNS], (~had).nonzero().squeeze(1)[:COLUMNS]):
        parts = [pairs.original[rows], pairs.erased[rows], pairs.unlearned[rows]]
        halves.append(grid(torch.cat(parts), COLUMNS).convert("RGB"))
    left, right = halves
    sheet = left.resize((left.width + GAP + right.width, left.height))
    sheet.paste("white", (0, 0, sheet.width, sheet.height))
    sheet.paste(left, (0, 0))
    sheet.paste(right, (left.width + GAP, 0))
    sheet.resize((sheet.width * ZOOM, sheet.height * ZOOM), 0).save(output, optimize=True)


if __name__ == "__main__":
    main()
