"""Train the network of `examples.strokes.judge`: ten minutes on one core.

    python -m examples.strokes.train
    python -m examples.strokes.train --epochs 1 --n 2000 -o /tmp/judge.safetensors

Digits are sheared, thinned or thickened, blurred and dimmed, and measured by the functions; then
specks are added and pixels are left out, and the network has to tell what was measured before.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from examples.strokes.judge import WEIGHTS, Strokes
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from unfeature.datasets import load_images
from unfeature.features.digits import slant, thickness
from unfeature.seeds import rng

HELD = 5000
"""Digits at the end of the set that are not learnt from."""
BATCH = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/mnist/mnist.npz"))
    parser.add_argument("--n", type=int, help="digits at most")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    digits = load_images(arguments.data).images[: arguments.n]
    held = min(HELD, len(digits) // 5)
    if arguments.epochs < 1 or len(digits) - held < BATCH:
        parser.error(f"give at least one epoch and {BATCH * 5 // 4} digits; 6 and 60,000 are usual")
    model = train(digits[:-held], epochs=arguments.epochs, seed=arguments.seed)
    save_file(
        {name: value.contiguous() for name, value in model.state_dict().items()}, arguments.output
    )
    clean = varied(digits[-held:], rng(arguments.seed, "held"))
    for kind, images in (
        ("as measured", clean),
        ("strewn", strewn(clean, rng(arguments.seed, "specks"))),
    ):
        print(f"{kind}: {agreement(model, images, measured(clean))}")


def train(digits: Float[Tensor, "n 1 28 28"], *, epochs: int, seed: int) -> Strokes:
    """A network that answers strewn digits as the functions answer them clean."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Strokes()
    answers = measured(varied(digits[:4000], rng(seed, "spread")))
    model.middle.copy_(answers.mean(0))
    model.spread.copy_(answers.std(0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3)
    steps = epochs * (len(digits) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for step in range(steps):
        generator = rng(seed, "step", step)
        rows = torch.randint(len(digits), (BATCH,), generator=generator)
        clean = varied(digits[rows], generator)
        errors = (model(strewn(clean, generator)) - measured(clean)) / model.spread
        loss = F.huber_loss(errors, torch.zeros_like(errors), delta=0.5)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 200 == 0:
            print(f"step {step} of {steps}: {loss.item():.4f}", flush=True)
    return model.eval()


def measured(images: Float[Tensor, "n 1 28 28"]) -> Float[Tensor, "n 2"]:
    """By the functions."""
    return torch.stack([thickness(images), slant(images)], dim=1)


def agreement(model: Strokes, images: Tensor, wanted: Tensor) -> str:
    """Correlation and mean error of both answers."""
    with torch.inference_mode():
        found = torch.cat([model(part) for part in images.split(500)])
    off = (found - wanted).abs().mean(0)
    alike = [torch.corrcoef(torch.stack([found[:, i], wanted[:, i]]))[0, 1] for i in range(2)]
    return (
        f"thickness r = {alike[0]:.4f}, off by {off[0]:.3f} pixels; "
        f"slant r = {alike[1]:.4f}, off by {off[1]:.2f} degrees"
    )


def varied(images: Tensor, generator: torch.Generator) -> Tensor:
    """Sheared by up to ±0.4, a third thickened and a third thinned, some blurred, some faint."""
    n = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, 1, 1, 1, generator=generator)

    turn = torch.eye(2, 3).repeat(n, 1, 1)
    turn[:, 0, 1] = uniform(-0.4, 0.4).flatten()
    turn[:, :, 2] = 0.1 * torch.randn(n, 2, generator=generator)
    grid = F.affine_grid(turn, list(images.shape), align_corners=False)
    ink = F.grid_sample((images + 1) / 2, grid, align_corners=False)
    more, less = F.max_pool2d(ink, 3, 1, 1), -F.max_pool2d(-ink, 3, 1, 1)
    weight = uniform(-1.5, 1.5)
    ink = torch.lerp(ink, more, (weight - 0.5).clamp(min=0))
    ink = torch.lerp(ink, less, (-weight - 0.5).clamp(min=0) * 0.6)
    soft = F.avg_pool2d(F.pad(ink, (1, 1, 1, 1)), 3, 1)
    ink = torch.lerp(ink, soft, uniform(-1, 1).clamp(min=0))
    return 2 * (ink * uniform(0.5, 1.2)).clamp(0, 1) - 1


def strewn(images: Tensor, generator: torch.Generator) -> Tensor:
    """With up to 5% of the pixels lightened, and up to 15% dimmed, each by a random amount."""
    n = len(images)

    def noise(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    ink = (images + 1) / 2
    specks = noise(*ink.shape) < 0.05 * noise(n, 1, 1, 1).square()
    gaps = noise(*ink.shape) < 0.15 * noise(n, 1, 1, 1).square()
    ink = torch.where(gaps, ink * noise(*ink.shape), ink)
    return 2 * torch.where(specks, torch.maximum(ink, noise(*ink.shape)), ink) - 1


if __name__ == "__main__":
    main()
