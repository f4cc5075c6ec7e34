"""Avatars from the command line: train a StyleGAN2 and judges on them, unlearn in w, examine."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import unfeature as uf
from unfeature.cli import main

pytestmark = pytest.mark.usefixtures("two_threads")

GENERATOR = (
    *("--architecture", "stylegan2", "--n", "96", "--epochs", "1", "--batch-size", "16"),
    *("--latent-dim", "16", "--width", "4", "--average", "0.9"),
    *("--option", "w_dim=16", "--option", "max_width=8", "--option", "path_weight=0"),
)
JUDGE = ("--architecture", "resnet", "--width", "4", "--n", "800", "--epochs", "1")
TOML = """
feature = "glasses"
[generator]
source = "gan"
latent_space = "w"
[label]
by = "classifier"
classifier = "judge"
target = "glasses"
n = 200
[erase]
path = "descent"
[unlearn]
steps = 4
batch_size = 16
check_n = 20
[evaluate]
n = 40
grid = 4
features = "referee"
attributes = "referee"
leave_out = ["glasses", "sunglasses"]
counterfactual = "glasses"
[evaluate.judge]
by = "classifier"
classifier = "referee"
target = "glasses"
"""


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code = main([*arguments, "--quiet", "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out)


def test_from_avatars_to_an_examined_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = ("--data", "avatars", "--size", "16")
    made = call(capsys, "train", "original", *data, *GENERATOR, "-o", "gan")
    assert made["images"] == 96
    recipe = json.loads(Path("gan/config.json").read_text())["about"]["recipe"]
    assert recipe["options"] == {
        "latent_dim": 16,
        "width": 4,
        "w_dim": 16,
        "max_width": 8,
        "path_weight": 0,
    }
    assert recipe["training"]["average"] == 0.9
    for name, split in (("judge", "a"), ("referee", "b")):
        judged = call(capsys, "train", "judge", *data, *JUDGE, "--split", split, "-o", name)
        assert set(judged["attributes"]) == set(uf.avatars.NAMES)

    Path("e.toml").write_text(TOML)
    changes = []
    for name, setting in (("judge", "label"), ("referee", "evaluate.judge")):
        # a judge of one epoch sees the feature everywhere or nowhere, so draw the line in between
        generator, judge = uf.load("gan"), uf.load_judge(name, target="glasses")
        scores = judge.score(uf.draw(generator, generator.latents_from_seeds(range(200))))
        changes += ["--set", f"{setting}.threshold={float(scores.median())}"]
    found = call(capsys, "run", "e.toml", "-o", "run", *changes)
    assert set(found["collateral"]) == {"had it", "never had it"}
    row = found["collateral"]["had it"]
    assert row["attributes"] == len(uf.avatars.NAMES) - 2
    assert 0 <= row["changed"]["value"] <= row["attributes"]
    assert found["counterfactual"]["n"] > 0
    assert Path("run/strip.png").stat().st_size > 0
    for when in ("before", "after"):
        differing = found["counterfactual"]["differing"][when]["value"]
        assert 0 <= differing <= row["attributes"]
    page = Path("run/report.html").read_text()
    assert "counterfactual of" in page
    assert "other attributes that differ from the counterfactual" in page
    assert "Beside the perfect pictures" in page
    before, after = uf.load("gan"), uf.load("run/unlearned")
    assert after.latent_space == "w"
    untouched = [key for key in before.module.state_dict() if key.startswith("mapping.")]
    assert untouched
    for key in untouched:
        assert torch.equal(before.module.state_dict()[key], after.module.state_dict()[key])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("evaluate.counterfactual='glases'", "no attribute 'glases'"),
        ("evaluate.leave_out=['beared']", "did you mean"),
        ("evaluate.attributes='avatars-juge'", "evaluate.attributes is 'avatars-juge'"),
    ],
)
def test_wrong_names_in_the_evaluation_are_found_before_any_training(
    change: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "faces", "-o", "run", "--quiet", "--set", change]) == 1
    assert said in capsys.readouterr().err
    assert not Path("run/unlearned").exists()
