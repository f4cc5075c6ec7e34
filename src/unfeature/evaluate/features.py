"""What FID, KID and IS are measured in: a judge's hidden layer, or Inception's."""

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unfeature.adapters.devices import beside
from unfeature.adapters.files import load_state_dict
from unfeature.adapters.pretrained import build_module, find, load_classifier, load_weights
from unfeature.errors import UserError, first_line
from unfeature.models.inception import InceptionV3

INCEPTION_URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth"
)


@dataclass(frozen=True)
class Extractor:
    """Features and class logits of images, and the name the report gives them.

    A module with `features(images)` and `head(features)` gives both; of any other, the output
    stands for both.
    """

    name: str
    module: nn.Module

    @torch.inference_mode()
    def __call__(
        self, images: Float[Tensor, "n c h w"], *, batch_size: int = 256
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n k"]]:
        """Features, and logits for the Inception Score, both on the CPU.

        Raises:
            UserError: the module takes no images of this shape.
        """
        parts: list[Any] = [getattr(self.module, name, None) for name in ("features", "head")]
        features_of, head = (self.module, nn.Identity()) if None in parts else parts
        features, logits = [], []
        try:
            for part in images.split(batch_size):
                seen = features_of(beside(self.module, part)).flatten(1)
                features.append(seen.cpu())
                logits.append(head(seen).cpu())
        except Exception as error:  # it is the user's, and may raise anything
            raise UserError(
                f"evaluate.features: '{self.name}' does not take images of "
                f"{list(images.shape[1:])}: {first_line(error)}"
            ) from error
        return torch.cat(features), torch.cat(logits)


def extractor(name: str) -> Extractor:
    """The extractor that a setting names.

    Args:
        name: "inception" (the weights are downloaded once), "inception:FILE" (a local file), a
            shipped judge, a folder of ours, or `module:factory`.

    Raises:
        UserError: nothing of that name, or weights that do not fit.
    """
    if name == "inception":
        return Extractor("Inception v3 (2015-12-05, 2048-d pool)", _inception(None))
    if name.startswith("inception:"):
        path = Path(name.removeprefix("inception:"))
        return Extractor(f"Inception v3 ({path.name}, 2048-d pool)", _inception(path))
    if ":" in name:
        module = build_module(name, {}, setting="evaluate.features")
        return Extractor(name, module.eval().requires_grad_(False))
    module, _ = load_classifier(find(name, kind="classifier", setting="evaluate.features"))
    return Extractor(name, module)


def _inception(path: Path | None) -> nn.Module:
    if path is None:
        state = _downloaded()
        path = Path(INCEPTION_URL.rpartition("/")[2])
    else:
        state = load_state_dict(path)
    module = InceptionV3()
    load_weights(module, state, path)
    return module.eval().requires_grad_(False)


def _downloaded() -> dict[str, Any]:
    try:
        with redirect_stdout(sys.stderr):  # torch says there what it does; results go to stdout
            state: dict[str, Any] = torch.hub.load_state_dict_from_url(
                INCEPTION_URL,
                map_location="cpu",
                check_hash=True,
                weights_only=True,
                progress=False,
            )
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"Inception's weights could not be downloaded ({error}); download {INCEPTION_URL} "
            "elsewhere and give evaluate.features = 'inception:FILE'"
        ) from error
    return state
