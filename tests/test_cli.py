"""The command line, driven as a user would, mistakes included."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from unfeature.cli import main
from unfeature.config import Experiment
from unfeature.folder import READ_IN


def ok(*arguments: Any) -> None:
    assert main([str(a) for a in arguments]) == 0


def fails(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    """Run, expect failure, and return the one or two lines it says."""
    capsys.readouterr()
    assert main([*[str(a) for a in arguments], "--quiet"]) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert len(said.splitlines()) <= 2
    assert "Traceback" not in said
    return said


def test_run_json_is_one_object_with_the_promised_keys(
    toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ok("run", toml, "-o", "out", "--json")
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["run"] == "out"
    assert found["feature"] == "bright corner"
    for name in ("original", "erased", "unlearned"):
        ratio = found["target_ratio"][name]
        assert 0 <= ratio["low"] <= ratio["value"] <= ratio["high"] <= 1
        assert ratio["n"] == 400
    ratios = {name: ratio["value"] for name, ratio in found["target_ratio"].items()}
    assert ratios["original"] > 0.15
    assert ratios["unlearned"] < ratios["original"] / 3
    assert ratios["erased"] < ratios["original"] / 10
    assert 0 < found["negatives_l1"] < 0.2
    assert found["fid"] > 0
    assert found["seconds"] > 0
    assert "it/s" in captured.err or "s/it" in captured.err
    page = Path("out/report.html").read_text()
    assert page.count("data:image/png;base64,") >= 4
    assert "http" not in page.replace("http://www.w3.org", "").replace(
        "https://matplotlib", ""
    ).replace("http://purl.org", "").replace("http://creativecommons", "")
    assert "unfeature run" in page


def test_a_closer_look_stands_beside_the_verdict_and_can_have_a_limit(
    toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    closely = "evaluate.closely={by='function', function='toymodel:corner', share=0.4}"
    run = ["run", toml, "-o", "out", "--quiet", "--set", closely, "--set"]
    assert main([*map(str, run), "verdict.rests=0"]) == 3
    said = capsys.readouterr().out
    assert "a closer look, pictures that had it" in said
    found = json.loads(Path("out/examination.json").read_text())["rests"]
    assert found["had it"]["before"]["value"] == 1  # what the judge sees, it sees
    assert 0.05 < found["never had it"]["before"]["value"] < 0.4  # and more
    assert 0 < found["had it"]["after"]["value"] < 0.9
    assert "a closer look" in Path("out/report.html").read_text()
    ok("evaluate", "out", "--quiet", "--set", "verdict.rests=0.95")
    sheet = "evaluate.closely={by='sheet'}"
    assert "a person cannot be called" in fails(capsys, "run", toml, "-o", "x", "--set", sheet)


def test_stages_one_by_one_equal_the_whole_path(
    toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ok("run", toml, "-o", "whole", "--quiet")
    ok("sample", toml, "-o", "parts", "--quiet")
    for stage in ("label", "target", "unlearn", "evaluate", "report"):
        ok(stage, "parts", "--quiet")
    whole = load_file("whole/unlearned/model.safetensors")
    parts = load_file("parts/unlearned/model.safetensors")
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    assert json.loads(Path("whole/verdict.json").read_text()) == json.loads(
        Path("parts/verdict.json").read_text()
    )
    capsys.readouterr()
    ok("target", "parts", "--quiet")
    said = capsys.readouterr().out
    for word in ("held-out AUC", "bootstrap cosine", "more labels", "calibrated", "lower"):
        assert word in said


def test_resume_of_a_stopped_run_equals_the_whole_one(
    toml: Path,
    capsys: pytest.CaptureFixture[str],
    stop_at_save: Callable[[ModuleType, int], None],
) -> None:
    from unfeature import learning

    settings = ["--set", "unlearn.rounds=2", "--set", "unlearn.goal=0", "--quiet"]
    ok("run", toml, "-o", "whole", *settings)
    stop_at_save(learning, 4)
    assert main(["run", str(toml), "-o", "stopped", *settings]) == 130
    assert "can go on" in fails(capsys, "unlearn", "stopped")
    ok("run", toml, "-o", "stopped", "--resume", *settings)
    whole = load_file("whole/unlearned/model.safetensors")
    stopped = load_file("stopped/unlearned/model.safetensors")
    assert all(torch.equal(whole[key], stopped[key]) for key in whole)
    lines = [Path(run, "history.jsonl").read_text() for run in ("whole", "stopped")]
    assert lines[0] == lines[1]
    # a training begun anew over a finished one is kept, too, when it is stopped
    stop_at_save(learning, 2)
    assert main(["unlearn", "stopped", "--quiet"]) == 130
    assert "can go on" in fails(capsys, "unlearn", "stopped")
    ok("unlearn", "stopped", "--resume", "--quiet")
    saved = torch.load("stopped/checkpoint.pt", weights_only=True)
    assert saved["finished"]
    torch.save({**saved, "finished": False}, "stopped/checkpoint.pt")  # stopped after its last step
    ok("unlearn", "stopped", "--resume", "--quiet")
    ok("unlearn", "stopped", "--quiet")  # it was finished, so this is a training anew
    ok("unlearn", "stopped", "--quiet")  # finished: nothing is lost


def test_a_resume_with_other_settings_names_them(
    toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = """
[attributes.upper]
by = "function"
function = "toymodel:corner"
share = 0.5
"""
    toml.write_text(toml.read_text() + again)
    ok("run", toml, "-o", "out", "--quiet", "--set", "unlearn.steps=4")
    text = toml.read_text()
    lower = text[text.index("[attributes.lower]") : text.index("[erase]")]
    toml.write_text(text.replace(lower, "") + lower)  # the tables in another order
    ok("run", toml, "-o", "out", "--quiet", "--set", "unlearn.steps=4", "--resume")
    said = fails(capsys, "run", toml, "-o", "out", "--set", "unlearn.steps=5", "--resume")
    assert "unlearn.steps is 4 there, 5 here" in said


def test_a_checkpoint_of_something_else_is_not_gone_on_with(
    toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ok("run", toml, "-o", "out", "--quiet")
    before = load_file("out/unlearned/model.safetensors")
    kept = {name: Path("out", name).read_bytes() for name in ("history.jsonl", "checkpoint.pt")}
    said = fails(capsys, "unlearn", "out", "--set", "unlearn.robust=0.001")  # found out in the loop
    assert "less than one of a batch" in said
    assert {name: Path("out", name).read_bytes() for name in kept} == kept
    ok("target", "out", "--set", "target.method=lda", "--quiet")
    assert "made with other labels" in fails(capsys, "unlearn", "out", "--resume")
    more = ["--set", "unlearn.robust=0.5", "--set", "unlearn.steps=2"]
    settings = Path("out/settings.toml").read_text()
    assert "give --set without --resume" in fails(capsys, "unlearn", "out", "--resume", *more)
    assert Path("out/settings.toml").read_text() == settings
    assert "has no unlearn yet" in fails(capsys, "evaluate", "out")
    ok("unlearn", "out", *more, "--quiet")
    after = load_file("out/unlearned/model.safetensors")
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_settings_that_come_too_late_are_refused(
    toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ok("run", toml, "-o", "out", "--quiet")
    settings = Path("out/settings.toml").read_text()
    for stage, setting, said in (
        ("label", "label.n=900", "takes effect when pictures are sampled; start another run"),
        ("target", "label.share=0.1", "takes effect in 'label', which is done"),
        ("evaluate", "unlearn.alpha=3", "takes effect in 'unlearn', which is done"),
        ("evaluate", "evaluate.judge.by=sheet", "takes effect in 'label', which is done"),
        ("report", "evaluate.grid=2", "takes effect in 'evaluate', which is done"),
    ):
        assert said in fails(capsys, stage, "out", "--set", setting)
    assert Path("out/settings.toml").read_text() == settings


@pytest.mark.parametrize(
    "setting", ["erase.path=descent", "erase.confine=0.5", "unlearn.robust=0.5"]
)
def test_a_labeller_without_a_slope_is_told_before_training(
    setting: str, toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("flat.py").write_text(
        "def edges(images):\n    return (images > 0).float().mean((1, 2, 3))\n"
    )
    flat = ["--set", "label.function=flat:edges", "--set", "erase.path=line", "--set", setting]
    said = fails(capsys, "run", toml, "-o", "flat", *flat)
    assert "flat:edges" in said
    assert "cannot be differentiated" in said
    assert not Path("flat/target.json").exists()


def test_what_is_refused_leaves_a_run_as_it_was(
    toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("counted.py").write_text(
        "def edges(images):\n    return (images > 0).float().mean((1, 2, 3))\n"
    )
    flat = ["--set", "label.function=counted:edges", "--set", "erase.path=line"]
    ok("run", toml, "-o", "out", *flat, "--quiet")
    kept = ("settings.toml", "verdict.json", "labels.json", "history.jsonl")
    before = {name: Path("out", name).read_text() for name in kept}
    said = fails(capsys, "unlearn", "out", "--set", "erase.path=descent")
    assert "'function counted:edges" in said
    assert "cannot be differentiated" in said
    classifier = '{by="function", function="counted:edges", share=0.3}'
    said = fails(capsys, "attack", "out", "--set", f"attack.classifier={classifier}")
    assert "has none; name another under [attack.classifier]" in said
    assert "cannot import 'nope'" in fails(capsys, "label", "out", "--set", "label.function=nope:x")
    Path("small.py").write_text(
        "import torch\n\ndef build():\n    torch.manual_seed(2)\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 2))\n"
    )
    table = '{by="classifier", classifier="small:build", target="1", threshold=0.0}'
    words = ["--set", f"label={table}", "--set", f"evaluate.judge={table}"]
    assert "is the classifier that labelled" in fails(capsys, "label", "out", *words)
    kept_training = Path("out/checkpoint.pt").read_bytes()
    steep = ["--set", "unlearn.learning_rate=1", "--set", "unlearn.alpha=1e38"]
    assert "the loss is" in fails(capsys, "unlearn", "out", *steep)
    assert Path("out/checkpoint.pt").read_bytes() == kept_training
    assert {name: Path("out", name).read_text() for name in before} == before
    assert not list(Path("out").glob(".*"))
    ok("evaluate", "out", "--quiet")
    Path("marked.toml").write_text("\ufeff" + toml.read_text())  # as Notepad saves
    ok("run", "marked.toml", "--dry-run", "--quiet")


def test_json_is_strict(toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def strange(name: str) -> None:
        raise AssertionError(name)

    capsys.readouterr()
    ok("run", toml, "--dry-run", "--json")
    found = json.loads(capsys.readouterr().out, parse_constant=strange)
    assert found["attack"]["epsilons"][-1] is None


def test_paper_gate_by_a_switch(toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ok("run", toml, "-o", "paper", "--set", "erase.gate=paper", "--json", "--quiet")
    found = json.loads(capsys.readouterr().out)
    assert found["target_ratio"]["unlearned"]["value"] < found["target_ratio"]["original"]["value"]
    assert "paper gate" in Path("paper/report.html").read_text()


def test_zero_steps_leave_everything_as_it_was(
    toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ok("run", toml, "-o", "none", "--set", "unlearn.steps=0", "--json", "--quiet")
    found = json.loads(capsys.readouterr().out)
    assert found["target_ratio"]["unlearned"] == found["target_ratio"]["original"]
    assert found["negatives_l1"] == 0
    ok("run", toml, "-o", "some", "--set", "unlearn.steps=4", "--quiet")
    ok("unlearn", "some", "--set", "unlearn.steps=0", "--quiet")
    assert Path("some/history.jsonl").read_text() == ""
    assert not Path("some/checkpoint.pt").exists()


def test_a_person_labels_on_sheets(toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ok("sample", toml, "-o", "out", "--quiet")
    assert "answers.txt" in fails(capsys, "label", "out", "--by", "sheet")
    assert len(list(Path("out/sheets").glob("page-*.png"))) == 4
    Path("out/sheets/answers.txt").unlink()  # as if the writing had been interrupted
    assert "contact sheets are in" in fails(capsys, "label", "out")
    settings = Path("out/settings.toml").read_text()
    Path("latin.txt").write_bytes("by: Zoë\nyes: 1\n".encode("latin-1"))
    said = fails(capsys, "label", "out", "--by", "sheet", "--answers", "latin.txt")
    assert "'latin.txt' is not UTF-8" in said
    assert Path("out/settings.toml").read_text() == settings
    few = " ".join(map(str, range(19)))
    Path("few.txt").write_text(f"by: Ada\npages: 1\nyes: {few}\n")
    said = fails(capsys, "label", "out", "--by", "sheet", "--answers", "few.txt")
    assert "only 19 of 100 labelled pictures show" in said
    assert "at least 20 are needed" in said
    ok("sample", toml, "-o", "ref", "--quiet")
    ok("label", "ref", "--quiet")
    truth = load_file("ref/labels.safetensors")["labels"]
    yes = " ".join(str(i) for i in (truth[:300] == 1).nonzero().squeeze(1).tolist())
    Path("mine.txt").write_text(f"\ufeffby: Ada\npages: 1-3\nyes: {yes}\n")  # as Notepad saves
    ok("label", "out", "--by", "sheet", "--answers", "mine.txt", "--quiet")
    found = load_file("out/labels.safetensors")
    assert torch.equal(found["labels"], truth[:300])
    notes = json.loads(Path("out/panel/panel.json").read_text())
    assert notes["gate"]["kind"] == notes["judge"]["kind"] == "distilled"
    assert len(notes["notes"]) == 2  # the held-out accuracy of each
    assert "Ada" in json.loads(Path("out/labels.json").read_text())["labeled_by"]
    assert "takes effect in 'label'" in fails(capsys, "target", "out", "--set", "erase.recall=0.5")
    ok("target", "out", "--quiet")
    ok("unlearn", "out", "--set", "unlearn.steps=20", "--set", "erase.path=line", "--quiet")
    ok("evaluate", "out", "--quiet")
    ok("report", "out", "--quiet")


def test_dry_run_prints_the_resolved_settings(
    toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ok("run", toml, "--dry-run", "--set", "unlearn.steps=7")
    said = capsys.readouterr().out
    assert "steps = 7" in said
    assert "alpha = 1.0" in said
    assert not Path("runs").exists()
    Path("again.toml").write_text(said)
    ok("run", "again.toml", "--dry-run")
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    "command",
    [
        "",
        "demo",
        "run",
        "sample",
        "label",
        "target",
        "unlearn",
        "evaluate",
        "report",
        "train",
        "train judge",
    ],
)
def test_help_leads_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*command.split(), "--help"])
    assert capsys.readouterr().out.startswith("example: unfeature ")


def test_every_setting_takes_effect_somewhere() -> None:
    tables = {key.split(".")[0] for key in READ_IN}
    assert tables == set(Experiment.model_fields)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("unlearn.stepz=5", "unknown key 'unlearn.stepz' (did you mean 'steps'?)"),
        ("lable.n=5", "unknown key 'lable' (did you mean 'label'?)"),
        ("unlearn.steps=-1", "'unlearn.steps' is -1: input should be greater than or equal to 0"),
        ("unlearn.learning_rate=0", "'unlearn.learning_rate' is 0"),
        ("unlearn.steps=many", "'unlearn.steps' is 'many'"),
        ("label.n=0", "'label.n' is 0: input should be greater than or equal to 1"),
        ("label.share=1.5", "'label.share' is 1.5"),
        ("label.threshold=0.2", "exactly one of 'threshold' and 'share'"),
        ("erase.gate=papre", "'erase.gate' is 'papre'"),
        ("target.protect=['lowr']", "did you mean 'lower'?"),
        ("target.protect=['lower']", "erase.path = 'descent' does not follow"),
        ("generator.source=digits-gan", "either 'source' or 'factory'"),
        ("generator.factory=toymodel:built", "did you mean 'build'?"),
        ("label={by='classifier',classifier='digits-judge',side='below'}", "name another 'target'"),
        ("generator={source='digits-gan',strip='x.'}", "'strip' goes with 'factory'"),
        ("generator.options={depth=3}", "unexpected keyword argument 'depth'"),
        ("unlearn.betas=[1, 2]", "less than 1"),
        ("unlearn.robust_epsilon=inf", "'unlearn.robust_epsilon' is inf"),
        ("erase.margin=inf", "'erase.margin' is inf"),
        ("unlearn.alpha=nan", "'unlearn.alpha' is nan"),
        ("attack.epsilons=[nan]", "epsilons must be radii of 0 or more"),
        ("label.function=math:sqrt", "'math:sqrt' cannot be called on images"),
        ("evaluate.features=digits-juge", "did you mean 'digits-judge'?"),
        ("evaluate.judge={by='classifier',classifier='digits-juge',target='3'}",
         "evaluate.judge.classifier is 'digits-juge'"),
        ("unlearn.gone=0.1", "unlearn.gone puts the labelling function into the loss"),
        ("attributes.wide={by='classifier',classifier='digits-judge',target='wide'}",
         "attributes.wide.target: classifier 'digits-judge'"),
        ("evaluate.features=avatars-judge", "does not take images of [1, 16, 16]"),
        ("generator.factory=nomodel:build", "cannot import 'nomodel'"),
        ("attributes={'../labels'={by='function',function='toymodel:lower',share=0.5}}",
         "use letters, digits, spaces, hyphens and underscores"),
        ("evaluate.features=toymodel:corner", "'toymodel:corner': corner() missing"),
        ("evaluate.judge={by='classifier',classifier='toymodel:pair'}",
         "gives a tuple, not a tensor of logits"),
        ("generator.device=cupu", "generator.device cupu: "),
        ("generator.factory=toymodel", "write it as 'package.module:name'"),
        ("generator.weights=gone.pth", "no weights file 'gone.pth'"),
        ("generator.output_range=[1,0]", "generator.output_range is [1.0, 0.0]"),
        ("generator.latent_shape=[9]", "generator.latent_shape"),
        ("generator.image_shape=[1,16,15]", "not generator.image_shape [1, 16, 15]"),
        ("label.function=toymodel:build", "'toymodel:build' cannot be called on images"),
        ("label.share=0.001", "of 400 labelled pictures show 'bright corner'"),
        ("generator.take=['9.']", "no key in"),
        ("generator.strip=0.", "does not fit the model: missing: 0.weight"),
        ("nonsense", "write it as section.key=value"),
    ],
)  # fmt: skip
def test_bad_settings(
    setting: str, said: str, toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in fails(capsys, "run", toml, "-o", "out", "--set", setting)


def test_bad_files(toml: Path, toy_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no settings file 'gone.toml'" in fails(capsys, "run", "gone.toml")
    Path("broken.toml").write_text("feature = ")
    assert "not readable TOML" in fails(capsys, "run", "broken.toml")
    assert "holds no run" in fails(capsys, "label", "nowhere")
    Path("hurtmodel.py").write_text("def build(:\n")
    said = fails(capsys, "run", toml, "--set", "generator.factory=hurtmodel:build")
    assert "'hurtmodel' cannot be imported: SyntaxError" in said
    state = torch.load(toy_folder / "toy.pth", weights_only=True)

    def with_weights(name: str) -> str:
        return fails(capsys, "run", toml, "-o", f"run-{name}", "--set", f"generator.weights={name}")

    torch.save({k: v for k, v in state.items() if k != "2.bias"}, "missing.pth")
    assert "missing: 2.bias" in with_weights("missing.pth")
    torch.save({**state, "extra": torch.zeros(1)}, "extra.pth")
    assert "unexpected: extra" in with_weights("extra.pth")
    torch.save({**state, "2.bias": torch.zeros(7)}, "shape.pth")
    assert "2.bias is [7], not [256]" in with_weights("shape.pth")
    torch.save({**state, "2.bias": torch.full((256,), torch.nan)}, "nan.pth")
    assert "'2.bias'" in with_weights("nan.pth")
    torch.save({"model": torch.nn.Linear(2, 2)}, "code.pth")
    assert "do not run code" in with_weights("code.pth")
    torch.save({"state": state}, "nested.pth")
    assert "generator.entry" in with_weights("nested.pth")
    save_file(state, "whole.safetensors")
    Path("cut.safetensors").write_bytes(Path("whole.safetensors").read_bytes()[:900])
    assert "not a whole safetensors file" in with_weights("cut.safetensors")
    Path("cut.pth").write_bytes((toy_folder / "toy.pth").read_bytes()[:900])
    assert "cannot be read as a PyTorch file" in with_weights("cut.pth")
    Path("lfs.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\n")
    assert "fetched with 'git lfs pull'" in with_weights("lfs.pth")


def test_labels_of_another_generator_are_refused(
    toml: Path, toy_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ok("sample", toml, "-o", "out", "--quiet")
    ok("label", "out", "--quiet")
    other = torch.load(toy_folder / "toy.pth", weights_only=True)
    other["2.bias"] = other["2.bias"] + 0.01
    torch.save(other, "other.pth")
    settings = Path("out/settings.toml")
    settings.write_text(settings.read_text().replace(str(toy_folder / "toy.pth"), "other.pth"))
    said = fails(capsys, "target", "out")
    assert "belong to another generator" in said


def test_folders(toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ok("sample", toml, "-o", "out", "--quiet")
    assert "no label yet" in fails(capsys, "target", "out")
    said = fails(capsys, "run", toml, "-o", "out", "--resume", "--set", "unlearn.steps=9")
    assert "other settings" in said
    ok("sample", toml, "-o", "out", "--quiet")  # only samples are lost, and they are made again
    ok("label", "out", "--quiet")
    assert "already holds a run" in fails(capsys, "run", toml, "-o", "out")
    Path("file").write_text("")
    assert "cannot write in 'file/run'" in fails(capsys, "run", toml, "-o", "file/run")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("locked").mkdir(mode=0o500)
    assert "cannot write in 'locked/run'" in fails(capsys, "run", toml, "-o", "locked/run")


def test_unknown_names_are_met_with_a_suggestion(
    toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "did you mean 'digits'" in fails(capsys, "demo", "digit")
    Path("zoo.toml").write_text(
        'feature = "x"\n[generator]\nsource = "digit-gan"\n'
        '[label]\nfunction = "toymodel:corner"\nshare = 0.5\n'
    )
    assert "did you mean 'digits-gan'" in fails(capsys, "run", "zoo.toml")
    said = fails(capsys, "run", "zoo.toml", "-o", "z", "--set", "generator.source=digits-gan",
                 "--set", "label.by=classifier", "--set", "label.classifier=digits-judge",
                 "--set", "label.target=eleven")  # fmt: skip
    assert "has no class 'eleven'" in said
    said = fails(capsys, "run", "zoo.toml", "-o", "z", "--set", "generator.source=digits-gan",
                 "--set", "label.function=toymodel:corne")  # fmt: skip
    assert "did you mean 'corner'" in said  # and not that the folder, with samples alone, is taken


def test_debug_shows_the_traceback(toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "gone.toml", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


FACES = ["unlearn.steps=40", "unlearn.batch_size=32", "unlearn.pool=2", "unlearn.reuse=20"]
FACES += ["erase.refine=2", "erase.donors=400", "evaluate.n=200", "label.n=400"]
FACES += ["evaluate.counterfactual="]  # tests/test_faces.py has it


@pytest.mark.parametrize(
    ("demo", "share", "short"),
    [
        ("digits", 0.25, ["unlearn.steps=40", "evaluate.n=400", "label.n=600"]),
        ("faces", 0.34, FACES),
    ],
)
def test_demo_as_a_process(demo: str, share: float, short: list[str], tmp_path: Path) -> None:
    """The installed command, shortened; from the shell, in an empty folder."""
    command = [sys.executable, "-m", "unfeature.cli", "demo", demo, "--json", "--quiet"]
    short = [*short, "unlearn.check_n=200"]
    changes = [word for setting in short for word in ("--set", setting)]
    done = subprocess.run(
        command + changes, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    ratios = found["target_ratio"]
    assert ratios["original"]["value"] == pytest.approx(share, abs=0.08)
    assert ratios["unlearned"]["value"] < 0.6 * ratios["original"]["value"]
    assert (tmp_path / found["report"]).is_file()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["evaluate.counterfactual=glasses"], "RGB and square"),
        (["erase.layers=true", "erase.path=descent"], "leave out erase.layers"),
        (["encoder.factory=toymodel:build", "encoder.weights={folder}/toy.pth"], "does not take"),
    ],
)
def test_what_only_the_end_needs_is_tried_at_the_start(
    more: list[str], said: str, toml: Path, toy_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for one in more for word in ("--set", one.format(folder=toy_folder))]
    assert said in fails(capsys, "run", toml, "-o", "out", *words)
    assert not Path("out/labels.safetensors").exists()


def test_damaged_files_of_a_run_are_named(toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ok("run", toml, "-o", "out", "--quiet")
    for name in ("verdict.json", "diagnosis.json", "criteria.json"):
        whole = Path("out", name).read_text()
        Path("out", name).write_text('{"counts": 3}')
        assert f"{name}' is not what this version writes" in fails(capsys, "report", "out")
        Path("out", name).write_text(whole)
    Path("out/run.json").write_text("[]")
    assert "run.json' is not what this version writes" in fails(capsys, "report", "out")
