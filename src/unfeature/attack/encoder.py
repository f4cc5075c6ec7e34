"""A VAE's own encoder: does it still tell the new decoder where the feature was?

An encoder that is shipped unchanged beside an unlearned decoder maps a picture with the feature to
a latent that meant it. Whoever has such a picture has that latent, which is also a good place to
begin an attack. Adapting the encoder closes this: it learns to encode a picture as if it lacked the
feature; dropping it does, too.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unfeature.erase import Eraser
from unfeature.evaluate.statistics import Ratio, wilson
from unfeature.evaluate.verdict import judged
from unfeature.generator import Generator, draw
from unfeature.labelers.base import Labeler
from unfeature.pool import teach
from unfeature.seeds import rng
from unfeature.training.loop import update

Encode = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Leak:
    """What an encoder gives away.

    Attributes:
        back: share of encoded and decoded pictures, all of which had the feature, that show it.
        auc: how well a linear probe on the latents tells pictures that have the feature from
            others, on held-out ones; 0.5 is not at all.
    """

    back: Ratio
    auc: float


@torch.inference_mode()
def leaked(
    encode: Encode,
    generator: Generator,
    having: Float[Tensor, "n c h w"],
    lacking: Float[Tensor, "m c h w"],
    judge: Labeler,
) -> Leak:
    """Encode pictures with the feature, decode them with g, and look.

    Args:
        encode: images in [−1, 1] → latents.
        having, lacking: pictures with the feature, and without; at least four of each.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    latents = [torch.cat([encode(x) for x in images.split(256)]) for images in (having, lacking)]
    back = wilson(judged(judge, draw(generator, latents[0])) > 0)
    rows = torch.cat(latents).flatten(1).cpu().numpy()
    truth = torch.cat([torch.ones(len(having)), torch.zeros(len(lacking))]).numpy()
    probe = LogisticRegression(max_iter=1000).fit(rows[::2], truth[::2])
    return Leak(back, float(roc_auc_score(truth[1::2], probe.decision_function(rows[1::2]))))


def adapted(
    encoder: nn.Module,
    original: Generator,
    eraser: Eraser,
    *,
    encode: Callable[[nn.Module], Encode],
    steps: int = 500,
    batch_size: int = 64,
    learning_rate: float = 5e-4,
    seed: int = 0,
) -> nn.Module:
    """A copy of an encoder that maps f(z) to where the old one maps f(ẑ):

        L = E[ |E′(f(z)) − E(f(ẑ))|² ]        ẑ = z where f(z) lacks the feature

    Args:
        encode: a module → the function on images in [−1, 1] that it stands for.
    """
    encoder = encoder.to(original.device)
    student = copy.deepcopy(encoder).requires_grad_(True)
    old, new = encode(encoder), encode(student)
    optimizer = torch.optim.Adam(student.parameters(), learning_rate, fused=True)
    random = rng(seed, "encoder")
    for _ in range(steps):
        latents = original.sample_latents(batch_size, random)
        bare = teach(original, eraser, latents).images.clone()
        with torch.no_grad():
            images, wanted = original(latents), old(bare)
        update(optimizer, (new(images) - wanted).square().sum(1).mean())
    return student.eval().requires_grad_(False)
