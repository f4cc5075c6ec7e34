"""What attacks and robust unlearning cost, as ratios measured in one process, A B A B.

    python -m benchmarks.attack_speed

- loop: a gradient attack in which no row is dropped, over the bare forward and backward passes it
  needs (generator and classifier, the same batches);
- dropping: the same attack with rows that succeed dropped, over without;
- robust: a step of robust unlearning over a plain one.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from unfeature import load, load_judge
from unfeature.attack.pgd import pgd
from unfeature.attack.plausible import plausible
from unfeature.config import AttackConfig, UnlearnConfig
from unfeature.erase import ImageEraser
from unfeature.labels import label
from unfeature.target import TargetVector
from unfeature.unlearn import unlearn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generator", default="digits-gan")
    parser.add_argument("--classifier", default="digits-judge")
    parser.add_argument("--target", default="3")
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    original = load(arguments.generator)
    judge = load_judge(arguments.classifier, target=arguments.target)
    region = plausible(original)
    latents = region.inside(original.latents_from_seeds(range(130)))[:128]
    budget = AttackConfig(epsilon=2.0, steps=20, restarts=1, confidence=1e9)

    def attack(config: AttackConfig) -> Callable[[], object]:
        return lambda: pgd(original, judge.score, latents, region, config)

    def bare() -> None:
        for _ in range(budget.steps):
            here = latents.clone().requires_grad_(True)
            torch.autograd.grad(judge.score(original(here)).sum(), here)

    dropping = budget.model_copy(update={"confidence": 0.0})
    report("attack over bare passes", arguments.pairs, attack(budget), bare)
    report("with dropping over without", arguments.pairs, attack(dropping), attack(budget))
    labels = label(original, 500, by=judge)
    eraser = ImageEraser(original, judge, TargetVector.fit(labels), path="descent")

    def steps(robust: float) -> Callable[[], object]:
        config = UnlearnConfig(steps=40, batch_size=64, robust=robust, pool=8, check_every=1000)
        return lambda: [step.loss for step in unlearn(original, eraser, config, labeler=judge)]

    for share in (0.25, 0.5, 0.7):
        report(f"robust step ({share}) over plain", arguments.pairs, steps(share), steps(0.0))


def report(title: str, pairs: int, a: Callable[[], object], b: Callable[[], object]) -> None:
    """The ratio of two jobs' times: the median over pairs, and the range."""
    ratios = []
    for i in range(pairs + 1):
        times = []
        for job in (a, b):
            began = time.perf_counter()
            job()
            times.append(time.perf_counter() - began)
        if i:  # the first pair warms up
            ratios.append(times[0] / times[1])
    low, high = min(ratios), max(ratios)
    print(f"{title}: {statistics.median(ratios):.2f} [{low:.2f}, {high:.2f}]", flush=True)


if __name__ == "__main__":
    main()
