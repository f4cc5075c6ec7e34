"""Methods to compare with: each does what its paper says, and leaves the original as it was."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unfeature.errors import UserError
from unfeature.evaluate.verdict import judged
from unfeature.generator import Generator, GeneratorSpec, draw
from unfeature.labelers import FunctionLabeler
from unfeature.labels import LatentSet
from unfeature.methods import (
    METHODS,
    Adapt,
    Amnesia,
    FinetuneGAN,
    FinetuneVAE,
    Problem,
    Redaction,
    Rejection,
)
from unfeature.methods.adapt import repulsion
from unfeature.methods.ewc import consolidation, fisher
from unfeature.methods.finetune import encoder_of, negative_log_density
from unfeature.methods.rejection import RejectionSampler


@pytest.fixture
def problem(toy: Generator, corner: FunctionLabeler, labels: LatentSet) -> Problem:
    data = draw(toy, toy.sample_latents(1500, torch.Generator().manual_seed(8)))
    return Problem(toy, labels, corner, 0, data)


def ratio(generator: Generator, by: FunctionLabeler) -> float:
    images = draw(generator, generator.latents_from_seeds(range(5000, 5600)))
    return (judged(by, images) > 0).double().mean().item()


QUICK: dict[str, Any] = {"steps": 80, "batch_size": 16, "learning_rate": 2e-3}
TRAINED = [
    FinetuneGAN(**QUICK, head_start=40),
    Redaction(**QUICK, head_start=40, share=0.4),
    Adapt(**QUICK, head_start=40, adapt_steps=40),
    FinetuneVAE(**QUICK, encoder_steps=60),
    Amnesia(**{**QUICK, "steps": 300}, surrogate="clean"),
]


@pytest.mark.parametrize("config", TRAINED, ids=lambda config: config.kind)
def test_less_of_the_feature_and_the_original_as_it_was(config: Any, problem: Problem) -> None:
    before = problem.original.fingerprint
    made = METHODS[config.kind].run(problem, config)
    assert problem.original.fingerprint == before
    assert made.fingerprint != before
    was, left = ratio(problem.original, problem.labeler), ratio(made, problem.labeler)  # type: ignore[arg-type]
    assert left < 0.75 * was
    assert made.image_shape == problem.original.image_shape


@pytest.mark.parametrize("config", TRAINED[:1] + TRAINED[-1:], ids=lambda config: config.kind)
def test_the_seed_is_all_the_randomness(config: Any, problem: Problem) -> None:
    quick = {"steps": 3, "head_start": 2} if hasattr(config, "head_start") else {"steps": 3}
    few = config.model_copy(update=quick)
    made = []
    for _ in range(2):
        made.append(METHODS[config.kind].run(problem, few).fingerprint)
        torch.rand(7)  # a global state that must not matter
    assert len(set(made)) == 1
    other = Problem(**{**vars(problem), "seed": 1})
    assert METHODS[config.kind].run(other, few).fingerprint != made[0]


def test_what_needs_data_says_so(problem: Problem) -> None:
    without = Problem(**{**vars(problem), "data": None})
    for config in TRAINED:
        if METHODS[config.kind].needs_data:
            with pytest.raises(UserError, match="needs training data"):
                METHODS[config.kind].run(without, config)
    small = Problem(**{**vars(problem), "data": torch.zeros(9, 1, 8, 8)})
    with pytest.raises(UserError, match=r"\[1, 8, 8\], the generator's \[1, 16, 16\]"):
        METHODS["redaction"].run(small, Redaction())
    dark = Problem(**{**vars(problem), "data": torch.full((9, 1, 16, 16), -1.0)})
    with pytest.raises(UserError, match="in 0 of 9 pictures"):
        METHODS["redaction"].run(dark, Redaction())


def test_odd_pictures_have_no_discriminator_and_no_encoder() -> None:
    module = nn.Sequential(nn.Linear(4, 30), nn.Tanh())
    odd = Generator(module, GeneratorSpec("x", {}, (4,), (1, 5, 6)))
    by = FunctionLabeler(lambda x: x.flatten(1).mean(1), "mean", threshold=0.0)
    from unfeature.labels import label

    problem = Problem(odd, label(odd, 100, by=by), by, 0)
    with pytest.raises(UserError, match="5×6"):
        METHODS["adapt-then-unlearn"].run(problem, Adapt())
    with pytest.raises(UserError, match="5×6"):
        encoder_of(odd, 1, 2, seed=0)


def test_fisher_information_of_a_linear_gaussian_is_its_closed_form() -> None:
    # x ~ N(w·z, 1): F = E[z²], here over z = 1, 2
    module = nn.Linear(1, 1, bias=False)
    random = torch.Generator().manual_seed(0)

    def losses() -> Any:
        for i in range(8000):
            z = torch.tensor([[1.0 + i % 2]])
            drawn = module(z)
            x = drawn.detach() + torch.randn(1, 1, generator=random)
            yield (x - drawn).square().sum() / 2

    (found,) = fisher(module, losses())
    assert found.item() == pytest.approx((1 + 4) / 2, rel=0.1)


def test_consolidation_is_the_equation() -> None:
    start = nn.Linear(2, 1, bias=False)
    moved = nn.Linear(2, 1, bias=False)
    moved.weight.data = start.weight.data + torch.tensor([[1.0, -2.0]])
    penalty = consolidation(3.0, [torch.tensor([[0.5, 0.25]])], start)
    assert penalty(start).item() == 0
    assert penalty(moved).item() == pytest.approx(3 / 2 * (0.5 * 1 + 0.25 * 4))


def test_repulsion_is_strongest_at_the_adapted_weights() -> None:
    original, adapted, far = (nn.Linear(2, 1, bias=False) for _ in range(3))
    adapted.weight.data = original.weight.data + 1
    far.weight.data = original.weight.data - 9
    push = repulsion(Adapt(alpha=2.0, gamma_repulsion=3.0), original, adapted)
    assert push(adapted).item() == pytest.approx(3)
    assert push(original).item() == pytest.approx(3 * torch.tensor(-2.0).exp().item())
    assert push(far).item() < 1e-6
    loss = push(original)
    (slope,) = torch.autograd.grad(loss, original.parameters())
    assert (slope * (original.weight - adapted.weight)).sum() < 0  # downhill leads away


def test_rejection_gives_out_nothing_it_sees_and_does_not_depend_on_the_batch(
    toy: Generator, corner: FunctionLabeler, labels: LatentSet
) -> None:
    filtered = METHODS["rejection"].run(Problem(toy, labels, corner), Rejection(tries=30))
    assert not METHODS["rejection"].weights
    latents = toy.latents_from_seeds(range(300))
    before, after = toy(latents), filtered(latents)
    had = judged(corner, before) > 0
    assert had.any()
    assert not (judged(corner, after) > 0).any()
    assert torch.equal(after[~had], before[~had])
    alone: Tensor = torch.cat([filtered(z) for z in latents.split(1)])
    assert torch.allclose(alone, after, atol=1e-4)
    open_ = RejectionSampler(toy, corner, tries=1)
    assert torch.equal(open_(latents), before)


def test_an_encoder_is_made_without_data(toy: Generator) -> None:
    latents = toy.latents_from_seeds(range(400))
    images = toy(latents)

    def loss(steps: int) -> float:
        mean, log_variance = encoder_of(toy, steps, 64, seed=0)(images)
        return negative_log_density(latents, mean, log_variance).item()

    prior = negative_log_density(latents, torch.zeros(400, 8), torch.zeros(400, 8)).item()
    assert loss(150) < prior - 2 < loss(1)
