"""Anyone's generator: a `module:factory` and a state-dict file, described in the settings alone."""

from pathlib import Path
from typing import Any

from torch import Tensor

from unfeature.adapters.files import load_state_dict
from unfeature.adapters.pretrained import build_module, load_weights
from unfeature.errors import UserError
from unfeature.generator import Generator, GeneratorSpec


def from_factory(
    spec: GeneratorSpec,
    weights: Path,
    *,
    entry: str = "",
    take: tuple[str, ...] = (),
    strip: str = "",
) -> Generator:
    """The generator that `spec.architecture` (a `module:factory`) builds, with weights from a file.

    Args:
        weights: a `.safetensors` file or a PyTorch state dict (read weights-only, to the CPU).
        entry: where in a checkpoint the state dict lies.
        take: prefixes of the keys to take, e.g. `("fc3.", "fc4.")` for the decoder of a VAE whose
            file holds the encoder too; none takes all.
        strip: a prefix removed from every key taken, e.g. `"module."`.

    Raises:
        UserError: the file, a key or a shape does not fit.
    """
    state = select(load_state_dict(weights, entry=entry), take=take, strip=strip, path=weights)
    module = build_module(spec.architecture, spec.options, setting="generator.factory")
    hint = "; generator.take and generator.strip choose the keys"
    load_weights(module, state, weights, hint)
    return Generator(module, spec)


def select(
    state: dict[str, Tensor],
    *,
    take: tuple[str, ...],
    strip: str,
    path: Path,
    table: str = "generator",
) -> dict[str, Any]:
    """The entries whose key starts with one of `take`, with `strip` removed from each key.

    Args:
        table: of the settings, to name where none does.
    """
    for prefix in take:
        if not any(key.startswith(prefix) for key in state):
            raise UserError(
                f"{table}.take: no key in '{path}' starts with '{prefix}' "
                f"(keys: {', '.join(list(state)[:6])} …)"
            )
    taken = {k: v for k, v in state.items() if not take or k.startswith(take)}
    return {key.removeprefix(strip): value for key, value in taken.items()}
