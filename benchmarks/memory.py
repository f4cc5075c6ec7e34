"""What it is worth to keep freed memory (`unfeature.memory`): pairs of processes, A B A B.

    python -m benchmarks.memory
    python -m benchmarks.memory --generator avatars-vae --pairs 5

Each process makes the same forward and backward passes; printed is the ratio of their times,
without over with.
"""

import argparse
import statistics
import subprocess
import sys
import time

from unfeature import load
from unfeature.memory import keep_freed_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generator", default="avatars-stylegan2")
    parser.add_argument("--passes", type=int, default=12)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--one", choices=("with", "without"), help="only time one process")
    arguments = parser.parse_args()
    if arguments.one:
        print(passes(arguments.generator, arguments.passes, keep=arguments.one == "with"))
        return
    command = [sys.executable, "-m", "benchmarks.memory", "--generator", arguments.generator]
    command += ["--passes", str(arguments.passes), "--one"]
    ratios = []
    for _ in range(arguments.pairs):
        without, kept = (
            float(subprocess.run([*command, one], check=True, capture_output=True).stdout)
            for one in ("without", "with")
        )
        ratios.append(without / kept)
    middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
    print(f"{arguments.generator}: without over with {middle:.2f} [{low:.2f}, {high:.2f}]")


def passes(name: str, n: int, *, keep: bool) -> float:
    """Seconds for `n` forward and backward passes of 64 latents, after two that do not count."""
    if keep:
        keep_freed_memory()
    generator = load(name).requires_grad(True)
    latents = generator.latents_from_seeds(range(64))
    for number in range(n + 2):
        if number == 2:
            began = time.perf_counter()
        generator(latents).square().mean().backward()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
