import copy
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch import nn

import unfeature as uf
from unfeature import avatars
from unfeature.adapters.pretrained import load_classifier, save_classifier
from unfeature.adapters.sources import load_attribute_judge
from unfeature.attribute_tables import half_of, load_attributes, split_of
from unfeature.cli import main
from unfeature.datasets import AttributeSet
from unfeature.labelers import ClassifierLabeler
from unfeature.labelers.classifier import same_classifier
from unfeature.models import build
from unfeature.panel import Panel, load_panel, save_panel
from unfeature.rests import with_generated
from unfeature.training import AttributeSession, TrainConfig, attribute_figures, calibrate, fit
from unfeature.training.attributes import disturbed, logits_of
from unfeature.training.calibration import calibration_error, even_odds, platt

NAMES = ("left", "red", "random")


def pictures(n: int, seed: int = 0) -> AttributeSet:
    """16×16: bright at the left or not, red or not; whether "random" holds shows nowhere."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.rand(n, 3, generator=random) < torch.tensor([0.5, 0.2, 0.5])
    images = 0.2 * torch.randn(n, 3, 16, 16, generator=random) - 0.5
    images[labels[:, 0], :, :, :8] += 0.8
    images[labels[:, 1], 0] += 0.7
    return AttributeSet(images.clamp(-1, 1), labels, NAMES)


def session(data: AttributeSet, config: TrainConfig) -> AttributeSession:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build("resnet", {"outputs": 3, "width": 8})
    return AttributeSession(module, config, labels=data.labels, shift=1, flip=False)


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    data = pictures(800)
    config = TrainConfig(epochs=5, batch_size=32, learning_rate=3e-3, average=0.9)
    made = session(data, config)
    for _ in fit(made, data, config):
        continue
    return made.model.eval()


def nll(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    losses = nn.functional.binary_cross_entropy_with_logits(
        logits, labels.float(), reduction="none"
    )
    return (even_odds(labels) * losses).sum(0)


def test_mobilenet_is_that_of_the_paper() -> None:
    module = build("mobilenetv3", {})
    assert sum(p.numel() for p in module.parameters()) == 2_542_856
    costs: list[int] = []

    def count(layer: nn.Module, _: object, y: torch.Tensor) -> None:
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        costs.append(layer.weight.numel() * y[0].numel() // y.shape[1])

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    module.eval()(torch.zeros(1, 3, 224, 224))
    assert sum(costs) == pytest.approx(56e6, rel=0.02)  # table 4: 56 million multiply-adds


@pytest.mark.parametrize(
    ("architecture", "options", "features", "most"),
    [
        ("mobilenetv3", {"width": 0.5, "first_stride": 1}, 512, 450_000),
        ("mobilenetv3", {"width": 0.35, "stem_stride": 1}, 360, 300_000),
        ("resnet", {"width": 16}, 128, 350_000),
    ],
)
def test_architectures(
    architecture: str, options: dict[str, float], features: int, most: int, tmp_path: Path
) -> None:
    options = {**options, "outputs": 5}
    module = build(architecture, options).eval()
    assert sum(p.numel() for p in module.parameters()) < most
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    # a picture's logits are its own
    torch.testing.assert_close(module(images)[:1], module(images[:1]), rtol=1e-4, atol=1e-5)
    assert build(architecture, {"channels": 1})(torch.zeros(2, 1, 32, 32)).ndim == 2
    save_classifier(module, tmp_path, architecture=architecture, options=options)
    found, logits = uf.extractor(str(tmp_path))(images)
    assert found.shape == (3, features)
    torch.testing.assert_close(logits, module(images))


def test_a_session_resumes_bit_for_bit() -> None:
    data, config = pictures(96), TrainConfig(epochs=4, batch_size=32, learning_rate=1e-3)
    before = torch.random.get_rng_state()

    def weights(stop: int) -> dict[str, torch.Tensor]:
        made = session(data, config)
        for now in fit(made, data, config):
            if (now.epochs, now.batches) == (stop, 1):
                state = copy.deepcopy(made.state_dict())
                made = session(data, config)
                made.load_state_dict(state)
                for _ in fit(made, data, config, start=now):
                    continue
                break
        return made.model.state_dict()

    whole, resumed = weights(9), weights(2)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_judge_learns_what_shows_and_nothing_else(trained: nn.Module) -> None:
    held = pictures(1000, seed=1)
    found = attribute_figures(logits_of(trained, held.images), held)
    assert found["left"]["balanced_accuracy"] > 0.98
    assert found["red"]["balanced_accuracy"] > 0.98
    assert found["red"]["share"] == pytest.approx(0.2, abs=0.04)
    # two shares of about 500 each: a standard error of 0.016, and four of them
    assert found["random"]["balanced_accuracy"] == pytest.approx(0.5, abs=0.064)


def test_calibration(trained: nn.Module) -> None:
    module, spare, held = copy.deepcopy(trained), pictures(1500, seed=2), pictures(1500, seed=3)
    before = logits_of(module, held.images)
    features = module.features(held.images[:4])  # type: ignore[operator]
    calibrate(module, logits_of(module, spare.images), spare.labels)
    after = logits_of(module, held.images)
    assert (nll(after, held.labels) <= nll(before, held.labels) + 2e-3).all()
    assert nll(after, held.labels)[2] < nll(before, held.labels)[2] - 1e-3
    assert calibration_error(after, held.labels)[2] < calibration_error(before, held.labels)[2]
    assert torch.equal(features, module.features(held.images[:4]))  # type: ignore[operator]


def test_platt_finds_the_scale_and_shift_it_was_given() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.rand(40_000, 2, generator=random) < torch.tensor([0.5, 0.1])
    # of two unit normals at ±1 the log-odds are 2x
    x = torch.randn(labels.shape, generator=random) + 2 * labels.float() - 1
    wrong = 9 * x + torch.tensor([4.0, -2.0])
    scale, shift = platt(wrong, labels)
    torch.testing.assert_close(scale, torch.tensor([2 / 9, 2 / 9]), rtol=0.05, atol=0)
    torch.testing.assert_close(shift, -scale * torch.tensor([4.0, -2.0]), rtol=0.05, atol=0.06)
    right = scale * wrong + shift
    assert (nll(right, labels) < nll(wrong, labels)).all()
    assert (calibration_error(right, labels) < 0.02).all()
    assert (calibration_error(wrong, labels) > 0.04).all()


def test_platt_is_never_infinitely_sure() -> None:
    labels = (torch.arange(100) % 2 == 0)[:, None]
    scale, shift = platt(torch.where(labels, 1.0, -1.0), labels)
    torch.testing.assert_close(scale + shift, torch.tensor([51.0]).log(), rtol=1e-3, atol=0)


def test_disturbed_pictures_stay_in_range_and_are_each_their_own() -> None:
    images = torch.ones(8, 3, 8, 8) * 0.9
    found = disturbed(images, torch.Generator().manual_seed(0), flip=True)
    assert found.abs().max() <= 1
    assert found.mean(dim=(1, 2, 3)).unique().numel() == 8
    again = disturbed(images, torch.Generator().manual_seed(0), flip=True)
    assert torch.equal(found, again)


@pytest.fixture
def saved(trained: nn.Module, tmp_path: Path) -> str:
    folder = tmp_path / "judge"
    options = {"outputs": 3, "width": 8}
    save_classifier(trained, folder, architecture="resnet", options=options, attributes=list(NAMES))
    return str(folder)


def test_a_judge_comes_back_as_it_was(trained: nn.Module, saved: str) -> None:
    images = pictures(20, seed=4).images
    logits = trained(images)
    for k, name in enumerate(NAMES):
        judge = uf.load_judge(saved, target=name)
        torch.testing.assert_close(judge.score(images), logits[:, k])
        assert f"attribute {name}" in judge.name
        assert uf.load_judge(saved, target=str(k)).name == judge.name
    every = load_attribute_judge(saved)
    assert every.names == NAMES
    torch.testing.assert_close(every.logits(images), logits)
    assert torch.equal(every(images), logits > 0)
    with pytest.raises(uf.UserError, match="does not take images"):
        every(torch.zeros(2, 1, 16, 16))


def test_a_judge_takes_only_pictures_like_those_it_was_trained_on() -> None:
    # the network itself would take them: its features are averaged over the picture
    trained_on = re.escape("[3, 64, 64]")
    for shape in ([3, 32, 32], [3, 64, 48], [1, 64, 64]):
        said = f"does not take images of {re.escape(str(shape))}.*trained on {trained_on}"
        for judge in (
            uf.load_judge("avatars-judge", target="hat").score,
            load_attribute_judge("avatars-judge"),
        ):
            with pytest.raises(uf.UserError, match=said):
                judge(torch.zeros(2, *shape))
    with pytest.raises(uf.UserError, match=r"\[1, 16, 16\].*trained on \[1, 28, 28\]"):
        uf.load_judge("digits-judge").score(torch.zeros(2, 1, 16, 16))


def test_a_judge_is_known_under_any_name(saved: str, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path / "copy")
    one, copied = (uf.load_judge(str(path), target="red") for path in (saved, tmp_path / "copy"))
    assert one.name != copied.name
    assert same_classifier(one, copied)
    assert not same_classifier(one, uf.load_judge(saved, target="left"))
    assert not same_classifier(one, uf.load_judge("digits-judge"))
    mean, most, again = (
        replace(one, module=nn.Sequential(pool(1), nn.Flatten()))  # no weights to tell them by
        for pool in (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)
    )
    assert same_classifier(mean, again)
    assert not same_classifier(mean, most)


def test_attributes_are_named(saved: str) -> None:
    with pytest.raises(uf.UserError, match=r"has no attribute 'lefd' \(did you mean 'left'\?\)"):
        uf.load_judge(saved, target="lefd")
    with pytest.raises(uf.UserError, match="name one: left, red, random"):
        uf.load_judge(saved)
    with pytest.raises(uf.UserError, match="has no attribute '3'"):
        uf.load_judge(saved, target="3")
    with pytest.raises(uf.UserError, match="knows no attributes"):
        load_attribute_judge("digits-judge")
    assert uf.load_judge("digits-judge", target="3").target == 3  # classes as before
    with pytest.raises(uf.UserError, match="3 attributes; there is no attribute 7"):
        replace(uf.load_judge(saved, target="red"), target=7).score(pictures(2).images)


def test_anyones_network_may_name_its_attributes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mysight.py").write_text(
        "from torch import nn\n\n\nclass Bright(nn.Module):\n"
        "    attributes = ('left', 'right')\n\n"
        "    def forward(self, images):\n"
        "        return images.mean((1, 2)).unflatten(1, (2, -1)).mean(2)\n"
    )
    judge = load_attribute_judge("mysight:Bright")
    assert judge.names == ("left", "right")
    images = -torch.ones(2, 1, 4, 4)
    images[1, :, :, 2:] = 1
    assert judge(images).tolist() == [[False, False], [False, True]]
    assert uf.load_judge("mysight:Bright", target="right").score(images).tolist() == [-1, 1]
    with pytest.raises(uf.UserError, match=r"has many; name one: left, right"):
        uf.load_judge("mysight:Bright")
    import mysight  # type: ignore[import-not-found]

    for names in ("smile", ("left", "left"), (1, 2)):
        monkeypatch.setattr(mysight.Bright, "attributes", names)
        with pytest.raises(uf.UserError, match="must be a list of different names"):
            load_attribute_judge("mysight:Bright")
    monkeypatch.setattr(mysight.Bright, "attributes", ("left", "right", "top"))
    with pytest.raises(uf.UserError, match=r"gives \[2\] for an image and names 3 attributes"):
        load_attribute_judge("mysight:Bright")(images)


def test_classes_serve_where_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = load_attribute_judge("digits-judge", classes=True)
    f = uf.load("digits-gan")
    seen = judge(uf.draw(f, f.latents_from_seeds(range(64))))
    assert judge.exclusive
    assert judge.names == tuple("0123456789")
    assert (seen.sum(1) == 1).all()
    assert seen.any(0).sum() > 5
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "kinds.py").write_text(
        "from torch import nn\n\n\nclass Kinds(nn.Module):\n"
        "    classes = 2\n\n"
        "    def forward(self, images):\n"
        "        return images.mean((1, 2)).unflatten(1, (2, -1)).mean(2)\n"
    )
    with pytest.raises(uf.UserError, match="does not name what its outputs are of"):
        load_attribute_judge("kinds:Kinds", classes=True)
    import kinds  # type: ignore[import-not-found]

    monkeypatch.setattr(kinds.Kinds, "classes", ("left", "right"))
    images = -torch.ones(2, 1, 4, 4)
    images[1, :, :, 2:] = 0
    seen = load_attribute_judge("kinds:Kinds", classes=True)(images)
    assert seen.tolist() == [[True, False], [False, True]]  # below 0 both, and one is likeliest
    assert uf.load_judge("kinds:Kinds", target="right").target == 1
    with pytest.raises(uf.UserError, match="knows no attributes"):
        load_attribute_judge("kinds:Kinds")


def test_a_panel_remembers_the_attribute(saved: str, tmp_path: Path) -> None:
    gate, judge = uf.load_judge(saved, target="red"), uf.load_judge(saved, target="left")
    save_panel(Panel(gate, replace(judge, threshold=0.5, temperature=2.0), ()), tmp_path / "panel")
    again = load_panel(tmp_path / "panel")
    images = pictures(6).images
    torch.testing.assert_close(again.gate.score(images), gate.score(images))
    torch.testing.assert_close(again.judge.score(images), (judge.score(images) - 0.5) / 2)
    assert isinstance(again.gate, ClassifierLabeler)
    assert again.gate.name == gate.name


def write(folder: Path, data: AttributeSet, *, celeba: bool = False) -> list[str]:
    """The pictures and their table, in one form or the other."""
    within = folder / "img_align_celeba" if celeba else folder
    within.mkdir(parents=True)
    files = [f"{i:06d}.png" for i in range(len(data))]
    pixels = ((data.images + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    for file, image in zip(files, pixels, strict=True):
        Image.fromarray(image).save(within / file)
    if celeba:
        rows = [
            " ".join([f, *("1 " if v else "-1" for v in row)])
            for f, row in zip(files, data.labels.tolist(), strict=True)
        ]
        text = "\n".join([str(len(files)), " ".join(data.names) + " ", *rows])
        (folder / "list_attr_celeba.txt").write_text(text + "\n")
    else:
        lines = [
            ",".join([f, *map(str, map(int, row))])
            for f, row in zip(files, data.labels.tolist(), strict=True)
        ]
        text = "\n".join([",".join(["file", *data.names]), *lines])
        (folder / "attributes.csv").write_text(text + "\n")
    return files


@pytest.mark.parametrize("celeba", [False, True])
def test_tables_of_attributes(celeba: bool, tmp_path: Path) -> None:
    data = pictures(200)
    files = write(tmp_path / "d", data, celeba=celeba)
    found = {
        (split, half): load_attributes(tmp_path / "d", split=split, half=half)
        for split in ("train", "calibrate", "test")
        for half in (None, "a", "b")
    }
    assert sum(len(found[split, None]) for split in ("train", "calibrate", "test")) == 200
    for split in ("train", "calibrate"):
        assert len(found[split, "a"]) + len(found[split, "b"]) == len(found[split, None])
    assert torch.equal(found["test", "a"].images, found["test", "b"].images)
    mine = torch.tensor([split_of(f) == "train" and half_of(f) == "b" for f in files])
    expected = data.where(mine)
    assert found["train", "b"].names == NAMES
    assert torch.equal(found["train", "b"].labels, expected.labels)
    torch.testing.assert_close(found["train", "b"].images, expected.images, rtol=0, atol=0.005)
    small = load_attributes(tmp_path / "d", size=8, limit=30)
    assert small.images.shape == (30, 3, 8, 8)


def test_pictures_are_cropped_to_their_middle(tmp_path: Path) -> None:
    data = pictures(200)
    wide = torch.cat([torch.ones(200, 3, 16, 8), data.images, torch.ones(200, 3, 16, 8)], dim=3)
    write(tmp_path / "d", replace(data, images=wide))
    write(tmp_path / "e", data)
    cropped, plain = load_attributes(tmp_path / "d", size=16), load_attributes(tmp_path / "e")
    torch.testing.assert_close(cropped.images, plain.images)


BAD: list[tuple[str, Callable[[str], str], str]] = [
    ("attributes.csv", lambda t: t + "gone.png,1,1,0\n", "names 1 files that are not in"),
    ("attributes.csv", lambda t: t.replace("000005.png,", "000005.png,2", 1), "line 7: 'left' is"),
    ("attributes.csv", lambda t: t + "000001.png,1,1,0\n", "'000001.png' has a line already"),
    ("attributes.csv", lambda t: t + "x.png,1,1\n", "2 values for 3 attributes"),
    ("attributes.csv", lambda t: t.replace("left", "red", 1), "each once"),
    ("attributes.csv", lambda t: "", "should name its attributes"),
    ("attributes.csv", lambda t: t.splitlines()[0], "lines for 0 pictures"),
    ("list_attr_celeba.txt", lambda t: "x" + t, "line 1: the number of pictures"),
    ("list_attr_celeba.txt", lambda t: "1" + t, "lines for 200 pictures, not 1200"),
    ("list_attr_celeba.txt", lambda t: t.replace("-1", "0"), "write 1 or -1"),
]


@pytest.mark.parametrize(("name", "change", "said"), BAD)
def test_bad_tables(name: str, change: Callable[[str], str], said: str, tmp_path: Path) -> None:
    write(tmp_path / "d", pictures(200), celeba=name != "attributes.csv")
    table = tmp_path / "d" / name
    table.write_text(change(table.read_text()))
    with pytest.raises(uf.UserError, match=said) as found:
        load_attributes(tmp_path / "d")
    assert "\n" not in str(found.value)


def test_attributes_must_differ(tmp_path: Path) -> None:
    data = pictures(60)
    data.labels[:, 1] = False
    write(tmp_path / "d", data)
    with pytest.raises(uf.UserError, match=r"none of the train pictures .* attribute 'red'"):
        load_attributes(tmp_path / "d")
    with pytest.raises(uf.UserError, match=r"neither 'attributes.csv' nor"):
        load_attributes(tmp_path)
    with pytest.raises(uf.UserError, match="no picture has attribute number 1"):
        session(data, TrainConfig())
    (tmp_path / "d" / "attributes.csv").write_bytes(b"file,a\n\xff\xfe,1\n")
    with pytest.raises(uf.UserError, match="cannot be read as text"):
        load_attributes(tmp_path / "d")
    (tmp_path / "d" / "000000.png").write_text("no picture")
    (tmp_path / "d" / "attributes.csv").write_text(
        "file,a\n" + "".join(f"{i:06d}.png,{i % 2}\n" for i in range(60))
    )
    with pytest.raises(uf.UserError, match=r"000000.png' is not a readable picture"):
        load_attributes(tmp_path / "d")


def test_train_judge_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = pictures(500)
    write(Path("d"), AttributeSet(data.images, data.labels[:, :2], NAMES[:2]))
    base = ["train", "judge", "--data", "d", "--quiet", "--json"]
    trained = ["--width", "8", "--epochs", "6", "--batch-size", "16", "--learning-rate", "5e-3"]
    options = ["--architecture", "resnet", "--split", "b", "--no-flip", *trained]
    assert main([*base, "-o", "judge", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["lowest_balanced_accuracy"] > 0.8
    row = found["attributes"]["red"]
    assert row.keys() == {
        "balanced_accuracy", "calibration_error", "calibration_error_before", "share",
    }  # fmt: skip
    config = json.loads(Path("judge/config.json").read_text())
    assert config["attributes"] == ["left", "red"]
    assert config["image_shape"] == list(data.images.shape[1:])
    assert config["recipe"]["split"] == "b"
    assert uf.load_judge("judge", target="red").score(data.images).shape == (500,)
    for extra, said in (
        (["--data", "gone"], "no data at 'gone'"),
        (["--n", "0"], "--n is 0"),
        (["--width", "-1"], "--width is -1"),
        (["--width", "0.5"], "give a whole number of channels"),
        (["--epochs", "0"], "--epochs is 0"),
        (["--n", "1"], "'; leave it out"),
    ):
        assert main([*base, "-o", "x", *options, *extra]) == 1
        assert said in capsys.readouterr().err


def test_avatars_have_halves_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from unfeature import train_judge

    asked: list[tuple[int, int]] = []

    def dataset(n: int, *, start: int, size: int, table: None) -> AttributeSet:
        asked.append((n, start))
        return pictures(64)

    monkeypatch.setattr(train_judge.avatars, "dataset", dataset)
    for half in ("a", "b"):
        arguments = SimpleNamespace(
            data=Path("avatars"), split=half, n=80, size=None, table=None, faint=None
        )
        for split in train_judge.SPLITS:
            train_judge._attributes(arguments, split)
    assert asked == [
        (80, 0), (10, 30_000_000), (10, 20_000_000),
        (80, 10_000_000), (10, 35_000_000), (10, 20_000_000),
    ]  # fmt: skip


@pytest.mark.usefixtures("two_threads")
def test_a_judge_that_minds_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    base = ["train", "judge", "--data", "avatars", "--quiet", "--json", "--epochs", "1"]
    small = ["--architecture", "resnet", "--width", "8", "--size", "32", "--batch-size", "32"]
    more = ["--faint", "glasses", "--start", "first"]
    assert main([*base, *small, "--n", "1600", "-o", "first"]) == 0
    before = load_classifier(Path("first"))[0]
    assert main([*base, *small, *more, "--n", "1600", "--epochs", "3", "-o", "second"]) == 0
    capsys.readouterr()
    after = load_classifier(Path("second"))[0]
    recipe = json.loads(Path("second/config.json").read_text())["recipe"]
    assert (recipe["faint"], recipe["start"]) == ("glasses", "first")
    rests = avatars.faint(avatars.sample(range(30_000, 30_400)), "glasses", seed=9, size=32)
    column = avatars.index_of("glasses")
    overlooked, seen = ((m(rests)[:, column] > 0).float().mean() for m in (before, after))
    assert seen > overlooked + 0.1
    for options, said in (
        (["--data", "gone", "--faint", "glasses"], "--faint draws rests"),
        (["--faint", "glases"], "did you mean 'glasses'"),
        (["--generated", "avatars-vae"], "--generated needs --faint, and --start"),
        (["--start", "first", "--width", "4"], "give the same --architecture and --width"),
        (["--start", "gone"], "--start"),
    ):
        assert main([*base, *small, "--n", "200", "-o", "x", *options]) == 1
        assert said in capsys.readouterr().err


def test_generated_pictures_are_labelled_where_the_judge_is_sure() -> None:
    judge = load_attribute_judge("avatars-referee")
    data = AttributeSet(
        torch.zeros(2, 3, 64, 64), torch.zeros(2, 15, dtype=torch.bool), judge.names
    )
    made = with_generated(data, "avatars-vae", range(40), judge=judge, name="glasses")
    odds = judge.logits(made.images[2:])[:, judge.names.index("glasses")]
    assert 20 < len(made) - 2 < 40
    assert odds.abs().min() > 4
    assert torch.equal(made.labels[2:, judge.names.index("glasses")], odds > 0)
    small = replace(data, images=data.images[..., ::2, ::2])
    with pytest.raises(uf.UserError, match=r"draws \[3, 64, 64\], the data are \[3, 32, 32\]"):
        with_generated(small, "avatars-vae", range(4), judge=judge, name="glasses")
    other = replace(data, names=("glasses", *judge.names[1:]))
    with pytest.raises(uf.UserError, match="a judge of the same attributes"):
        with_generated(other, "avatars-vae", range(4), judge=judge, name="glasses")


def test_any_architecture_learns_classes_from_half_of_the_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = pictures(120)
    for i, (image, label) in enumerate(zip(data.images, data.labels[:, 0].tolist(), strict=True)):
        folder = Path("d", "test" if i % 4 == 0 else "train", "left" if label else "other")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = ((image + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / f"{i}.png")
    options = ["--architecture", "resnet", "--width", "8", "--epochs", "8", "--batch-size", "15"]
    base = ["train", "judge", "--data", "d", "-o", "judge", "--split", "a", "--quiet", "--json"]
    assert main([*base, *options]) == 0
    assert json.loads(capsys.readouterr().out)["balanced_accuracy"] > 0.9
    assert json.loads(Path("judge/config.json").read_text())["classes"] == ["left", "other"]
    assert not uf.load_judge("judge", target="left").independent
    assert main([*base, *options, "--batch-size", "46"]) == 1  # 90 to train on: 45 in a half
    assert "45 images are fewer than one batch" in capsys.readouterr().err
