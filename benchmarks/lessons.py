"""What else changes in the pictures that g learns from, and by whose eyes.

    python -m benchmarks.lessons RUN avatars-judge avatars-referee
    python -m benchmarks.lessons RUN digits-judge digits-keeper --set erase.refine=0

RUN is a labelled run; where it is unlearned, too, g's pictures are counted beside the erased ones.
Of `--n` latents those whose pictures had the feature by the run's judge, and for every named judge
in how many other attributes (of a judge of classes: in what share) it sees a picture otherwise than
the original's; then in how many two of the judges differ about one and the same picture of the
original's. Settings are the run's, and what `--set` names.
"""

import argparse
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor

from unfeature import draw
from unfeature.adapters.sources import load_attribute_judge, load_both, load_source
from unfeature.evaluate.collateral import changed
from unfeature.evaluate.verdict import judged
from unfeature.folder import RunFolder
from unfeature.labelers.classifier import AttributeJudge
from unfeature.labels import sample_seeds
from unfeature.learning import current_eraser
from unfeature.panel import load_panel
from unfeature.settings import read_experiment

AT_A_TIME = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("judges", nargs="+", help="shipped names or folders")
    parser.add_argument("--n", type=int, default=600)
    parser.add_argument("--set", action="append", default=[], help="erase.key=value")
    arguments = parser.parse_args()
    run = RunFolder.open(arguments.run)
    experiment = read_experiment(run.settings, arguments.set)
    if run.unlearned.exists():
        f, g = load_both(experiment.generator, run.unlearned)
    else:
        f, g = load_source(experiment.generator), None
    latents = f.latents_from_seeds(sample_seeds(arguments.n, experiment.seed, "lessons").tolist())
    before = draw(f, latents)
    had = judged(load_panel(run.path / "panel").judge, before) > 0
    eraser = current_eraser(run, experiment, f)
    parts = latents[had].split(AT_A_TIME)
    pictures = {"erased": torch.cat([eraser.erase(part).pictures(f) for part in parts])}
    if g is not None:
        pictures["unlearned"] = draw(g, latents[had])
    print(f"{int(had.sum())} of {len(latents)} had the feature")
    seen = []
    for name in arguments.judges:
        judge = load_attribute_judge(name, classes=True)
        seen.append((name, judge, _others(judge, before, experiment.evaluate.leave_out)))
        for kind, drawn in pictures.items():
            now = _others(judge, drawn, experiment.evaluate.leave_out)
            print(f"by {name}: {kind} {_count(judge, seen[-1][2][had], now):.3f} of {now.shape[1]}")
    for (one, judge, a), (other, _, b) in combinations(seen, 2):
        doubt, where = _count(judge, a, b), _count(judge, a[had], b[had])
        print(f"{one} against {other}: {doubt:.3f}; where the feature was {where:.3f}")


def _others(judge: AttributeJudge, images: Tensor, leave_out: tuple[str, ...]) -> Tensor:
    """What a judge sees, but for the feature."""
    return judge(images)[:, [i for i, k in enumerate(judge.names) if k not in leave_out]]


def _count(judge: AttributeJudge, before: Tensor, after: Tensor) -> float:
    return changed(before != after, exclusive=judge.exclusive).mean().item()


if __name__ == "__main__":
    main()
