"""What the benchmarks make of what they find: tables, and whether aims are met."""

import json
import math
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from benchmarks import aims, attacks, lessons, weights
from benchmarks.curves import curve, panels
from benchmarks.glance import figures, glance, rows_of
from benchmarks.paper import EXPERIMENTS, RESULTS, filled

from unfeature.cli import main
from unfeature.config import AttackTable
from unfeature.folder import RunFolder
from unfeature.settings import read_experiment


def share(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def attacked(*judged: float) -> dict[str, Any]:
    radii = [0.0, 1.0, 2.0, None]
    points = [
        {"epsilon": radius, "judged": share(value), "naive": share(value + 0.1)}
        for radius, value in zip(radii, judged, strict=True)
    ]
    last = {"judged": share(0.07)}
    return {"gradient": points, **{key: [last] for key in ("random", "along z_e")},
            "along z_e found anew": [last]}  # fmt: skip


def measured(left: float, l1: float) -> dict[str, Any]:
    return {"target": share(left), "l1": share(l1)}


def test_aims_that_are_missed_are_said_to_be() -> None:
    paper = {"unlearned": attacked(0.1, 0.4, 0.8, 1.0), "oracle": attacked(0.1, 0.1, 0.1, 1.0)}
    robust = {"unlearned": attacked(0.3, 0.2, 0.41, 1.0)}
    success, left, l1, oracle = aims.row(paper, robust, measured(0.1, 0.4), measured(0.1, 0.2))
    # at 0 nothing was attacked, and beyond 2 there is no aim
    assert success == "1: 20.0% / 40.0%; 2: 41.0% / 80.0% **missed**"
    assert left == "10.00% / 10.00%"
    assert l1 == "0.2000 / 0.4000, 50%"
    assert oracle == "1: 20.0% / 10.0% **missed**; 2: 41.0% / 10.0% **missed**"
    worse = aims.row(paper, robust, measured(0.1, 0.4), measured(0.11, 0.21))
    assert worse[1].endswith("**missed**")
    assert worse[2].endswith("**missed**")
    without = {"unlearned": paper["unlearned"]}
    assert aims.row(without, robust, measured(0.1, 0.4), measured(0.1, 0.2))[3] == "–"


def test_rows_of_other_comparisons_stay() -> None:
    table = "| comparison | left |\n| --- | --- |\n| a_b (three seeds) | 1% |\n| c | 2% |\n"
    table += "| c (paper in rounds) | 3% |\n"
    text = f"| x | y |\n<!-- attack aims -->\n\n{table}\n<!-- end -->\n| z | 3 |\n"
    assert aims.written(text) == {
        "a_b": "| a_b (three seeds) | 1% |",
        "c": "| c | 2% |",
        "c (paper in rounds)": "| c (paper in rounds) | 3% |",
    }


def test_a_table_of_attacks_has_what_all_rows_have() -> None:
    rows = {"original (z)": attacked(0.3, 0.5, 0.9, 1.0), "ours": attacked(0.0, 0.1, 0.2, 0.3)}
    rows["ours"]["from f's answers"] = [{"judged": share(0.4)}]
    head, _, original, ours = attacks.as_table(rows).splitlines()
    assert "gradient, ε = ∞" in head
    assert "from f's answers" not in head
    assert "any, ε" not in head
    for row in rows.values():
        row["any of these"] = [{"judged": share(value)} for value in (0.4, 0.6, 0.95, 0.99)]
    head, _, original, _ = attacks.as_table(rows).splitlines()
    assert "| any, ε = 2 |" in head
    assert "| 95.0% [94.0%, 96.0%] |" in original
    assert "| 90.0% [89.0%, 91.0%] (100.0%) |" in original
    assert "| 20.0% [19.0%, 21.0%] (30.0%) |" in ours
    assert "a rest" not in head
    for row in rows.values():
        for point, value in zip(row["gradient"], (0.31, 0.41, 0.51, 0.61), strict=True):
            point["rests"] = share(value)
    head, _, original, _ = attacks.as_table(rows).splitlines()
    column = head.split(" | ").index("a rest, ε = 2")
    assert original.split(" | ")[column] == "51.0% [50.0%, 52.0%]"


def test_attacks_on_the_weights_are_told_in_a_row() -> None:
    def lesson(pictures: int, half: int | None) -> dict[str, Any]:
        return {"pictures": pictures, "half": half, "ratios": [share(0.1), share(0.4)]}

    inverted = {"l1": share(0.05), "back": share(0.9), "likely": None}
    found = {
        "inversion": {"original": inverted, "unlearned": {**inverted, "likely": share(-0.5)}},
        "relearning": {"unlearned": [lesson(0, None), lesson(10, 20)]},
    }
    table = weights.as_table(weights.by_generator("ours", found)).splitlines()
    assert table[0].endswith("| relearning from 0 | relearning from 10 |")
    assert table[2] == "| original | 0.0500 | 90% [89%, 91%] | – | – | – |"
    course = "10.0% → 40.0% [39.0%, 41.0%]"
    told = f"{course}, never half | {course}, half after 20"
    assert table[3] == f"| ours | 0.0500 | 90% [89%, 91%] | -0.50 | {told} |"


def test_attacks_of_another_budget_are_seen() -> None:
    table = AttackTable(epsilons=(0, 0.5, 1, float("inf")), restarts=10, inversions=7)
    points = [{"epsilon": radius} for radius in (0, 0.5, 1, None)]
    budget = {"restarts": 10, "inversions": 0}
    made = {"budget": budget, "generators": {"unlearned": {"gradient": points}}}
    assert attacks.made_with(made).items() <= attacks.budget_of(table).items()
    assert attacks.made_with({**made, "budget": {"restarts": 3}})["restarts"] == 3
    points[-1]["epsilon"] = 2
    assert attacks.made_with(made)["epsilons"] != attacks.budget_of(table)["epsilons"]


def test_a_table_of_attacks_has_one_budget(toml: Path, tmp_path: Path) -> None:
    runs = {}
    for method, restarts in (("paper", 10), ("ours", 10)):
        runs[method] = RunFolder.create(
            tmp_path / "toys" / method / "seed-0" / "run",
            read_experiment(toml, [f"attack.restarts={restarts}", "attack.epsilons=[1]"]),
        )
        points = [{"epsilon": 1.0}]
        made = {"budget": {"restarts": 10}, "generators": {"unlearned": {"gradient": points}}}
        runs[method].attack.write_text(json.dumps({**made, "attacker": "h"}))
    asked = Namespace(methods=["paper", "ours"], output=tmp_path, set=[])
    attacks.require_one_budget(asked, "toys")
    with pytest.raises(SystemExit, match=r"paper/seed-0/run/attack.json: another .*\(restarts\)"):
        attacks.require_one_budget(
            Namespace(**vars(asked) | {"set": ["attack.restarts=3"]}), "toys"
        )
    runs["ours"].attack.write_text(json.dumps({**made, "attacker": "another"}))
    with pytest.raises(SystemExit, match=r"ours/.*\(attacker\)"):
        attacks.require_one_budget(asked, "toys")


def test_a_table_takes_its_place_and_no_other() -> None:
    text = "a\n<!-- one -->\nold\n<!-- end -->\n<!-- two -->\nkept\n<!-- end -->\n"
    made = filled(text, "one", "new\n")
    assert "old" not in made
    assert "new" in made
    assert made.count("kept") == 1
    assert filled(text, "three", "x\n") == text


def test_a_glance_holds_the_figures_of_the_tables_below() -> None:
    text = """### A GAN's cat, tails
<!-- cats -->
| method | left | L1 elsewhere | FID |
| --- | --- | --- | --- |
| original | 30.00% [29.00%, 31.00%] | 0.0000 | 9.00 |
| paper | 8.61% ± 0.10% | 0.0500 ± 0.0010 | 8.00 |
| paper, in rounds | 7.00% | 0.0700 | 7.00 |
| ours | 1.00% | 0.0100 | 6.00 |
<!-- end -->
### The same cat
<!-- attacks cats -->
| generator | gradient, ε = 2 |
| --- | --- |
| original (z) | 90.0% [80.0%, 95.0%] (99.0%) |
| ours | 10.0% (12.0%) |
<!-- end -->
"""
    assert figures(rows_of(text, "cats"), "left", "original", "paper") == ["30.00%", "8.61%"]
    *_, row = glance(text, ["cats", "dogs"]).splitlines()
    assert row == (
        "| [A GAN's cat, tails](#a-gans-cat-tails) | 30.00%, 8.61%, 1.00%, – "
        "| 0.0500, 0.0100, – | 9.00, 8.00, 6.00, – | 90.0%, –, 10.0%, – |"
    )
    page, names = RESULTS.read_text(), sorted(path.stem for path in EXPERIMENTS.glob("*.toml"))
    assert filled(page, "glance", glance(page, names)) == page, "python -m benchmarks.glance"


def test_curves_are_drawn_of_the_tables() -> None:
    text = """### A cat
<!-- cats -->
<!-- end -->
<!-- attacks cats -->
| generator | gradient, ε = 2 | gradient, ε = ∞ | gradient, ε = 0.5 | any, ε = 2 |
| --- | --- | --- | --- | --- |
| original (z) | 90.0% [80.0%, 95.0%] (99.0%) | – | 40.0% (50.0%) | 91.0% |
| paper | 70.0% (80.0%) | 100.0% (100.0%) | 1.0% (2.0%) | 71.0% |
| paper, in rounds | 60.0% (80.0%) | 99.0% (100.0%) | 0.0% (2.0%) | 61.0% |
<!-- end -->
"""
    rows = rows_of(text, "attacks cats")
    assert curve(rows, "original") == [(0.5, 40, 40, 40), (2, 90, 80, 95)]
    assert curve(rows, "paper") == [(0.5, 1, 1, 1), (2, 70, 70, 70), (math.inf, 100, 100, 100)]
    assert curve(rows, "robust") == []
    figure = panels(text, ["cats", "dogs"], columns=2)
    drawn, legend = figure.axes
    assert drawn.get_title() == "A cat"
    assert [list(line.get_ydata()) for line in drawn.get_lines()] == [
        [40, 90],
        [],
        [1, 70, 100],
        [],
        [],
    ]
    assert len(legend.get_legend().get_texts()) == 5


def test_lessons_tell_what_else_changes_and_by_whose_eyes(
    toml: Path, two_threads: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def said(*more: str) -> list[str]:
        capsys.readouterr()
        command = ["lessons", "run", *["toymodel:Halves"] * 2, "--n", "200"]
        monkeypatch.setattr("sys.argv", [*command, *more])
        lessons.main()
        return capsys.readouterr().out.splitlines()

    for stage in ("sample", "label", "target"):
        arguments = [str(toml), "-o", "run"] if stage == "sample" else ["run"]
        assert main([stage, *arguments, "--quiet"]) == 0
    erased = said()
    assert erased[0].endswith("of 200 had the feature")
    assert erased[1] == erased[2]
    assert erased[1].startswith("by toymodel:Halves: erased ")
    assert " 0.000" not in erased[1]
    assert erased[3].split(": ")[1].startswith("0.000")  # one judge does not differ from itself
    assert "unlearned" not in " ".join(erased)
    assert main(["run", str(toml), "-o", "run", "--resume", "--quiet"]) == 0
    both = said()
    assert [line for line in both if "unlearned" not in line] == erased
    assert len(both) == len(erased) + 2
    assert said("--set", "erase.margin=0")[1:3] != erased[1:3]
