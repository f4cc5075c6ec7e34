"""A judge of smiles made by others: face-api.js's expression network, on CelebA-like pictures.

It was trained on photographs; `../shared/data/faceapi_expression_agegender` holds it.
"""

import importlib.util
from pathlib import Path

import torch
from torch import nn

FOLDER = Path("../shared/data/faceapi_expression_agegender")


class Expressions(nn.Module):
    """Images in [−1, 1], (n, 3, 64, 64) → logits of seven expressions."""

    classes = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")

    def __init__(self) -> None:
        super().__init__()
        spec = importlib.util.spec_from_file_location("faceapi", FOLDER / "faceapi.py")
        assert spec is not None
        assert spec.loader is not None
        self.faceapi = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.faceapi)
        self.weights = self.faceapi.loadw("face_expression_model")

    def features(self, images: torch.Tensor) -> torch.Tensor:
        faces = (images[:, :, 16:56, 12:52] + 1) / 2
        return self.faceapi.features(faces, self.weights)

    def head(self, features: torch.Tensor) -> torch.Tensor:
        return features @ self.weights["fc/weights"] + self.weights["fc/bias"]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images))
