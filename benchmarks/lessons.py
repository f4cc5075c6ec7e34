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
from collections.abc import Collection
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor

from unfeature import draw
from unfeature.adapters.sources import load_attribute_judge, load_both, load_source
from unfeature.errors import UserError
from unfeature.evaluate.collateral import changed, collateral
from unfeature.evaluate.verdict import judged
from unfeature.folder import RunFolder
from unfeature.labelers.classifier import AttributeJudge
from unfeature.labels import sample_seeds
from unfeature.learning import current_eraser
from unfeature.panel import load_panel
from unfeature.settings import read_experiment

AT_A_TIME = 64
"""Latents whose erased pictures are searched for together."""


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
    leave_out = experiment.evaluate.leave_out
    judges = [load_attribute_judge(name, classes=True) for name in arguments.judges]
    doubts = [
        (one, other, doubt(one, other, before, leave_out=leave_out))
        for one, other in combinations(judges, 2)
    ]
    eraser = current_eraser(run, experiment, f)
    parts = latents[had].split(AT_A_TIME)
    pictures = {"erased": torch.cat([eraser.erase(part).pictures(f) for part in parts])}
    if g is not None:
        pictures["unlearned"] = draw(g, latents[had])
    print(f"{int(had.sum())} of {len(latents)} had the feature")
    for judge in judges:
        for kind, drawn in pictures.items():
            found = collateral(judge, before[had], drawn, leave_out=leave_out)
            print(f"by {judge.reference}: {kind} {found.changed.value:.3f} of {found.attributes}")
    for one, other, differ in doubts:
        print(
            f"{one.reference} against {other.reference}: {differ.mean():.3f}; "
            f"where the feature was {differ[had].mean():.3f}"
        )


def doubt(
    one: AttributeJudge, other: AttributeJudge, images: Tensor, *, leave_out: Collection[str]
) -> Tensor:
    """(n,): in how many attributes two judges differ about one picture.

    Raises:
        UserError: they do not see the same attributes.
    """
    if one.names != other.names:
        raise UserError(
            f"'{one.reference}' and '{other.reference}' do not see the same attributes, in the "
            "same order; name judges that do"
        )
    kept = [i for i, name in enumerate(one.names) if name not in leave_out]
    return changed((one(images) != other(images))[:, kept], exclusive=one.exclusive)


if __name__ == "__main__":
    main()
