"""How fast avatars are drawn.

    python -m benchmarks.avatars

Pictures a second of both sizes on one thread, measured in turn: the median and the range.
"""

import statistics
import time

import torch

from unfeature import avatars

N, PAIRS = 2000, 5


def main() -> None:
    torch.set_num_threads(1)
    speeds: dict[int, list[float]] = {64: [], 128: []}
    for round_ in range(PAIRS + 1):
        for size, found in speeds.items():  # A B A B
            began = time.perf_counter()
            avatars.dataset(N, start=round_ * N, size=size)
            if round_:  # the first warms up
                found.append(N / (time.perf_counter() - began))
    for size, found in speeds.items():
        low, high = min(found), max(found)
        print(f"{size}×{size}: {statistics.median(found):.0f} a second [{low:.0f}, {high:.0f}]")


if __name__ == "__main__":
    main()
