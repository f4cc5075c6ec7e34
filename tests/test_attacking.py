"""`unfeature attack`, driven as a user would, mistakes included; inversion and relearning."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import unfeature
from unfeature.attack.base import Found
from unfeature.attack.budget import stronger
from unfeature.attack.ellipsoid import Ellipsoid
from unfeature.attack.inversion import inverted
from unfeature.attack.region import Shell
from unfeature.attack.relearning import half_back, looks, relearned
from unfeature.attack.siege import Siege
from unfeature.attacking import attack_run, attack_weights
from unfeature.cli import main
from unfeature.config import AttackTable
from unfeature.erase import threshold_for
from unfeature.errors import UserError
from unfeature.evaluate.verdict import judged
from unfeature.folder import RunFolder
from unfeature.generator import Generator, draw
from unfeature.labelers import FunctionLabeler
from unfeature.labels import LatentSet
from unfeature.progress import Progress
from unfeature.report.plots import relearning_curves
from unfeature.report.words import attack_table, attack_text
from unfeature.target import TargetVector

QUICK = [
    *("--set", "attack.n=60", "--set", "attack.steps=4", "--set", "attack.restarts=2"),
    *("--set", "attack.epsilons=[0, 1, inf]", "--quiet"),
]


@pytest.fixture
def finished(toml: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["run", str(toml), "-o", "out", "--quiet"]) == 0
    capsys.readouterr()
    return "out"


def test_attack_from_the_command_line(
    finished: str, capsys: pytest.CaptureFixture[str], toy: Generator
) -> None:
    toy.save_pretrained("oracle")
    more = ["--set", "attack.inversions=4", "--set", "attack.inversion_steps=5"]
    more += ["--set", "attack.relearn=[0, 5]", "--set", "attack.relearn_steps=2"]
    command = ["attack", finished, "--oracle", "oracle", *QUICK]
    assert main([*command, *more, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)  # strict: there is no Infinity in it
    assert "Infinity" not in Path("out/attack.json").read_text()
    assert set(found["generators"]) == {"original", "unlearned", "oracle"}
    assert found["attacker"].startswith("classifier distilled")
    assert not found["same"]
    assert found["labelled"] == {"judge": True, "attacker": False}
    for name, attacks in found["generators"].items():
        points = attacks["gradient"]
        assert [point["epsilon"] for point in points] == [0, 1, None]
        naive = [point["naive"]["value"] for point in points]
        assert naive == sorted(naive)  # a stronger budget never lowers success
        assert points[0]["queries"] >= 1
        assert points[0]["fid"] > 0
        for k, together in enumerate(attacks["any of these"]):
            each = [rows[k] for key, rows in attacks.items() if "epsilon" in rows[k]]
            for key in ("naive", "judged"):
                assert together[key]["value"] >= max(row[key]["value"] for row in each)
        last = attacks["gradient, queries"][-1]["success"]["value"]  # of the last radius alone
        assert 0 < last <= naive[-1]
        if name == "original":
            assert naive[0] > 0.1
            assert naive[-1] > 0.9
    # the "oracle" here is the original once more, so its figures are, too
    assert found["generators"]["oracle"] == found["generators"]["original"]
    assert set(found["inversion"]) == {"original", "unlearned", "oracle"}
    assert [row["pictures"] for row in found["relearning"]["unlearned"]] == [0, 5]
    alone = attack_weights(RunFolder.open(Path("out")), Progress(), oracle=Path("oracle"))
    assert {key: found[key] for key in alone} == json.loads(json.dumps(alone))
    assert main(["report", finished, "--quiet"]) == 0
    page = Path("out/report.html").read_text()
    assert "<h2>Attacked</h2>" in page
    assert "in a picture that passes" in page
    assert "relearning, unlearned" in page
    assert main(["attack", finished, *QUICK]) == 0
    assert "| unlearned | gradient | ∞ |" in capsys.readouterr().out
    known = {"original": found["generators"]["original"]}
    again = attack_run(RunFolder.open(Path("out")), Progress(), known=known)["generators"]
    assert again["original"] is known["original"]
    assert again["unlearned"]["gradient"] != known["original"]["gradient"]


def test_other_generators_are_attacked_beside(
    finished: str, capsys: pytest.CaptureFixture[str], toy: Generator
) -> None:
    toy.save_pretrained("a baseline")
    command = ["attack", finished, *QUICK, "--also", "baseline=a baseline", "--json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)["generators"]
    assert list(found) == ["original", "unlearned", "baseline"]
    assert found["baseline"] == found["original"]


def test_mistakes(finished: str, capsys: pytest.CaptureFixture[str]) -> None:
    def says(*arguments: str) -> str:
        capsys.readouterr()
        assert main(["attack", finished, *QUICK, *arguments]) == 1
        return capsys.readouterr().err

    judge = "attack.classifier={by='function', function='toymodel:corner', share=0.25}"
    assert "classifier is the judge" in says("--set", judge)
    elsewhere = judge.replace("0.25", "0.3")  # the judge all the same: it only draws another line
    assert "classifier is the judge" in says("--set", elsewhere)
    assert main(["attack", finished, *QUICK, "--set", judge, "--allow-same-judge"]) == 0
    assert "fooled counts as success" in capsys.readouterr().out
    assert main(["report", finished, "--quiet"]) == 0
    assert "fooled counts as success" in Path("out/report.html").read_text()
    assert "epsilons must be radii of 0" in says("--set", "attack.epsilons=[-1, 2]")
    assert "must rise" in says("--set", "attack.epsilons=[2, 1]")
    assert "changes only attack" in says("--set", "label.n=3")
    other = Path(unfeature.__file__).parent / "zoo" / "digits-gan"
    assert "draws [1, 28, 28] from latents of [64], the original" in says("--oracle", str(other))
    assert "the b in" in says("--also", f"b={other}")
    assert "give 'out/unlearned' another name" in says("--also", "original=out/unlearned")
    assert "write NAME=FOLDER" in says("--also", "out/unlearned")
    assert "'b' is 'x' already" in says("--also", "b=x", "--also", "b=y")
    lenet = "attack.classifier={by='classifier', classifier='avatars-judge', target='glasses'}"
    assert "not take images of [1, 16, 16]: it was trained on [3, 64, 64]" in says("--set", lenet)
    with pytest.raises(UserError, match=r"neither inversion nor relearning; set attack\.inver"):
        attack_weights(RunFolder.open(Path(finished)), Progress())
    many = ["--set", "attack.inversions=100000"]
    assert "100000 are asked for" in says(
        "--set", "attack.classifier={by='function', function='toymodel:lower', share=0.2}", *many
    )


def test_the_gate_that_is_attacked_is_the_run_s(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who knows t is given that of the paper's gate; where pictures decided there is none."""
    asked: list[float | None] = []
    of = Siege.of

    def watched(self: Siege, *arguments: Any, **more: Any) -> dict[str, Any]:
        asked.append(self.threshold)
        return of(self, *arguments, **more)

    monkeypatch.setattr(Siege, "of", watched)
    for gate in ("paper", "image"):
        short = ["--set", f"erase.gate={gate}", "--set", "unlearn.steps=2", "--quiet"]
        short += ["--set", "unlearn.rounds=1"]
        assert main(["run", str(toml), "-o", gate, *short]) == 0
        assert main(["attack", gate, *QUICK]) == 0
    linear, none = asked[0], asked[-1]
    run = RunFolder.open(Path("paper"))
    labels = LatentSet.load(run.labels)
    expected = threshold_for(labels, TargetVector.load(run.target), "paper")
    assert linear == pytest.approx(expected)
    assert none is None


def test_it_is_said_where_nonsense_counts() -> None:
    found = {"attacker": "a", "judge": "b", "same": False, "gated": True, "generators": {}}
    assert attack_text(found) == ["attacker: a; judge: b"]
    taught = {**found, "labelled": {"judge": True, "attacker": True}}
    assert "the judge is what labelled" in attack_text(taught)[1]
    assert "training asked, so another may find more" in attack_text(taught)[2]
    assert "no gate: every picture" in attack_text({**found, "gated": False})[1]


def test_queries_of_all_radii_are_counted() -> None:
    def found(scores: list[float], queries: list[int]) -> Found:
        score = torch.tensor(scores, dtype=torch.float32)
        return Found(torch.zeros(3, 2), score, score > 0, torch.tensor(queries), 1.0)

    both = stronger(found([1, -1, -2], [2, 9, 9]), found([3, 1, -1], [1, 4, 9]))
    assert both.success.tolist() == [True, True, False]
    assert both.queries.tolist() == [2, 9 + 4, 9 + 9]


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"give attack\.epsilons"):
        AttackTable(epsilon=5.0)
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        AttackTable(relearn=(-5,))


def test_a_direction_of_another_space_is_refused(toy: Generator, corner: FunctionLabeler) -> None:
    siege = Siege(corner, corner, None, torch.zeros(5))
    with pytest.raises(UserError, match=r"shape \[5\], the generator's latents \[8\]"):
        siege.of(toy, [1, 2], AttackTable())


def test_latents_need_not_be_vectors(toy: Generator, corner: FunctionLabeler) -> None:
    spec = replace(toy.spec, latent_shape=(8, 1, 1))
    maps = Generator(nn.Sequential(nn.Flatten(), toy.module, nn.Unflatten(1, (1, 16, 16))), spec)
    table = AttackTable(steps=3, restarts=1, epsilons=(1.0,))
    found = [
        Siege(corner, corner, None, torch.ones(8)).of(generator, [1, 2, 3], table)
        for generator in (toy, maps)
    ]
    assert found[0]["along z_e"] == found[1]["along z_e"]


def test_what_the_judge_saw_at_a_smaller_radius_counts(
    toy: Generator, corner: FunctionLabeler
) -> None:
    # the judge sees only faint pictures, which the attacker leaves behind on the way up
    faint = FunctionLabeler(lambda x: -(x[:, 0, :8, :8].mean((1, 2)) - 0.2).abs(), "faint", -0.1)
    table = AttackTable(steps=6, restarts=1, confidence=9.0, epsilons=(0.0, 0.3, 1.0, 3.0))
    rows = Siege(corner, faint, None, torch.ones(8)).of(toy, list(range(60)), table)["gradient"]
    shares = [row["judged"]["value"] for row in rows]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1]


def test_a_closer_look_at_attacked_pictures(toy: Generator, corner: FunctionLabeler) -> None:
    closer = replace(corner, threshold=corner.threshold - 0.2)
    table = AttackTable(steps=4, restarts=1, epsilons=(0.0, 0.5))
    siege = Siege(corner, corner, None, torch.ones(8), closer=closer)
    for rows in siege.of(toy, list(range(200)), table).values():
        for row in rows:
            if "epsilon" in row:
                assert row["rests"]["value"] >= row["judged"]["value"]
    rows = siege.of(toy, list(range(200)), table)["gradient"]
    assert rows[0]["rests"]["value"] > rows[0]["judged"]["value"] > 0
    found = {"attacker": "h", "judge": "j", "closer": "k", "same": False}
    page = attack_table({**found, "generators": {"g": {"gradient": rows}}})
    assert "| a rest |" in page
    assert "a rest: k looks closely" in page
    without = Siege(corner, corner, None, torch.ones(8)).of(toy, [1, 2, 3], table)
    assert "rests" not in without["gradient"][0]


def test_inversion_finds_what_a_generator_can_draw(toy: Generator, corner: FunctionLabeler) -> None:
    pictures = draw(toy, toy.latents_from_seeds(range(400)))
    having = pictures[judged(corner, pictures) > 0][:20]
    found = inverted(toy, having, corner, steps=200)
    assert found.back.value > 0.9
    assert -1.5 < found.likely.value < -0.2
    collapsed = toy.copy()
    collapsed.module[0].weight.data.zero_()  # type: ignore[index, union-attr]
    gone = inverted(collapsed, having, corner, steps=20)
    assert gone.l1.low > found.l1.high


def test_an_attack_that_is_weak_on_the_original_is_called_so() -> None:
    def found(value: float) -> dict[str, Any]:
        judged = {"value": value, "low": value - 0.02, "high": value + 0.02}
        points = [{"epsilon": 1.0, "judged": judged}, {"epsilon": None, "judged": judged}]
        row = {"gradient": points}
        return {"attacker": "h", "judge": "j", "same": False, "generators": {"original": row}}

    weak = "\n".join(attack_text(found(0.73)))
    assert "at ε = ∞ it brings the feature into 73.0% [71.0%, 75.0%] of the original's" in weak
    assert "WEAK" not in "\n".join(attack_text(found(0.96)))


def test_latents_in_w_have_a_density_too() -> None:
    w = torch.randn(4000, 6, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 7)
    ball = Ellipsoid.of_samples(w)
    assert ball.log_density(w).mean().item() == pytest.approx(-0.5, abs=0.01)
    assert ball.log_density(3 * w).mean().item() == pytest.approx(-4.5, abs=0.1)
    z = torch.tensor([[3.0, 1.0], [0.0, 0.0]])
    assert Shell.of_prior(2).log_density(z).tolist() == [-2.5, 0.0]


def test_relearning_needs_pictures_of_the_feature(toy: Generator, corner: FunctionLabeler) -> None:
    pictures = draw(toy, toy.latents_from_seeds(range(800)))
    shows = judged(corner, pictures) > 0
    having, lacking = pictures[shows], pictures[~shows]
    darker = toy.copy()
    darker.module[2].bias.data[:128] -= 1.0  # type: ignore[index, union-attr]
    course: dict[str, Any] = {"steps": 100, "share": 0.25, "n": 800}
    taught = relearned(darker, having[:50], lacking, corner, **course)
    retained = relearned(darker, having[:0], lacking, corner, **course)
    assert taught.steps == (0, 1, 2, 5, 10, 20, 50, 100)
    assert len(taught.ratios) == len(taught.steps)
    assert taught.ratios[0] == retained.ratios[0]
    assert taught.ratios[0].value < 0.05
    assert taught.ratios[-1].low > retained.ratios[-1].high
    assert (taught.pictures, retained.pictures) == (50, 0)


def test_every_relearning_has_its_line() -> None:
    ratios = [{"value": v, "low": v - 0.01, "high": v + 0.01} for v in (0.1, 0.2)]
    lessons = [{"pictures": k, "steps": [0, 20], "ratios": ratios} for k in (0, 5, 10, 50, 99)]
    lessons[0]["ratios"] = [0.1, 0.2]  # of an attack.json from before they had intervals
    page = relearning_curves({"oracle": lessons})
    assert all(f"oracle, {k} pictures" in page for k in (0, 5, 10, 50, 99))


def test_looks_are_early_and_at_the_end() -> None:
    assert looks(1) == (0, 1)
    assert looks(2) == (0, 1, 2)
    assert looks(200) == (0, 1, 2, 5, 10, 20, 50, 100, 200)


def test_half_is_back_at_the_first_look_that_sees_it() -> None:
    assert half_back([0, 10, 20], [0.0, 0.13, 0.2], 0.25) == 10
    assert half_back([0, 10, 20], [0.0, 0.1, 0.12], 0.25) is None
