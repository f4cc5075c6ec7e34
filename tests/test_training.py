import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from unfeature import resumable, train_judge
from unfeature.adapters.files import load_checkpoint, save_checkpoint
from unfeature.cli import ORIGINALS as CLI_ORIGINALS
from unfeature.cli import main
from unfeature.datasets import ImageSet, load_images
from unfeature.errors import UserError
from unfeature.models.vae import ConvDecoder
from unfeature.training import JudgeSession, Session, Standing, TrainConfig, fit
from unfeature.training.loop import update
from unfeature.training.originals import ORIGINALS, original_session


def test_the_command_line_knows_what_can_be_trained() -> None:
    assert CLI_ORIGINALS == ORIGINALS


SMALL = {"latent_dim": 4, "width": 8}


@pytest.fixture
def stripes() -> ImageSet:
    """Two classes of 8×8 images: bright at the left, or at the right."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(96) % 2
    images = -torch.ones(96, 1, 8, 8)
    images[labels == 0, :, :, :4] = 1
    images[labels == 1, :, :, 4:] = 1
    return ImageSet(
        (images + 0.2 * torch.randn(images.shape, generator=random)).clamp(-1, 1),
        labels,
        ("l", "r"),
    )


@pytest.mark.parametrize("batches", [0, 2])
@pytest.mark.parametrize("architecture", ["dcgan", "conv-vae"])
def test_training_resumes_bit_for_bit(architecture: str, batches: int, stripes: ImageSet) -> None:
    config = TrainConfig(epochs=4, batch_size=16, learning_rate=1e-3, average=0.9)

    def trained(stop: int) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        session, _ = original_session(architecture, (1, 8, 8), config, **SMALL)
        for now in fit(session, stripes, config):
            last = now
            if (now.epochs, now.batches) == (stop, batches):
                state = session.state_dict()
                session, _ = original_session(architecture, (1, 8, 8), config, **SMALL)
                session.load_state_dict(state)
                for later in fit(session, stripes, config, start=now):
                    last = later
                break
        return session.model.state_dict(), last.losses

    (whole, losses), (resumed, again) = trained(9), trained(2)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert losses == again


def test_a_vae_learns_its_data(stripes: ImageSet) -> None:
    config = TrainConfig(epochs=60, batch_size=16, learning_rate=3e-3, average=0.9)
    session, _ = original_session("conv-vae", (1, 8, 8), config, **SMALL)
    steps = fit(session, stripes, config)
    losses = [sum(now.losses.values()) for now in steps if not now.batches]
    assert losses[-1] < 0.6 * losses[0]
    drawn = session.model(torch.randn(200, 4, generator=torch.Generator().manual_seed(1)))
    sides = drawn[..., :4].mean(dim=(1, 2, 3)) - drawn[..., 4:].mean(dim=(1, 2, 3))
    assert (sides.abs() > 1).float().mean() > 0.7
    assert 0.2 < (sides > 0).float().mean() < 0.8


def test_nothing_global_is_random(stripes: ImageSet) -> None:
    before = torch.random.get_rng_state()
    config = TrainConfig(epochs=1, batch_size=16)
    session, _ = original_session("dcgan", (1, 8, 8), config, **SMALL)
    for _ in fit(session, stripes, config):
        continue
    assert torch.equal(torch.random.get_rng_state(), before)


def test_train_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    labels = (np.arange(200) % 10).astype(np.uint8)
    images = random.integers(0, 40, (200, 28, 28)).astype(np.uint8)
    for i, digit in enumerate(labels):  # class k: a bright block at place k; half of them thick
        width = 6 if i % 20 < 10 else 2
        images[i, 4 : 4 + width, 2 * digit + 2 : 2 * digit + 8] = 255
    np.savez("d.npz", x_train=images, y_train=labels, x_test=images[:60], y_test=labels[:60])
    common = ["--data", "d.npz", "--batch-size", "32", "--quiet", "--json"]
    assert (
        main(
            ["train", "judge", "-o", "judge", "--epochs", "12", "--learning-rate", "5e-3", *common]
        )
        == 0
    )
    judged = json.loads(capsys.readouterr().out)
    assert judged["balanced_accuracy"] > 0.8
    options = ["--architecture", "conv-vae", "--latent-dim", "4", "--width", "8"]
    assert main(["train", "original", "-o", "vae", "--epochs", "2", *options, *common]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["images"] == 200
    assert made["fid"] > 0
    config = json.loads(Path("vae/config.json").read_text())
    assert config["about"]["recipe"]["training"]["epochs"] == 2

    Path("e.toml").write_text(
        'feature = "thick"\n[generator]\nsource = "vae"\n[label]\n'
        'function = "unfeature.features.digits:thickness"\nthreshold = 4.0\nn = 10\n'
    )
    oracle = ["train", "oracle", "run", "--data", "d.npz", "-o", "oracle", "--quiet", "--json"]
    assert main(["sample", "e.toml", "-o", "run", "--quiet"]) == 0
    capsys.readouterr()
    assert main(oracle) == 1
    assert "no label yet" in capsys.readouterr().err
    # a two-epoch VAE draws nothing thick, so the labels are one-sided; that is said, not hidden
    assert main(["label", "run", "--quiet"]) == 1
    assert "labelled pictures" in capsys.readouterr().err
    assert main(["label", "run", "--set", "label.share=0.3", "--quiet"]) == 1
    assert "exactly one of 'threshold' and 'share'" in capsys.readouterr().err


def test_oracle_never_sees_the_feature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("e.toml").write_text(
        'feature = "thick"\n[generator]\nsource = "digits-vae"\n[label]\n'
        'function = "unfeature.features.digits:thickness"\nshare = 0.3\nn = 60\n'
    )
    assert main(["sample", "e.toml", "-o", "run", "--quiet"]) == 0
    assert main(["label", "run", "--quiet"]) == 0
    images = np.zeros((1600, 28, 28), np.uint8)
    images[:, 4:24, 10:12] = 255
    images[:700, 4:24, 10:18] = 255  # the first 700 are thick
    labels = np.zeros(1600, np.uint8)
    np.savez("d.npz", x_train=images, y_train=labels, x_test=images[:9], y_test=labels[:9])
    arguments = ["train", "oracle", "run", "--data", "d.npz", "--quiet", "--json"]
    assert main([*arguments, "-o", "other", "--epochs", "1", "--seed", "5"]) == 0
    capsys.readouterr()
    assert main([*arguments, "-o", "oracle", "--epochs", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 900
    config = json.loads(Path("oracle/config.json").read_text())
    assert config["architecture"] == "conv-vae"
    assert config["about"]["without"] == "thick"
    training = config["about"]["recipe"]["training"]
    assert (training["epochs"], training["seed"]) == (1, 0)
    one, two = (load_file(f"{name}/model.safetensors") for name in ("oracle", "other"))
    assert not torch.equal(one["project.weight"], two["project.weight"])
    assert main([*arguments, "-o", "none", "--epochs", "0"]) == 1
    assert "--epochs is 0" in capsys.readouterr().err


def test_a_resume_goes_on_with_the_same_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    images, labels = np.zeros((16, 28, 28), np.uint8), np.zeros(16, np.uint8)
    np.savez("d.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    np.savez("other.npz", x_train=images + 9, y_train=labels, x_test=images, y_test=labels)
    base = ["train", "original", "-o", "x", "--quiet", "--data", "d.npz", "--batch-size", "8"]
    base += ["--epochs", "1", "--latent-dim", "4", "--width", "8"]
    vae = ["--architecture", "conv-vae"]
    assert main([*base, *vae]) == 0
    for more, said in (
        (
            ["--architecture", "dcgan", "--learning-rate", "0.001"],
            "of another architecture or other options",
        ),
        ([*vae, "--width", "4"], "of another architecture or other options"),
        ([*vae, "--seed", "3"], "is of a training with another seed;"),
        ([*vae, "--learning-rate", "0.1", "--beta", "2"], "another learning rate and another beta"),
        ([*vae, "--data", "other.npz"], "with another data;"),
    ):
        assert main([*base, *more, "--resume"]) == 1
        assert said in capsys.readouterr().err
    assert main([*base, *vae, "--epochs", "2", "--resume"]) == 0
    torch.save({"done": 1, "of": {"seed": 0}, "session": {}}, "x/checkpoint.pt")
    assert main([*base, *vae, "--resume"]) == 1
    assert "of a training by another version" in capsys.readouterr().err

    def stopped_at_once(*arguments: Any, **more: Any) -> Iterator[Standing]:
        yield next(iter(fit(*arguments, **more)))
        raise KeyboardInterrupt

    monkeypatch.setattr(resumable, "fit", stopped_at_once)
    assert main([*base, *vae, "--learning-rate", "0.1"]) == 130
    assert not Path("x/checkpoint.pt").exists()  # or --resume would go on with the one before


class Overflowing(Session):
    """Its loss overflows in the updates named; what is learnt is a mean."""

    parts = ("average", "optimizer")

    def __init__(self, bad: Sequence[int]):
        self.average = nn.Linear(1, 1)
        self.optimizer = torch.optim.Adam(self.average.parameters(), 0.1)
        self.bad = bad

    def step(
        self, images: Tensor, labels: Tensor, rng: torch.Generator, progress: float
    ) -> dict[str, float]:
        loss = self.average(images.flatten()[:1]).square().mean()
        if self.steps in self.bad:
            loss = loss * float("inf")
        update(self.optimizer, loss)
        self.steps += 1
        return {"loss": loss.item()}


def test_an_update_that_overflows_is_left_out_and_a_divergence_said() -> None:
    data = ImageSet(torch.ones(80, 1, 1, 1), torch.zeros(80, dtype=torch.long), ("x",))
    config = TrainConfig(epochs=1, batch_size=2)
    session = Overflowing([0, 3, 4, 17])
    weights, losses = [], []
    for now in fit(session, data, config):
        weights.append(session.average.state_dict()["weight"].item())
        losses.append(now.losses.get("loss", 0.0))
    assert all(map(math.isfinite, losses[1:]))
    assert losses[1] == pytest.approx(losses[2], rel=0.5)  # the first is left out of the mean, too
    assert weights[2] == weights[3] == weights[4] != weights[5]
    assert all(map(math.isfinite, weights))
    with pytest.raises(UserError, match="20 updates in a row are not finite: this training"):
        list(fit(Overflowing(range(10, 99)), data, config))
    assert len(list(fit(Overflowing(range(10, 29)), data, config))) == 40  # nineteen are not yet


def test_what_was_stopped_amid_an_epoch_goes_on_there(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at_save: Callable[[ModuleType, int], None],
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (32, 28, 28), np.uint8), np.zeros(32, np.uint8)
    np.savez("d.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    base = ["train", "original", "--architecture", "conv-vae", "--quiet", "--data", "d.npz"]
    base += ["--batch-size", "8", "--epochs", "2", "--latent-dim", "4", "--width", "8"]
    assert main([*base, "-o", "whole"]) == 0
    monkeypatch.setattr(resumable, "CHECKPOINT_SECONDS", -1.0)
    stop_at_save(resumable, 3)
    assert main([*base, "-o", "stopped"]) == 130
    saved = load_checkpoint(Path("stopped/checkpoint.pt"))
    assert saved["standing"]["batches"] == 3
    assert 0 < saved["cost"]["seconds"] < 100
    saved["cost"]["seconds"] += 1000
    saved["cost"]["megabytes"] *= 3
    save_checkpoint(Path("stopped/checkpoint.pt"), saved)
    assert main([*base, "-o", "stopped", "--resume"]) == 0
    took, alone = (
        json.loads(Path(name, "config.json").read_text())["about"]["figures"]
        for name in ("stopped", "whole")
    )
    assert alone["seconds"] + 900 < took["seconds"]  # what it took before counts
    assert took["megabytes"] > 2 * alone["megabytes"] > 0
    del saved["cost"]  # of before costs were noted
    save_checkpoint(Path("stopped/checkpoint.pt"), saved)
    assert main([*base, "-o", "stopped", "--resume"]) == 0
    about = json.loads(Path("stopped/config.json").read_text())["about"]
    assert "seconds" not in about["figures"]
    whole, resumed = (load_file(f"{name}/model.safetensors") for name in ("whole", "stopped"))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_bad_training_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    images, labels = np.zeros((8, 28, 28), np.uint8), np.zeros(8, np.uint8)
    np.savez("d.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    base = ["train", "original", "-o", "x", "--quiet"]
    for extra, said in (
        (["--data", "gone"], "no data at 'gone'"),
        (["--data", "d.npz"], "fewer than one batch of 64"),
        (["--data", "d.npz", "--epochs", "0"], "--epochs is 0"),
        (["--data", "d.npz", "--device", "cupu"], "--device cupu: "),
        (["--data", "d.npz", "--device", "xla"], "leave it out for the CPU"),
        (["--data", "d.npz", "--table", "t.toml"], "--table says how"),
        (["--data", "avatars", "--table", "gone.toml"], "not a readable correlation table"),
        (["--data", "d.npz", "--learning-rate", "0"], "--learning-rate is 0"),
        (["--data", "d.npz", "--learning-rate", "-1"], "--learning-rate is -1"),
        (["--data", "d.npz", "--option", "gamma=inf"], "--option gamma=inf: write KEY=NUMBER"),
        (["--data", "d.npz", "--learning-rate", "inf"], "--learning-rate is inf"),
        (["--data", "d.npz", "--size", "0"], "--size is 0; give 1 or more"),
        (["--data", "d.npz", "--width", "0"], "--width is 0; give 1 or more"),
        (["--data", "d.npz", "--option", "w_dim=0"], "w_dim=0: give a whole number of at least 1"),
        (["--data", "d.npz", "--option", "flow=-1"], "flow=-1: give a whole number of at least 1"),
        (["--data", "d.npz", "--option", "judge=1"], "'judge' has an option of its own"),
        (["--data", "gone", "--start", "digits-vae"], "digits-vae is a 'conv-vae', and a 'd"),
        (["--data", "d.npz", "--option", "channels=1"], "'channels' follows from the pictures"),
        (["--data", "d.npz", "--latent-dim", "-1"], "--latent-dim is -1; give 1 or more"),
    ):
        assert main([*base, *extra]) == 1
        assert said in capsys.readouterr().err
    assert main(["train", "judge", "-o", "x", "--data", "d.npz", "--quiet"]) == 1
    assert "has no test set" in capsys.readouterr().err


def test_a_test_set_may_lack_a_class(tmp_path: Path) -> None:
    """Classes are numbered as in the training set, and not by what the test set happens to hold."""
    random = np.random.default_rng(0)
    for split, names in (("train", "abc"), ("test", "ac")):
        for name in names:
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for i in range(4):
                pixels = random.integers(0, 255, (8, 8), np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    data = load_images(tmp_path)
    arguments = SimpleNamespace(data=tmp_path, size=None)
    held = train_judge._held_out(arguments, data)
    assert held.classes == ("a", "b", "c")
    assert sorted(held.labels.unique().tolist()) == [0, 2]
    (tmp_path / "test" / "c").rename(tmp_path / "test" / "d")
    with pytest.raises(UserError, match="class 'd' that there is none of to train on"):
        train_judge._held_out(arguments, data)


def test_a_training_begins_with_given_weights(stripes: ImageSet) -> None:
    config = TrainConfig(epochs=1, batch_size=16)
    given = ConvDecoder(**SMALL, channels=1, base=2)
    session, _ = original_session("conv-vae", (1, 8, 8), config, start=given, **SMALL)
    started = session.model.state_dict()
    assert all(torch.equal(started[key], value) for key, value in given.state_dict().items())
    with pytest.raises(UserError, match="--start: its weights do not fit"):
        original_session("dcgan", (1, 8, 8), config, start=given, **SMALL)


def test_a_judge_session_learns(stripes: ImageSet) -> None:
    from unfeature.models import build

    config = TrainConfig(epochs=12, batch_size=16, learning_rate=1e-2, average=0.5)
    session = JudgeSession(build("linear", {"channels": 1, "side": 8}), config, shift=0)
    *_, last = fit(session, stripes, config)
    assert last.losses["accuracy"] > 0.95
