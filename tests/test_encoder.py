"""A VAE's encoder beside its unlearned decoder: what it gives away, and how that is closed."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unfeature import learning
from unfeature.adapters.encoder import encoding, load_encoder
from unfeature.adapters.files import load_checkpoint
from unfeature.attack.encoder import adapted, leaked
from unfeature.cli import main
from unfeature.config import EncoderConfig
from unfeature.erase import ImageEraser
from unfeature.errors import UserError
from unfeature.evaluate.verdict import judged
from unfeature.folder import RunFolder
from unfeature.generator import Generator, draw
from unfeature.labelers import FunctionLabeler
from unfeature.labels import LatentSet
from unfeature.learning import adapt_encoder
from unfeature.target import TargetVector

ENCODER = """
import torch
from torch import nn


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 8))

    def forward(self, images):
        return self.layers(images)
"""


@pytest.fixture
def encoder(toy: Generator, toy_folder: Path) -> nn.Module:
    """One that was fitted to the toy generator."""
    (toy_folder / "toyencoder.py").write_text(ENCODER)
    import toyencoder  # type: ignore[import-not-found]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = toyencoder.Mean()
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    random = torch.Generator().manual_seed(0)
    for _ in range(600):
        latents = toy.sample_latents(64, random)
        loss = (module(toy(latents)) - latents).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.save(module.state_dict(), toy_folder / "encoder.pth")
    return module.eval().requires_grad_(False)


class Watcher(nn.Module):
    """Remembers what it was shown."""

    def forward(self, images: Tensor) -> Tensor:
        self.seen = images
        return torch.zeros(len(images), 8)


def plain(module: nn.Module) -> nn.Module:
    return module


def test_an_encoder_gives_the_feature_away_until_it_is_adapted(
    toy: Generator, corner: FunctionLabeler, labels: LatentSet, encoder: nn.Module
) -> None:
    pictures = draw(toy, toy.latents_from_seeds(range(7000, 8000)))
    shows = judged(corner, pictures) > 0
    having, lacking = pictures[shows], pictures[~shows]
    old = leaked(encoder, toy, having, lacking, corner)
    assert old.back.value > 0.8
    assert old.auc > 0.9
    eraser = ImageEraser(toy, corner, TargetVector.fit(labels), path="descent", margin=1.0)
    before = [p.clone() for p in encoder.parameters()]
    made = adapted(encoder, toy, eraser, encode=plain, steps=300, learning_rate=2e-3)
    assert all(torch.equal(a, b) for a, b in zip(before, encoder.parameters(), strict=True))
    new = leaked(made, toy, having, lacking, corner)
    assert new.back.value < old.back.value / 2
    assert new.auc < old.auc
    # elsewhere it encodes as before
    assert (made(lacking) - encoder(lacking)).abs().mean() < 0.3


def test_the_attack_reports_it_and_adapting_is_a_setting(
    toml: Path,
    toy_folder: Path,
    encoder: nn.Module,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = [0.0]

    def slowly(*arguments: Any) -> nn.Module:
        late[0] += 1e6  # seconds, by the clock
        return adapt_encoder(*arguments)

    monkeypatch.setattr(learning, "adapt_encoder", slowly)
    monkeypatch.setattr(time, "perf_counter", lambda: time.monotonic() + late[0])
    extra = f"""
[encoder]
factory = "toyencoder:Mean"
weights = "{toy_folder}/encoder.pth"
then = "adapt"
steps = 150
"""
    toml.write_text(toml.read_text() + extra)
    assert main(["run", str(toml), "-o", "out", "--quiet"]) == 0
    assert "the encoder was adapted" in Path("out/report.html").read_text()  # not attacked yet
    assert Path("out/unlearned/encoder.safetensors").stat().st_size > 0
    assert late[0] > 0
    seconds = RunFolder.open(Path("out")).seconds()
    assert seconds["unlearn"] < 1e5 < seconds["encoder"]
    assert load_checkpoint(Path("out/checkpoint.pt"))["seconds"] < 1e5
    quick = ["--set", "attack.n=20", "--set", "attack.restarts=1", "--set", "attack.steps=2"]
    capsys.readouterr()
    assert main(["attack", "out", *quick, "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)["encoder"]
    assert found["then"] == "adapt"
    leaks = {name: row["back"]["value"] for name, row in found["leaks"].items()}
    assert leaks["old encoder, original"] > 0.8
    assert leaks["adapted encoder, unlearned"] < leaks["old encoder, original"] / 2
    assert main(["report", "out", "--quiet"]) == 0
    assert "the encoder was adapted" in Path("out/report.html").read_text()
    kept = {
        name: Path("out/unlearned", name).read_bytes()
        for name in ("encoder.safetensors", "model.safetensors")
    }
    bad = ["--set", f"encoder.weights={toy_folder}/toy.pth", "--set", "unlearn.steps=3"]
    assert main(["unlearn", "out", *bad, "--quiet"]) == 1
    assert "encoder.take" in capsys.readouterr().err
    assert all(Path("out/unlearned", name).read_bytes() == kept[name] for name in kept)
    capsys.readouterr()
    assert main(["unlearn", "out", "--set", "encoder.then=drop", "--quiet"]) == 0
    assert "the encoder is left out of what is shipped" in capsys.readouterr().out
    assert not Path("out/unlearned/encoder.safetensors").exists()


def test_encoders_that_do_not_fit(toy: Generator, toy_folder: Path, encoder: nn.Module) -> None:
    config = EncoderConfig(factory="toyencoder:Mean", weights=str(toy_folder / "encoder.pth"))
    encode = encoding(config, toy)(load_encoder(config))
    assert encode(torch.zeros(3, 1, 16, 16)).shape == (3, 8)
    with pytest.raises(UserError, match=r"does not take images of \[1, 5, 5\]"):
        encode(torch.zeros(3, 1, 5, 5))
    with pytest.raises(UserError, match=r"gives \[256\] for each image.*\[8\]"):
        encoding(config, toy)(nn.Flatten())(torch.zeros(3, 1, 16, 16))
    wrong = EncoderConfig(factory="toyencoder:Mean", weights=str(toy_folder / "toy.pth"))
    with pytest.raises(UserError, match=r"encoder\.take"):
        load_encoder(wrong)
    with pytest.raises(UserError, match=r"encoder\.take: no key in"):
        load_encoder(wrong.model_copy(update={"take": ("zz",)}))
    half = EncoderConfig(
        factory="toyencoder:Mean", weights=str(toy_folder / "encoder.pth"), input_range=(0, 1)
    )
    watcher = Watcher()
    encoding(half, toy)(watcher)(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
    assert watcher.seen.flatten().tolist() == [0, 1]
