"""Pass, fail, not enough samples: from figures and limits to an exit status."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from unfeature.cli import main
from unfeature.errors import UserError
from unfeature.evaluate.criteria import Criterion, decide, overall
from unfeature.evaluate.quality import fid, fid_with_error
from unfeature.evaluate.statistics import corrected, mcnemar, mean, mean_count, wilson
from unfeature.settings import check_experiment


def test_an_interval_passes_fails_or_is_too_wide() -> None:
    def outcome(limit: float) -> str:
        return Criterion("target_ratio", limit, 0.02, 0.01, 0.04, 1000).outcome

    assert [outcome(x) for x in (0.05, 0.04, 0.03, 0.01, 0.009)] == [
        "pass",
        "pass",
        "not enough samples",
        "not enough samples",
        "fail",
    ]


def test_one_sample_decides_nothing() -> None:
    for value in (0.01, 0.9):
        one = Criterion("changed", 0.05, value, value, value, 1)
        assert one.outcome == "not enough samples"
        assert one.more is None


def test_how_many_samples_would_do_would_do() -> None:
    hits = torch.arange(1000) < 8
    found = wilson(hits)
    criterion = Criterion("target_ratio", 0.01, found.value, found.low, found.high, found.n)
    assert criterion.outcome == "not enough samples"
    assert criterion.more
    assert criterion.more > 1000
    more = wilson(torch.arange(criterion.more) < 0.008 * criterion.more)
    assert more.high == pytest.approx(0.01, rel=0.1)


def test_what_could_not_be_measured_is_undecided() -> None:
    (found,) = decide({"changed_having": 1.0}, {})
    assert found.outcome == "not enough samples"
    assert str(found) == "changed_having: no picture to measure it on: not enough samples"


def test_the_worst_outcome_counts_and_no_limit_decides_nothing() -> None:
    figures = {"target_ratio": (0.02, 0.01, 0.03, 100), "negatives_l1": (0.1, 0.1, 0.1, 100)}
    assert overall(decide({"target_ratio": None, "negatives_l1": None}, figures)) is None
    assert overall(decide({"target_ratio": 0.05}, figures)) == "pass"
    assert overall(decide({"target_ratio": 0.02, "negatives_l1": 0.2}, figures)) == (
        "not enough samples"
    )
    assert overall(decide({"target_ratio": 0.02, "negatives_l1": 0.05}, figures)) == "fail"


@pytest.mark.parametrize(
    ("limit", "status"),
    [
        ("target_ratio=0.99", 0),
        ("target_ratio=0", 3),
        ("negatives_l1=1", 0),
        ("negatives_l1=0", 3),
        ("fid=1e9", 0),
        ("fid=0", 3),
        ("changed=2", 0),
        ("changed=0", 3),
        ("changed_having=2", 0),
        ("changed_having=0", 3),
    ],
)
def test_the_exit_status_is_the_verdict(
    toml: Path,
    capsys: pytest.CaptureFixture[str],
    limit: str,
    status: int,
) -> None:
    few = ["--set", "unlearn.steps=2", "--set", "unlearn.learning_rate=0.1"]
    few += ["--set", "evaluate.n=200", "--set", "evaluate.attributes=toymodel:Halves"]
    arguments = ["run", str(toml), "-o", "out", "--quiet", *few, "--set", f"verdict.{limit}"]
    assert main([*arguments, "--json"]) == status
    found = json.loads(capsys.readouterr().out)
    assert found["outcome"] == {0: "pass", 3: "fail", 4: "not enough samples"}[status]
    assert main(["evaluate", "out", "--quiet"]) == status
    assert f"decided: {found['outcome']}" in capsys.readouterr().out
    assert f"outcome: {found['outcome']}" in Path("out/report.html").read_text()


def test_too_few_samples_have_a_status_of_their_own(
    toml: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = [
        "--set",
        "unlearn.steps=0",
        "--set",
        "evaluate.n=60",
        "--set",
        "verdict.target_ratio=0.3",
    ]
    assert main(["run", str(toml), "-o", "out", "--quiet", *few]) == 4
    assert "would do" in capsys.readouterr().out


def test_limits_that_nothing_measures_are_refused() -> None:
    base: dict[str, Any] = {
        "feature": "x",
        "generator": {"source": "digits-gan"},
        "label": {"function": "a:b", "share": 0.5},
    }
    with pytest.raises(UserError, match=r"verdict.changed needs evaluate.attributes"):
        check_experiment({**base, "verdict": {"changed": 1.0}}, where="x")
    with pytest.raises(UserError, match=r"verdict.fid needs evaluate.features"):
        check_experiment({**base, "verdict": {"fid": 1.0}}, where="x")
    with pytest.raises(UserError, match=r"verdict.rests needs \[evaluate.closely\]"):
        check_experiment({**base, "verdict": {"rests": 0.1}}, where="x")


def test_mean_interval_covers_as_often_as_it_says() -> None:
    random = torch.Generator().manual_seed(0)
    hits = 0
    for _ in range(400):
        found = mean(torch.randn(12, generator=random))
        hits += found.low <= 0 <= found.high
    assert hits / 400 == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(("n", "true"), [(3, 0.3), (30, 0.05), (300, 0.05)])
def test_rare_changes_are_not_taken_for_none(n: int, true: float) -> None:
    random = torch.Generator().manual_seed(0)
    below = 0
    for _ in range(400):
        below += mean_count((torch.rand(n, generator=random) < true).double()).high < true
    assert below / 400 <= 0.05
    none = mean_count(torch.zeros(n))
    assert none.value == none.low == 0
    assert none.high == pytest.approx(wilson(torch.zeros(n, dtype=torch.bool)).high)


@pytest.mark.parametrize(
    ("n", "d", "shift", "scale"), [(500, 4, 0.5, 1.0), (1000, 32, 0.0, 1.3), (300, 64, 0.3, 1.0)]
)
def test_the_error_of_the_fid_is_its_spread_over_fresh_samples(
    n: int, d: int, shift: float, scale: float
) -> None:
    random = torch.Generator().manual_seed(0)
    b = torch.randn(2000, d, generator=random)
    samples = [torch.randn(n, d, generator=random) * scale + shift for _ in range(100)]
    wanted = torch.tensor([fid(a, b) for a in samples]).std().item()
    for a in samples[:3]:
        assert fid_with_error(a, b)[0] == pytest.approx(fid(a, b))
        assert fid_with_error(a, b)[1] == pytest.approx(wanted, rel=0.3)


def test_the_error_of_the_fid_is_no_smaller_with_few_rows() -> None:
    random = torch.Generator().manual_seed(0)
    b = torch.randn(2000, 80, generator=random)
    samples = [torch.randn(60, 80, generator=random) + 0.3 for _ in range(60)]
    wanted = torch.tensor([fid(a, b) for a in samples]).std().item()
    assert min(fid_with_error(a, b)[1] for a in samples[:5]) > 0.9 * wanted


def test_one_picture_again_and_again_has_an_error_too() -> None:
    b = torch.randn(100, 5, generator=torch.Generator().manual_seed(0))
    assert fid_with_error(b[:1].repeat(50, 1), b)[1] == 0
    assert fid_with_error(b, b[:1].repeat(50, 1))[1] > 0


def test_mcnemar_looks_only_at_what_changed() -> None:
    before = torch.tensor([True] * 50 + [False] * 50)
    assert mcnemar(before, before) == 1
    assert mcnemar(before, ~before) == 1  # as many gained as lost
    after = before.clone()
    after[:8] = False
    assert mcnemar(before, after) == pytest.approx(2 * 2**-8)


def test_correction_leaves_one_p_value_and_raises_many() -> None:
    assert corrected([0.03]) == [0.03]
    assert corrected([0.01, 0.02, 0.9]) == pytest.approx([0.03, 0.03, 0.9])
    assert corrected([]) == []
