"""The third-party generators in the shared folder, and the acceptance program of the design."""

import re
from pathlib import Path

import pytest
import torch

import unfeature as uf
from unfeature.adapters.encoder import encoding, load_encoder
from unfeature.adapters.sources import load_source
from unfeature.cli import main
from unfeature.comparison import read_comparison
from unfeature.evaluate import judged
from unfeature.settings import read_experiment

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(path.relative_to(ROOT) for path in ROOT.glob("examples/*/*.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_example_settings_and_generators(
    path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    experiment = read_experiment(path)
    generator = load_source(experiment.generator)
    images = uf.draw(generator, generator.latents_from_seeds([0, 1, 2, 3]))
    assert images.shape == (4, *generator.image_shape)
    assert images.abs().max() <= 1
    assert images.flatten(1).std(dim=0).mean() > 0.1  # four different pictures
    paper = read_experiment(path, ["erase.gate=paper"])
    assert paper.erase.gate == "paper"


@pytest.mark.parametrize("name", ["celeba_vae", "mnist_vae"])
def test_third_party_encoders_find_the_latents(
    name: str, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    experiment = read_experiment(Path(f"examples/{name}/experiment.toml"))
    assert experiment.encoder is not None
    original = load_source(experiment.generator)
    encode = encoding(experiment.encoder, original)(load_encoder(experiment.encoder))
    latents = original.latents_from_seeds(range(100))
    found = encode(uf.draw(original, latents))
    assert torch.corrcoef(torch.stack([found.flatten(), latents.flatten()]))[0, 1] > 0.9


@pytest.mark.parametrize("path", sorted(ROOT.glob("experiments/*.toml")), ids=lambda p: p.stem)
def test_comparisons_can_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    comparison = read_comparison(path)
    rows = {"ours", "robust", "ours, paper gate", "paper", "rejection", "oracle"}
    assert rows <= set(comparison.methods)
    rival = "selective-amnesia" if "vae" in path.stem else "adapt-then-unlearn"
    assert rival in comparison.methods  # the baseline that needs no data
    paper, robust = comparison.resolved("paper"), comparison.resolved("robust")
    assert (paper.erase.gate, paper.unlearn.reuse, paper.unlearn.average) == ("paper", 1, 0)
    assert robust.unlearn.robust > 0


def test_a_third_partys_generator_end_to_end(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    short = ["unlearn.steps=150", "label.n=600", "evaluate.n=800", "unlearn.check_n=200"]
    short += ["unlearn.rounds=2", "unlearn.pool=8", "encoder.steps=60"]
    changes = [word for setting in short for word in ("--set", setting)]
    example = "examples/mnist_vae/experiment.toml"
    assert main(["run", example, "-o", str(tmp_path / "run"), "--quiet", *changes]) == 0
    settings = read_experiment(ROOT / example).generator
    before = load_source(settings)
    after = uf.Generator.load(tmp_path / "run" / "unlearned", factory=settings.factory)
    by = uf.labelers.FunctionLabeler(
        __import__("unfeature.features.digits", fromlist=["thickness"]).thickness, "t", 3.15
    )
    z = before.sample_latents(800, torch.Generator().manual_seed(0))
    ratios = [(judged(by, uf.draw(g, z)) > 0).float().mean().item() for g in (before, after)]
    assert ratios[1] < 0.4 * ratios[0]


@pytest.mark.parametrize("number", [0, 1])
def test_the_readmes_python_runs(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len(blocks) == 2
    code = blocks[number].replace("steps=600", "steps=12").replace("n=2000", "n=400")
    exec(compile(code, "README.md", "exec"), {})
    if number == 1:
        assert "[" in capsys.readouterr().out  # the verdict, with its interval


def test_the_designs_program() -> None:
    """The public names, as a reader of the README would use them."""
    from unfeature.features.digits import thickness

    original = uf.load("digits-vae")
    images = uf.draw(original, original.latents_from_seeds(list(range(400))))
    by = uf.labelers.FunctionLabeler.calibrated(thickness, "thickness", images, share=0.25)
    labels = uf.label(original, n=400, by=by)
    target = uf.TargetVector.fit(labels)
    eraser = uf.Eraser.fit(target, labels, gate="paper")
    losses = []
    for step in uf.unlearn(original, eraser, uf.UnlearnConfig(steps=12, batch_size=32)):
        losses.append(step.loss)
    assert losses[-1] < losses[0]
    verdict = uf.evaluate(original, step.generator, judge=by, eraser=eraser, n=300)
    assert verdict.unlearned.n == 300
    assert set(uf.__all__) <= set(dir(uf))
