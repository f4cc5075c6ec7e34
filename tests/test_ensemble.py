"""Several attacks counted as one attacker's."""

import torch

from unfeature.attack.outcome import Seen, union
from unfeature.evaluate.statistics import wilson


def found(success: list[bool], judged: list[bool]) -> Seen:
    return {"naive": torch.tensor(success), "judged": torch.tensor(judged)}


def test_any_attack_counts() -> None:
    none = found([False] * 4, [False] * 4)
    assert wilson(none["naive"]).value == 0.0
    one = union(found([True, True, False, False], [True, False, False, False]), none)
    both = union(found([False, True, True, False], [False, True, False, False]), one)
    assert wilson(both["naive"]).value == 0.75
    assert wilson(both["judged"]).value == 0.5
    assert wilson(both["judged"]).n == 4
    assert wilson(one["judged"]).value == 0.25  # what was joined before is as it was
    assert union(one, None) is one
