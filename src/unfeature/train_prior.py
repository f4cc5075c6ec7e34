"""The second stage of `unfeature train original --architecture residual-vae`."""

import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from unfeature import models
from unfeature.cost import Cost
from unfeature.generator import GeneratorSpec
from unfeature.models.transport import Transport
from unfeature.progress import Progress
from unfeature.resumable import digest, fit_saved
from unfeature.seeds import derive
from unfeature.training import TrainConfig, VAESession
from unfeature.training.prior import PriorSession, encoded

BATCH = 256


def fit_prior(
    session: VAESession, spec: GeneratorSpec, images: Tensor, arguments: Any, progress: Progress
) -> tuple[nn.Module, GeneratorSpec, Cost | None]:
    """The trained decoder behind a prior that is learnt now, in the place of its flow, with a
    checkpoint of its own; what it is built from; and what the prior took."""
    blocks, seed = session.settings.transport, session.config.seed
    progress.say("the latents' prior")
    began = time.monotonic()
    posteriors = encoded(session.encoder, images, device=session.device)
    encoding = Cost(time.monotonic() - began)
    config = TrainConfig(
        epochs=session.settings.prior_epochs, batch_size=min(BATCH, len(images)), seed=seed
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "prior weights"))
        transport = Transport(posteriors.images.shape[-1], blocks).to(session.device)
    stage = PriorSession(transport, posteriors.images.to(session.device), config)
    of = {"first": digest(images), "after": session.steps, "blocks": blocks}
    learnt, cost = fit_saved(stage, posteriors, config, arguments, progress, stage=1, **of)
    options = {key: value for key, value in spec.options.items() if key != "flow"}
    options["transport"] = blocks
    module = models.build(spec.architecture, options)
    decoder = session.average.state_dict()
    kept = {key: value for key, value in decoder.items() if not key.startswith("flow.")}
    module.load_state_dict(kept | {f"transport.{k}": v for k, v in learnt.state_dict().items()})
    return module, replace(spec, options=options), cost and cost + encoding
