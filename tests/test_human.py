"""Pairs of pictures for a person, and the answers read back."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unfeature.cli import main
from unfeature.errors import UserError
from unfeature.evaluate.human import Answer, Plan, read_pairs, shuffled, tally
from unfeature.human import _sides, answered


def test_sides_and_order_are_random_and_follow_from_the_seed() -> None:
    plan = shuffled(400, 0)
    assert sorted(plan.rows.tolist()) == list(range(400))
    assert plan.rows.tolist() != list(range(400))
    assert 0.4 < plan.swapped.double().mean() < 0.6
    assert torch.equal(plan.swapped, shuffled(400, 0).swapped)
    assert not torch.equal(plan.swapped, shuffled(400, 1).swapped)


def test_answers_are_told_which_side_was_which() -> None:
    plan = Plan(torch.tensor([2, 0, 1, 3]), torch.tensor([False, True, False, True]))
    answers = {
        0: Answer(True, False, ("smile",)),  # before has it, after not
        1: Answer(True, True, ("smile", "hat")),  # both
        2: Answer(False, False, ()),
        3: Answer(True, False, ()),  # swapped: after has it, before not
    }
    found = tally(answers, plan, by="A")
    assert found.original.value == 0.5
    assert found.unlearned.value == 0.5
    assert found.having is not None
    assert found.having.value == 1.5
    assert found.lacking is not None
    assert found.lacking.value == 0
    assert found.changes == {"smile": 2, "hat": 1}


def test_lines_that_cannot_be_read_are_named() -> None:
    text = "by: me\n0: left; Smile, hat\n1:\n2: NONE  # nothing\n"
    assert read_pairs(text, 3, where="a.txt") == {
        0: Answer(True, False, ("smile", "hat")),
        2: Answer(False, False, ()),
    }
    for line, said in (
        ("9: left", "line 1: there is no pair 9; 0 to 2"),
        ("1: lef", "did you mean 'left'"),
        ("1: left; smil", "did you mean 'smile'"),
        ("1:", "answers for no pair"),
        ("1: left, smile", "line 1: '1: left, smile' cannot be read"),
        ("2: right smile", "cannot be read"),
        ("1 left", "cannot be read"),
        ("1: left\n2: none\n1: right", "line 3: pair 1 is answered twice"),
        ("1: left\n2: none - smile", "line 2: '2: none - smile' cannot be read"),
    ):
        with pytest.raises(UserError, match=said):
            read_pairs(line, 3, where="a.txt", known=("smile",))


def test_what_a_person_began_is_seen(tmp_path: Path) -> None:
    sheet = tmp_path / "answers.txt"
    assert not answered(sheet)
    for text, began in (
        ("# 12: right; smile\nsheets: 12ab\nby:\n0:\n1:\n", False),
        ("\ufeffsheets:\nby:\n0: left\n", True),
        ("by: me\n0:\n 1: right\n", True),
        ("0 : left\n1:\n", True),
        ("0 left\n", True),
    ):
        sheet.write_text(text)
        assert answered(sheet) == began


def test_the_key_tells_which_side_was_which() -> None:
    before, after = torch.zeros(8, 1, 4, 4), torch.ones(8, 1, 4, 4)
    before += torch.arange(8.0)[:, None, None, None] / 10
    after += torch.arange(8.0)[:, None, None, None] / 10
    plan = shuffled(8, 3)
    left, right = _sides(before, after, plan)
    assert plan.swapped.any()
    assert not plan.swapped.all()
    assert plan.rows.tolist() != list(range(8))
    for place, (row, swapped) in enumerate(
        zip(plan.rows.tolist(), plan.swapped.tolist(), strict=True)
    ):
        first, second = (after, before) if swapped else (before, after)
        assert torch.equal(left[place], first[row])
        assert torch.equal(right[place], second[row])


def test_a_person_is_asked_and_answers(toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--set", "unlearn.steps=0", "--quiet"]
    assert main(["run", str(toml), "-o", "out", *quick]) == 0
    assert main(["evaluate", "out", "--human", "--pairs", "30", "--quiet"]) == 0
    assert "fill in 'out/human/answers.txt'" in capsys.readouterr().out
    pages = sorted(Path("out/human").glob("page-*.png"))
    assert len(pages) == 2
    page = np.asarray(Image.open(pages[0]))
    # nothing was unlearned, so left and right are equal: 128 pixels each, 4 apart, under a caption
    assert np.array_equal(page[16:144, 0:128], page[16:144, 132:260])
    assert page[16:144, 0:128].std() > 0
    sheet = Path("out/human/answers.txt")
    text = sheet.read_text()
    assert "bright corner" in text
    for i in range(30):
        text = text.replace(f"\n{i}:\n", f"\n{i}: {'both' if i % 2 else 'none'}; edge\n")
    sheet.write_text(text.replace("by:", "by: Ada"))
    capsys.readouterr()
    assert main(["evaluate", "out", "--human", "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["original"]["value"] == found["unlearned"]["value"] == 0.5
    assert found["having"]["value"] == 1
    assert found["changes"] == {"edge": 30}
    assert main(["report", "out", "--quiet"]) == 0
    assert "Ada, 30 pairs, blind" in Path("out/report.html").read_text()
    other = Path("other.txt")
    other.write_text("sheets: abc\n0: left\n")
    arguments = ["evaluate", "out", "--human", "--quiet", "--answers"]
    assert main([*arguments, str(other)]) == 1
    assert "answers for other sheets (abc" in capsys.readouterr().err
    assert main(["unlearn", "out", "--quiet"]) == 0
    assert main(["evaluate", "out", "--human", "--quiet"]) == 0  # the same weights again
    assert main(["unlearn", "out", "--set", "unlearn.steps=2", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "out", "--human", "--quiet"]) == 1
    assert "of weights that have been trained anew since" in capsys.readouterr().err
    assert sheet.read_text().count("; edge") == 30
    Path("out/human").rename("kept")
    for pairs in (30, 6):  # nobody has answered, so other sheets may take their place
        assert main(["evaluate", "out", "--human", "--pairs", str(pairs), "--quiet"]) == 0
        assert f"({pairs} pairs" in sheet.read_text()
    assert len(list(Path("out/human").glob("page-*.png"))) == 1  # and no page of the 30
    assert main(["evaluate", "out", "--human", "--set", "evaluate.n=9"]) == 1
    assert "--set does not go with --human" in capsys.readouterr().err
    assert main([*arguments, "no.txt"]) == 1
    assert "no answers at 'no.txt'" in capsys.readouterr().err
    assert main(["evaluate", "out", "--answers", "x"]) == 1
    assert "goes with --human" in capsys.readouterr().err
