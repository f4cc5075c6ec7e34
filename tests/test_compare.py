"""`unfeature compare`, driven as a user would, mistakes included."""

import json
import select
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import paper as tables
from PIL import Image
from safetensors.torch import save_file

import unfeature
from unfeature.apart import run_apart
from unfeature.cli import main
from unfeature.comparison import read_comparison
from unfeature.errors import UserError
from unfeature.generator import Generator

COMPARISON = """
experiment = "experiment.toml"
set = ["evaluate.attributes=toymodel:Halves"]
seeds = [0]
n = 200
data = "data.npz"
data_n = 300
[methods.ours]
kind = "unlearn"
[methods.paper]
kind = "paper"
[methods.redaction]
kind = "redaction"
steps = 2
head_start = 1
[methods.rejection]
kind = "rejection"
[methods.oracle]
kind = "folder"
path = "oracle"
"""


def test_the_papers_method_is_the_papers(comparison: Path) -> None:
    read = read_comparison(comparison, ["methods.paper.set=['unlearn.steps=7']"])
    ours, paper = read.resolved("ours"), read.resolved("paper", 3)
    assert (paper.erase.gate, paper.erase.path, paper.erase.keep) == ("paper", "line", ())
    kept = read_comparison(comparison, ["set=['erase.keeper=digits-keeper']"])
    keepers = [kept.resolved(name).erase.keeper for name in ("ours", "paper")]
    assert keepers == ["digits-keeper", ""]
    loop = paper.unlearn
    assert (loop.alpha, loop.gone, loop.keep, loop.robust) == (1, 0, 0, 0)
    assert loop.betas == (0.9, 0.999)
    more = "'unlearn.tether=0.1', 'unlearn.robust=0.2', 'unlearn.edges=0.5', 'target.method=lda'"
    held = read_comparison(comparison, [f"set=[{more}]"])
    ours_held, paper_held = held.resolved("ours"), held.resolved("paper")
    assert (ours_held.unlearn.tether, paper_held.unlearn.tether) == (0.1, 0)
    assert (ours_held.unlearn.robust, paper_held.unlearn.robust) == (0.2, 0)
    assert (ours_held.unlearn.edges, paper_held.unlearn.edges) == (0.5, 0)
    assert (ours_held.target.method, paper_held.target.method) == ("lda", "mean")
    assert (loop.pool, loop.reuse) == (1, 1)  # fresh latents each step
    assert (loop.average, loop.warmup, loop.final_rate) == (0, 0, 1)  # plain Adam
    assert loop.check_every * loop.patience > 10**6  # no round ends early
    assert (loop.steps, paper.seed) == (7, 3)
    assert (ours.erase.gate, ours.unlearn.steps) == ("image", 60)


@pytest.fixture
def comparison(toml: Path, toy: object) -> Path:
    from unfeature.generator import draw

    images = draw(toy, toy.latents_from_seeds(range(400)))  # type: ignore
    pixels = ((images[:, 0] + 1) * 127.5).round().to(torch.uint8).numpy()
    np.savez("data.npz", x_train=pixels, y_train=np.zeros(400, np.uint8))
    toy.save_pretrained("oracle")  # type: ignore[attr-defined]
    path = toml.parent / "comparison.toml"
    path.write_text(COMPARISON)
    return path


def says(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main(["compare", *map(str, arguments), "--quiet"]) == 1
    text = capsys.readouterr().err.strip()
    assert text.startswith("error: ")
    assert len(text.splitlines()) == 1
    return text


def test_a_comparison_and_its_resumption(
    comparison: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(comparison), "-o", "out", "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in found["rows"]}
    assert list(rows) == ["original", "ours", "paper", "redaction", "rejection", "oracle"]
    target = {name: row["measured"][0]["target"]["value"] for name, row in rows.items()}
    assert target["original"] > 0.15
    assert target["ours"] < target["paper"]
    assert target["oracle"] == target["original"]  # here the original stands in for one
    assert rows["oracle"]["measured"][0]["l1"] is None
    assert rows["redaction"]["needs_data"]
    assert not rows["ours"]["needs_data"]
    assert not rows["rejection"]["weights"]
    assert rows["ours"]["costs"][0]["megabytes"] > 50
    assert rows["paper"]["duels"][0]["target"]["value"] == pytest.approx(
        target["ours"] - target["paper"]
    )
    page = Path("out/comparison.html").read_text()
    assert "needs data" in page
    assert "filter, can be left out" in page
    fronts, bars = page.split("What else changed, pictures that", 1)
    assert fronts.count("<svg") == 2  # what is left against L1, and against changed attributes
    shown = [name for name in rows if name not in ("original", "oracle")]
    assert bars.count("<svg") == 2 * len(shown)  # pictures that had it, and that never had it
    viewer = np.asarray(Image.open("out/comparison.png"))
    parts = np.split(viewer[: len(viewer) // len(rows) * len(rows)], len(rows))
    assert (parts[0] != parts[1]).mean() > 0.01  # a row of pictures by each of them
    assert "in toymodel:classifier, against" in page
    assert "pictures of &#39;data.npz&#39; that lack the feature" in page
    text = Path("out/comparison.md").read_text()
    assert "| ours |" in text
    assert "- measured: judge of the feature: " in text
    assert "quality: in toymodel:classifier, against" in text.splitlines()[-1]
    more = Path("experiment.toml").read_text() + "[verdict]\ntarget_ratio = 0.01\n"
    Path("experiment.toml").write_text(more)  # which a comparison does not ask for
    made = Path("out/redaction/seed-0/generator/model.safetensors")
    about = json.loads(made.with_name("config.json").read_text())["about"]["unlearned"]
    assert about["source"] == "Kong and Chaudhuri, arXiv 2206.14389"
    before = made.stat().st_mtime
    again = ["compare", str(comparison), "-o", "out", "--quiet", "--resume"]
    assert main([*again, "--set", "seeds=[0, 1]", "--only", "ours", "paper"]) == 0
    table = capsys.readouterr().out
    assert "±" in table
    assert "over 2 seeds" in table
    panels = [f"labels/seed-{k}/panel" for k in (0, 1)] + ["ours/seed-1/run/panel"]
    gates = [json.loads(Path("out", name, "panel.json").read_text())["gate"] for name in panels]
    assert gates[0] == gates[1] == gates[2]  # all unlearn what the first seed's judge judges
    own = read_comparison(comparison, ["set=['calibration=7']", "seeds=[0, 1]"])
    assert [own.resolved(seed=seed).calibration for seed in (0, 1)] == [7, 7]
    settings = Path("out/labels/seed-1/settings.toml")
    now = settings.read_text()
    settings.write_text("".join(x for x in now.splitlines(True) if "calibration" not in x))
    early = says(capsys, comparison, "-o", "out", "--resume", "--set", "seeds=[0, 1]")
    assert "each seed drew its own line" in early
    settings.write_text(now)
    assert "redaction" not in table
    assert made.stat().st_mtime == before
    assert "already holds a comparison" in says(capsys, comparison, "-o", "out")
    changed = says(capsys, comparison, "-o", "out", "--resume", "--set", "n=300")
    assert "other settings (n)" in changed
    other = says(capsys, comparison, "-o", "out", "--resume", "--set", "seeds=[1, 0]")
    assert "other settings (the first of seeds)" in other
    left_out = says(capsys, *again[1:-2], "--resume", "--set", "methods.redaction.steps=3")
    assert "other settings (methods.redaction)" in left_out  # it was left out of the last one
    assert "delete 'out/redaction' to run it anew" in left_out
    shutil.rmtree("out/redaction")
    more = ["--set", "methods.redaction.steps=3", "--only", "ours", "redaction"]
    assert main([*again, *more]) == 0
    assert made.exists()


def test_the_paper_s_experiments_fill_their_tables(
    comparison: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Path("results.md")
    results.write_text("# x\n<!-- toys -->\nold\n<!-- end -->\nkept\n")
    Path("experiments").mkdir()
    comparison.rename("experiments/toys.toml")
    monkeypatch.setattr(tables, "EXPERIMENTS", Path("experiments"))
    monkeypatch.setattr(tables, "RESULTS", results)
    with pytest.raises(SystemExit):
        tables.main(["toy"])
    assert "no experiment toy; known: toys" in capsys.readouterr().err
    tables.main(["--tables"])
    assert "old" in results.read_text()  # nothing has run
    few = ["-o", "runs", "--set", "n=100"]
    tables.main(["toys", *few])
    text = results.read_text()
    assert "old" not in text
    assert "| ours |" in text
    assert "| rejection |" in text
    assert text.endswith("<!-- end -->\nkept\n")
    trained = Path("runs/toys/ours/seed-0/cost.json")
    before = trained.stat().st_mtime
    results.write_text(text.replace("| ours |", "| theirs |"))
    tables.main(few)
    assert results.read_text() == text
    assert trained.stat().st_mtime == before


def test_oracles_of_several_seeds_are_the_floor(
    comparison: Path, toy: Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    other = toy.copy()
    for parameter in other.module.parameters():
        parameter.data *= 0.4
    took = {"seconds": 321, "megabytes": 12345}
    other.with_about(figures=took).save_pretrained("second")
    more = ["--set", 'methods.oracle.more=["absent", "second"]', "--only", "ours", "oracle"]
    assert "no generator in 'absent'" in says(capsys, comparison, "-o", "out", *more)
    more += ["--set", "methods.oracle.optional=true"]
    assert main(["compare", str(comparison), "-o", "out", "--json", "--quiet", *more]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    left = [figures["target"]["value"] for figures in rows["oracle"]["measured"]]
    fid = [figures["quality"]["fid"] for figures in rows["oracle"]["measured"]]
    assert len(set(left)) == 2
    assert rows["oracle"]["costs"] == [took]  # the other's was not noted
    assert len(rows["oracle"]["duels"]) == 1  # against ours' only seed
    text = Path("out/comparison.md").read_text()
    apart = f"left {abs(left[0] - left[1]):.2%}, FID {abs(fid[0] - fid[1]):.2f}, KID "
    assert f"- the floor, oracle: 2 trainings lie apart by {apart}" in text
    assert "ours − oracle" in text
    # what is optional and not there yet is left out, and joins when it is
    gone = ["--set", "methods.oracle.path=nowhere", "--set", "methods.oracle.optional=true"]
    command = ["compare", str(comparison), "-o", "alone", "--only", "ours", "oracle", *gone]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "left out: there is no generator in 'nowhere' yet" in captured.err
    assert "oracle" not in Path("alone/comparison.md").read_text()
    toy.save_pretrained("nowhere")
    assert main([*command, "--resume", "--quiet"]) == 0
    assert "| oracle |" in Path("alone/comparison.md").read_text()
    # a comparison that knew neither, another oracle and another seed go on
    settings = json.loads(Path("alone/settings.json").read_text())
    for key in ("more", "optional"):
        del settings["methods"]["oracle"][key]
    Path("alone/settings.json").write_text(json.dumps(settings))
    command += ["--resume", "--quiet", "--set", 'methods.oracle.more=["second"]']
    assert main([*command, "--set", "seeds=[0, 1]"]) == 0
    rows = {row["name"]: row for row in json.loads(Path("alone/comparison.json").read_text())}
    ours, oracle = (rows[name]["measured"] for name in ("ours", "oracle"))
    apart = [a["target"]["value"] - b["target"]["value"] for a, b in zip(ours, oracle, strict=True)]
    duels = [duel["target"]["value"] for duel in rows["oracle"]["duels"]]
    assert duels == pytest.approx(apart)  # each of ours' seeds against one of them
    changed = says(capsys, *command[1:-3], "--set", "methods.oracle.path=oracle")
    assert "other settings (methods.oracle)" in changed


def test_mistakes_get_one_clear_line(comparison: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no settings file 'x.toml'" in says(capsys, "x.toml")
    assert "unknown key 'method'" in says(capsys, comparison, "--set", "method.x=1")
    assert "did you mean 'ours'" in says(capsys, comparison, "--set", "ours=our")
    assert "a folder; name" in says(capsys, comparison, "--set", "ours=oracle")
    assert "steps" in says(capsys, comparison, "--set", "methods.redaction.steps=-1")
    assert "names one twice: [0, 0]" in says(capsys, comparison, "--set", "seeds=[0, 0]")
    assert "needs training data" in says(capsys, comparison, "--set", "data=")
    assert "did you mean 'paper'" in says(capsys, comparison, "--only", "ours", "papr")
    assert "name it, too" in says(capsys, comparison, "--only", "paper")
    gone = says(capsys, comparison, "--set", "methods.oracle.path=nowhere")
    assert "no generator in 'nowhere'" in gone
    other = Path(unfeature.__file__).parent / "zoo" / "digits-gan"
    larger = says(capsys, comparison, "--set", f"methods.oracle.path={other}")
    assert f"'{other}' draws [1, 28, 28], the original [1, 16, 16]" in larger
    np.savez("wide.npz", x_train=np.zeros((40, 16, 32), np.uint8), y_train=np.zeros(40))
    assert "'wide.npz' are [1, 16, 32]" in says(capsys, comparison, "--set", "data=wide.npz")
    twin = says(capsys, comparison, "--set", "methods.labels={kind='unlearn'}")
    assert "its folder 'labels' is another's, too" in twin
    wrong = says(capsys, comparison, "--set", "methods.ours.set=['erase.gte=image']")
    assert "did you mean 'gate'" in wrong
    save_file({"x": torch.zeros(1)}, "x.safetensors")
    bad = comparison.parent / "bad.toml"
    bad.write_text("a = [")
    assert "not readable TOML" in says(capsys, bad)


def test_a_training_that_is_killed_is_told() -> None:
    with pytest.raises(UserError, match=r"killed from outside.*go on with --resume"):
        run_apart(exec, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")


def test_a_killed_comparison_takes_its_training_along() -> None:
    job = "print('begun', flush=True); import time; time.sleep(70)"
    code = f"from unfeature.apart import run_apart; run_apart(exec, {job!r})"
    main = f"if __name__ == '__main__':\n    {code}"
    command = [sys.executable, "-c", main]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"begun\n"
        parent.kill()
        ended, _, _ = select.select([parent.stdout], [], [], 50)
        assert ended  # nobody holds the pipe's other end any more
        assert parent.stdout.read() == b""
