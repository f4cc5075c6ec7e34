"""Several attacks counted as one attacker's."""

import torch

from unfeature.attack.base import Found
from unfeature.attack.ensemble import Ensemble


def found(*success: bool) -> Found:
    rows = torch.tensor(success)
    n = len(rows)
    return Found(torch.zeros(n, 2), torch.zeros(n), rows, torch.ones(n, dtype=torch.int64), 1.0)


def test_any_attack_counts() -> None:
    none = Ensemble.none(4)
    assert none.row()["naive"]["value"] == 0.0
    one = none.joined(
        found(True, True, False, False),
        {"judged": torch.tensor([True, False, False, False])},
    )
    both = one.joined(
        found(False, True, True, False),
        {"judged": torch.tensor([False, True, False, False])},
    )
    row = both.row()
    assert row["naive"]["value"] == 0.75
    assert row["judged"]["value"] == 0.5
    assert row["judged"]["n"] == 4
    assert one.row()["judged"]["value"] == 0.25  # what was joined before is as it was
