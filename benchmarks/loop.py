"""Our loop against the paper's, per step, to the same quality, and where a step's time goes.

    python -m benchmarks.loop --config examples/celeba_vae/experiment.toml

Everything runs in this process, A B A B; figures are medians of the ratios, with their range.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.plain import PlainLoop
from unfeature.adapters.sources import Calibration, load_labeler, load_source
from unfeature.averaging import update_average
from unfeature.config import Experiment
from unfeature.cost import peak_megabytes
from unfeature.erase import ImageEraser, LinearEraser, threshold_for
from unfeature.generator import Generator, draw
from unfeature.labels import label, sample_seeds
from unfeature.loss import unlearning_loss
from unfeature.msssim import MSSSIM
from unfeature.pool import LessonPool
from unfeature.settings import read_experiment
from unfeature.target import TargetVector
from unfeature.unlearn import unlearn


class Bench:
    """One experiment's parts, made once.

    Args:
        ours: the same, where our loop's settings are others than the plain loop's.
    """

    def __init__(self, experiment: Experiment, ours: Experiment | None = None):
        self.experiment = experiment
        self.settings = (ours or experiment).unlearn
        self.original: Generator = load_source(experiment.generator)
        self.labeler = load_labeler(
            experiment.label, Calibration(self.original, seed=experiment.calibration_seed)
        )
        labels = label(self.original, 2000, by=self.labeler, seed=experiment.seed)
        self.target = TargetVector.fit(labels)
        self.threshold = threshold_for(labels, self.target, "paper")
        erase = experiment.erase
        self.eraser = ImageEraser(
            self.original, self.labeler, self.target, path=erase.path, margin=erase.margin
        )
        held = sample_seeds(1000, experiment.seed, "bench")
        self.held = self.original.latents_from_seeds(held.tolist())
        self.before = draw(self.original, self.held)
        self.clean = self.labeler.score(self.before) <= 0

    def quality(self, student: Generator) -> tuple[float, float]:
        """Target ratio, and L1 where the original lacked the feature."""
        after = draw(student, self.held)
        left = (self.labeler.score(after) > 0).float().mean().item()
        return left, (after - self.before)[self.clean].abs().mean().item()

    def plain(self) -> PlainLoop:
        settings = self.experiment.unlearn
        return PlainLoop(
            self.original,
            self.target,
            self.threshold,
            settings.batch_size,
            settings.learning_rate,
            settings.alpha,
        )

    def ours(self, steps: int, gate: str = "image") -> Iterator[Any]:
        eraser = self.eraser if gate == "image" else LinearEraser(self.target, self.threshold)
        config = self.settings.model_copy(update={"steps": steps})
        return unlearn(self.original, eraser, config)


def seconds(do: Callable[[], Any], repeats: int = 5) -> float:
    """Median seconds of a call, after one that is not counted."""
    do()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        do()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def per_step(bench: Bench, steps: int, pairs: int) -> dict[str, Any]:
    """Ratio of the plain loop's time a step to ours, in turn, warm-up and pool filling excluded."""
    pool = bench.experiment.unlearn.pool
    ours = bench.ours(10**9)
    paper = bench.ours(10**9, gate="paper")
    plain = bench.plain().run(10**9)
    for _ in range(pool + 2):
        next(ours), next(paper)
    next(plain)
    rows: dict[str, list[float]] = {"plain": [], "image gate": [], "paper gate": []}
    for _ in range(pairs):
        for name, loop in (("plain", plain), ("image gate", ours), ("paper gate", paper)):
            began = time.perf_counter()
            for _ in range(steps):
                next(loop)
            rows[name].append((time.perf_counter() - began) / steps)
    ratios = {
        name: [a / b for a, b in zip(rows["plain"], rows[name], strict=True)]
        for name in ("image gate", "paper gate")
    }
    return {
        "ms": {name: round(1e3 * statistics.median(v), 1) for name, v in rows.items()},
        "plain / ours": {
            name: {
                "median": round(statistics.median(v), 2),
                "range": [round(min(v), 2), round(max(v), 2)],
            }
            for name, v in ratios.items()
        },
    }


GOAL = 0.01
"""A target ratio at most this counts as unlearned."""


def to_quality(bench: Bench, steps: int, every: int, pairs: int, *, end: bool) -> dict[str, Any]:
    """Seconds of training (checks not counted) until both loops are as good as the plain one was.

    Args:
        steps: of the plain loop at most; of ours at most as many.
        end: the plain loop runs all its steps, and ours must reach what it came to in the end, in
            target ratio and in L1 elsewhere. Otherwise the plain loop runs until at most `GOAL` of
            the feature is left, and ours must reach that with no higher an L1.
    """
    found = []
    for _ in range(pairs):
        plain = bench.plain()
        students = ((index, plain.student) for index in plain.run(steps))
        theirs = _until(students, bench, every, goal=-1.0 if end else GOAL, limit=1.0)
        goal = theirs["target ratio"] if end else GOAL
        students = ((step.index, step.generator) for step in bench.ours(steps))
        ours = _until(students, bench, every, goal=goal, limit=theirs["l1"])
        ratio = round(theirs["seconds"] / ours["seconds"], 2) if ours["reached"] else None
        found.append({"plain": theirs, "ours": ours, "ratio": ratio})
    return {"pairs": found}


def _until(
    students: Iterator[tuple[int, Generator]],
    bench: Bench,
    every: int,
    *,
    goal: float,
    limit: float,
) -> dict[str, Any]:
    spent, index, left, l1 = 0.0, 0, 1.0, 1.0
    began = time.perf_counter()
    for index, student in students:
        if index % every == 0:
            spent += time.perf_counter() - began
            left, l1 = bench.quality(student)
            if left <= goal and l1 <= limit:
                break
            began = time.perf_counter()
    return {
        "steps": index,
        "seconds": round(spent, 2),
        "target ratio": round(left, 4),
        "l1": l1,
        "reached": left <= goal and l1 <= limit,
    }


def parts(bench: Bench) -> dict[str, Any]:
    """Where a step's time goes, in milliseconds, beside what the matmul rate would allow."""
    settings = bench.experiment.unlearn
    original = bench.original
    n = settings.batch_size
    pool = LessonPool(original, bench.eraser, n, chunks=settings.pool, reuse=settings.reuse)
    for step in range(settings.pool + 1):
        pool.batch(step)
    lesson = pool.batch(settings.pool + 1)
    student = original.copy().requires_grad(True)
    average = student.copy().requires_grad(False)
    msssim = MSSSIM(*original.image_shape[1:])
    optimizer = torch.optim.Adam(student.module.parameters(), 1e-9, fused=True)
    pixels = torch.randn_like(lesson.images).requires_grad_()

    def g_pass() -> None:
        student(lesson.latents).sum().backward()

    def loss_pass() -> None:
        loss = unlearning_loss(
            pixels, lesson.images, lesson.edited, alpha=settings.alpha, msssim=msssim
        )
        loss.total.backward()

    def make_chunk() -> None:
        pool._make(10**6)

    loop = _warm(bench, settings.pool)
    eight = seconds(lambda: [next(loop) for _ in range(settings.reuse)])
    step_ms = 1e3 * eight / settings.reuse
    g_ms = 1e3 * seconds(g_pass)
    loss_ms = 1e3 * seconds(loss_pass)
    chunk_ms = 1e3 * seconds(make_chunk) / settings.reuse
    with torch.inference_mode():
        f_ms = 1e3 * seconds(lambda: original(lesson.latents)) / settings.reuse
    adam_ms = 1e3 * seconds(optimizer.step)
    ema_ms = 1e3 * seconds(
        lambda: update_average(average.module, student.module, decay=0.9, step=9)
    )
    bare = g_ms + loss_ms + f_ms
    flops = 3 * forward_flops(original, n) + forward_flops(original, n) / settings.reuse
    rate = matmul_rate()
    return {
        "ms": {
            "whole step": round(step_ms, 2),
            "g forward and backward": round(g_ms, 2),
            "loss forward and backward": round(loss_ms, 2),
            "f, amortised": round(f_ms, 2),
            "image gate's search, amortised": round(chunk_ms - f_ms, 2),
            "Adam": round(adam_ms, 2),
            "moving average": round(ema_ms, 2),
        },
        "search / step": round((chunk_ms - f_ms) / step_ms, 3),
        "beyond passes, loss and search / bare": round(
            (step_ms - bare - (chunk_ms - f_ms)) / bare, 3
        ),
        "GFLOP of f and g a step": round(flops / 1e9, 3),
        "matmul rate, GFLOP/s": round(rate / 1e9, 1),
        "machine's limit for the passes, ms": round(1e3 * flops / rate, 2),
    }


def _warm(bench: Bench, pool: int) -> Iterator[Any]:
    loop = bench.ours(10**9)
    for _ in range(pool + 2):
        next(loop)
    return loop


def forward_flops(generator: Generator, n: int) -> int:
    """Multiply-adds of one forward pass, times two."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        generator(generator.sample_latents(n, torch.Generator().manual_seed(0)))
    return int(counter.get_total_flops())


def matmul_rate(size: int = 1024) -> float:
    """FLOP a second of a square fp32 matrix product."""
    a = torch.randn(size, size, generator=torch.Generator().manual_seed(0))
    return 2 * size**3 / seconds(lambda: a @ a, repeats=15)


def peak_memory(bench: Bench, steps: int) -> dict[str, Any]:
    """Peak resident memory of each loop in a process of its own, as a ratio."""
    import multiprocessing as mp

    context = mp.get_context("spawn")
    found = {}
    for name in ("plain", "ours"):
        queue: Any = context.Queue()
        process = context.Process(target=_peak, args=(queue, bench.experiment, name, steps))
        process.start()
        found[name] = queue.get()
        process.join()
    return {
        "peak MB": {k: round(v) for k, v in found.items()},
        "ours / plain": round(found["ours"] / found["plain"], 3),
    }


def _peak(queue: Any, experiment: Experiment, name: str, steps: int) -> None:
    bench = Bench(experiment)
    loop: Iterator[Any] = bench.plain().run(steps) if name == "plain" else bench.ours(steps)
    for _ in loop:
        continue
    queue.put(peak_megabytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default="examples/celeba_vae/experiment.toml")
    parser.add_argument("--only", choices=("step", "quality", "parts", "memory"))
    parser.add_argument("--steps", type=int, default=300, help="of the plain loop, for quality")
    parser.add_argument(
        "--to-the-end",
        action="store_true",
        help="for quality: what the plain loop came to in all its steps, not at 1%% left",
    )
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--every", type=int, default=10, help="for quality: steps between looks")
    parser.add_argument(
        "--ours",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of [unlearn] for our loop alone, e.g. alpha=1",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting for both loops"
    )
    arguments = parser.parse_args()
    ours = [f"unlearn.{setting}" for setting in arguments.ours]
    both = read_experiment(arguments.config, arguments.set)
    bench = Bench(both, read_experiment(arguments.config, [*arguments.set, *ours]))
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        "step": lambda: per_step(bench, 8, max(5, arguments.pairs)),
        "parts": lambda: parts(bench),
        "quality": lambda: to_quality(
            bench, arguments.steps, arguments.every, arguments.pairs, end=arguments.to_the_end
        ),
        "memory": lambda: peak_memory(bench, 40),
    }
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name, run in runs.items():
        if arguments.only in (None, name):
            print(json.dumps({name: run()}, indent=2), flush=True)


if __name__ == "__main__":
    main()
