"""Rows of docs/results.md from finished runs.

python -m benchmarks.table runs/mlp-image runs/mlp-paper
"""

import sys
from pathlib import Path

from unfeature.adapters.files import read_json
from unfeature.evaluate import Verdict
from unfeature.folder import RunFolder


def row(path: Path) -> str:
    """Name, original and unlearned target ratio, L1, MS-SSIM, FID before and after, seconds."""
    run = RunFolder.open(path)
    found = Verdict.from_dict(read_json(run.verdict))
    cells = [
        path.name,
        f"{found.original.value:.1%}",
        str(found.unlearned),
        f"{found.negatives_l1.value:.4f}",
        f"{found.negatives_msssim:.3f}",
    ]
    if found.quality:
        cells.append(f"{found.quality['original'].fid:.2f} → {found.quality['unlearned'].fid:.2f}")
    return "| " + " | ".join([*cells, f"{sum(run.seconds().values()):.0f}"]) + " |"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(row(Path(name)))
