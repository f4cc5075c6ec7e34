"""Fine-tuning on the data without the feature, by the loss of its kind: a GAN's or a VAE's.

The obvious thing to do where there is data. A GAN's generator comes without its discriminator, a
VAE's decoder without its encoder: either is made anew first (`unfeature.methods.adversarial`,
`encoder_of`).
"""

from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from unfeature.averaging import update_average
from unfeature.errors import UserError
from unfeature.generator import Generator
from unfeature.methods.adversarial import AdversarialConfig, Duel
from unfeature.methods.base import Problem, TrainedConfig, pick
from unfeature.models.residual_vae import CalibratedLikelihood
from unfeature.models.vae import ConvEncoder
from unfeature.seeds import derive, rng
from unfeature.training.loop import update


class FinetuneGAN(AdversarialConfig):
    """Against a fresh discriminator of the data without the feature."""

    kind: Literal["finetune-gan"] = "finetune-gan"


class FinetuneVAE(TrainedConfig):
    """By the evidence lower bound of the data without the feature, with the likelihood of residual
    VAEs (`CalibratedLikelihood`), without a judge, and N(0, I) for the prior of its latents."""

    kind: Literal["finetune-vae"] = "finetune-vae"
    encoder_steps: int = Field(1000, ge=1)
    """Updates in which an encoder for the original is made, from its own pictures."""
    beta: float = Field(1.0, ge=0)
    """Weight of the KL term; near that of the original's training, where it is known."""


def finetune_gan(problem: Problem, config: FinetuneGAN) -> Generator:
    """g after adversarial fine-tuning on pictures without the feature. Needs data."""
    _, without = problem.sorted_data()
    return Duel(problem.original, config, partial(pick, without), seed=problem.seed).run()


def finetune_vae(problem: Problem, config: FinetuneVAE) -> Generator:
    """g after fine-tuning a VAE on pictures without the feature. Needs data."""
    _, without = problem.sorted_data()
    original = problem.original
    encoder = encoder_of(original, config.encoder_steps, config.batch_size, seed=problem.seed)
    student = original.copy().requires_grad(True)
    average = student.copy().requires_grad(False)
    optimizer = torch.optim.Adam(
        [*encoder.parameters(), *student.module.parameters()], config.learning_rate, fused=True
    )
    likelihood = CalibratedLikelihood(original.image_shape[1], device=original.device)
    random = rng(problem.seed, "finetune")
    for index in range(config.steps):
        images = pick(without, config.batch_size, random).to(original.device)
        noise = torch.randn(len(images), *original.latent_shape, generator=random).to(images)
        reconstruction, kl = likelihood(encoder, student, images, noise, beta=config.beta)
        update(optimizer, reconstruction + kl)
        update_average(average.module, student.module, decay=0.98, step=index)
    return average


def encoder_of(original: Generator, steps: int, batch_size: int, *, seed: int) -> ConvEncoder:
    """An encoder for a decoder that came without: q(z | x) fitted to pictures f(z) of known z.

    It minimises E_z[−log q(z | f(z))], which needs no data.

    Raises:
        UserError: latents that are no vectors, or pictures it cannot read.
    """
    channels, height, width = original.image_shape
    if len(original.latent_shape) != 1 or height != width or height % 4:
        raise UserError(
            "an encoder can be made for latents that are vectors and square pictures whose side "
            f"is a multiple of 4; here are latents of {list(original.latent_shape)} and pictures "
            f"of {height}×{width}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "encoder"))
        encoder = ConvEncoder(original.latent_shape[0], channels, 32, height // 4)
    encoder = encoder.to(original.device)
    optimizer = torch.optim.Adam(encoder.parameters(), 1e-3, fused=True)
    random = rng(seed, "encoder")
    for _ in range(steps):
        latents = original.sample_latents(batch_size, random)
        with torch.no_grad():
            images = original(latents)
        mean, log_variance = encoder(images)
        update(optimizer, negative_log_density(latents, mean, log_variance))
    return encoder


def negative_log_density(latents: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """−log q(z) of a diagonal Gaussian, without its constant, averaged over the batch."""
    terms = log_variance + (latents - mean).square() * (-log_variance).exp()
    return terms.sum(1).mean() / 2
