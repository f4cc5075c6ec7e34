"""The prior that is learnt after a VAE: where it carries normals, and its own stage of training."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unfeature import load, resumable
from unfeature.adapters.files import load_checkpoint, save_checkpoint
from unfeature.cli import main
from unfeature.datasets import ImageSet
from unfeature.models import build
from unfeature.models.transport import STEPS, Transport
from unfeature.seeds import rng
from unfeature.training import TrainConfig, fit
from unfeature.training.prior import PriorSession, encoded

pytestmark = pytest.mark.usefixtures("initial_weights")


def normals(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_at_rest_it_only_scales_and_shifts() -> None:
    made = Transport(3, 2, width=8)
    made.mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    made.std.copy_(torch.tensor([0.5, 1.0, 2.0]))
    u = normals(10, 3)
    torch.testing.assert_close(made(u), u * made.std + made.mean)


def test_it_integrates_the_velocity_to_second_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """∂x/∂t = x·t has the solution x(1) = x(0)·√e, and Heun's error falls by four with twice the
    steps."""
    made, u = Transport(2, 1, width=8), normals(10, 2)
    monkeypatch.setattr(Transport, "velocity", lambda self, x, t: x * t[:, None])
    errors = []
    for steps in (STEPS, 2 * STEPS):
        monkeypatch.setattr("unfeature.models.transport.STEPS", steps)
        errors.append((made(u) - u * torch.tensor(0.5).exp()).abs().max().item())
    assert errors[0] < 0.02
    assert errors[1] == pytest.approx(errors[0] / 4, rel=0.2)


def test_its_loss_is_least_at_the_velocity_between_two_points() -> None:
    """With one latent c, the velocity that leads there is (c − x) / (1 − t)."""
    made = Transport(2, 1, width=8)
    latents, u, t = torch.ones(50, 2) * 3, normals(50, 2), torch.linspace(0.0, 0.9, 50)
    plain = made.loss(latents, u, t)
    assert plain.item() == pytest.approx((latents - u).square().mean().item(), rel=1e-5)
    made.velocity = lambda x, t: (3 - x) / (1 - t[:, None])  # type: ignore[method-assign]
    assert made.loss(latents, u, t).item() < 1e-8


def test_it_learns_two_heaps() -> None:
    """Half of the posteriors about (−3, 0), half about (3, 0)."""
    means = torch.zeros(512, 2)
    means[:, 0] = torch.where(torch.arange(512) % 2 == 0, 3.0, -3.0)
    posteriors = torch.stack([means, torch.full_like(means, -3.0)], dim=1).unsqueeze(2)
    data = ImageSet(posteriors, torch.zeros(512, dtype=torch.long), ("a",))
    config = TrainConfig(epochs=100, batch_size=128)
    session = PriorSession(Transport(2, 2, width=32), posteriors, config)
    torch.testing.assert_close(
        session.average.std[0].item(), (9 + np.exp(-3)) ** 0.5, rtol=0.01, atol=0
    )
    list(fit(session, data, config))
    with torch.no_grad():
        drawn = session.model(normals(2000, 2, seed=3))
    right = drawn[:, 0] > 0
    assert 0.4 < right.double().mean() < 0.6
    assert (drawn[:, 0].abs() < 1.5).double().mean() < 0.06  # hardly anything lies between
    assert drawn[right, 0].mean().item() == pytest.approx(3, abs=0.15)
    assert drawn[:, 1].std().item() == pytest.approx(np.exp(-1.5), rel=0.2)


def test_what_is_encoded_is_the_posterior() -> None:
    class Encoder(nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return images.mean((2, 3)), -images.mean((2, 3))

    images = normals(300 * 3, 16).view(300, 3, 4, 4)
    found = encoded(Encoder(), images)
    assert found.images.shape == (300, 2, 1, 3)
    torch.testing.assert_close(found.images[:, 0, 0], images.mean((2, 3)))
    torch.testing.assert_close(found.images[:, 1, 0], -images.mean((2, 3)))


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """d.npz in the folder where it runs."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 16, 16), dtype=np.uint8)
    np.savez("d.npz", x_train=pixels, y_train=np.zeros(64, dtype=np.int64))


def test_a_vae_is_trained_with_it_in_a_second_stage(pictures: None) -> None:
    assert main(command(1, "-o", "whole")) == 0
    made = load("whole")
    config = json.loads(Path("whole/config.json").read_text())
    assert config["options"]["transport"] == 1
    assert "flow" not in config["options"]
    assert config["about"]["recipe"]["options"]["flow"] == 2
    u = normals(5, 4)
    with torch.no_grad():
        latents = made.module.transport(u)  # type: ignore[operator]
        assert (latents - u).abs().max() > 0.01
        torch.testing.assert_close(made(u), made.module.decode(latents))  # type: ignore[operator]


def command(epochs: int, *more: str) -> list[str]:
    """Train a small one on d.npz."""
    base = ["train", "original", "--architecture", "residual-vae", "--data", "d.npz", "--quiet"]
    base += ["--epochs", str(epochs), "--batch-size", "16", "--latent-dim", "4", "--width", "4"]
    base += ["--option", "flow=2", "--option", "transport=1", "--option", "prior_epochs=4"]
    return [*base, *more]


def test_stopped_in_its_second_stage_it_ends_the_same(
    pictures: None,
    monkeypatch: pytest.MonkeyPatch,
    stop_at_save: Callable[[ModuleType, int], None],
) -> None:
    monkeypatch.setattr(resumable, "EPOCH_SECONDS", 0.0)
    assert main(command(2, "-o", "whole")) == 0
    stop_at_save(resumable, 4)  # two of the first stage, two of the second
    assert main(command(2, "-o", "parts")) == 130
    assert not Path("parts/config.json").exists()
    stages = [load_checkpoint(Path("parts", name)) for name in resumable.CHECKPOINTS]
    assert stages[1]["standing"]["epochs"] == 2
    for stage, saved in enumerate(stages):  # as if each had taken long
        saved["cost"]["seconds"] += 1000 * (stage + 1)
        save_checkpoint(Path("parts", resumable.CHECKPOINTS[stage]), saved)
    assert main(command(2, "--resume", "-o", "parts")) == 0
    assert load("parts").fingerprint == load("whole").fingerprint
    took = json.loads(Path("parts/config.json").read_text())["about"]["figures"]["seconds"]
    assert 3000 <= took < 3100  # that of both stages


def test_when_the_first_stage_goes_on_the_second_begins_anew(pictures: None) -> None:
    assert main(command(1, "-o", "parts")) == 0
    short = load("parts").fingerprint
    assert main(command(2, "--resume", "-o", "parts")) == 0
    assert load("parts").fingerprint != short
    assert load_checkpoint(Path("parts/prior.pt"))["of"]["after"] == 8


def test_a_training_begun_anew_leaves_no_prior_of_before(
    pictures: None, stop_at_save: Callable[[ModuleType, int], None]
) -> None:
    assert main(command(1, "-o", "parts")) == 0
    assert Path("parts/prior.pt").exists()
    stop_at_save(resumable, 1)
    assert main(command(1, "--beta", "2", "-o", "parts")) == 130
    assert not Path("parts/prior.pt").exists()
    assert main(command(1, "--beta", "2", "--resume", "-o", "parts")) == 0


def test_its_oracle_is_trained_as_it_was(pictures: None) -> None:
    """In both stages, here on all of the same pictures, so it is the same."""
    assert main(command(1, "-o", "made")) == 0
    Path("e.toml").write_text(
        'feature = "thick"\n[generator]\nsource = "made"\n[label]\n'
        'function = "unfeature.features.digits:thickness"\nshare = 0.3\nn = 60\n'
    )
    assert main(["sample", "e.toml", "-o", "run", "--quiet"]) == 0
    assert main(["label", "run", "--quiet"]) == 0
    assert main(["train", "oracle", "run", "--data", "d.npz", "--quiet", "-o", "oracle"]) == 0
    config, original = (
        json.loads(Path(f"{name}/config.json").read_text()) for name in ("oracle", "made")
    )
    assert config["about"]["without"] == "thick"
    assert config["options"] == original["options"]
    assert config["about"]["recipe"] == original["about"]["recipe"]
    assert load("oracle").fingerprint == load("made").fingerprint  # none of these pictures is thick


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--option", "perceptual=0.2"], "perceptual weighs what a judge sees; give --judge"),
        (
            ["--option", "transport=0"],
            "prior_epochs is of the transport; give --option transport=3",
        ),
        (["--start", "avatars-vae"], "--start: this VAE's prior was learnt after it"),
    ],
)
def test_options_that_do_not_fit(
    pictures: None, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert main(command(1, *more, "-o", "out")) != 0
    assert message in capsys.readouterr().err
    assert not Path("out/config.json").exists()


def test_in_a_generator_it_stays_as_it_is() -> None:
    """Its weights are no parameters, are saved, and let the gradient through to the latents."""
    small = {"latent_dim": 4, "size": 16, "width": 4, "transport": 2}
    made = build("residual-vae", small)
    plain = build("residual-vae", small | {"transport": 0})
    assert [name for name, _ in made.named_parameters()] == [
        name for name, _ in plain.named_parameters()
    ]
    saved = {key for key in made.state_dict() if key.startswith("transport.")}
    assert saved == {f"transport.{key}" for key in Transport(4, 2).state_dict()}
    made.transport.write.weight.normal_(generator=rng(0, "test"))  # type: ignore[union-attr, operator]
    u = normals(3, 4).requires_grad_(True)
    made.decode(made.transport(u)).square().sum().backward()  # type: ignore[operator]
    assert u.grad is not None
    assert u.grad.abs().min() > 0
    assert made.project.weight.grad is not None  # type: ignore[union-attr]
