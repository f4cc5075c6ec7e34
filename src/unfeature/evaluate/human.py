"""What changed, by a person who does not know which picture is which.

The paper's human study (section 4.3): of pairs of pictures from the same latent, before and after,
a person says which shows the feature and what else differs. Pairs come in random order, and which
side the unlearned picture is on is random, too.
"""

import re
from collections import Counter
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from unfeature.errors import UserError, did_you_mean
from unfeature.evaluate.statistics import Mean, Ratio, mean_count, wilson
from unfeature.seeds import rng

SIDES = {"left": (True, False), "right": (False, True), "both": (True, True), "none": (False,) * 2}
"""What may be answered, and which of the two pictures then shows the feature."""


@dataclass(frozen=True)
class Plan:
    """The order of the pairs on the sheets.

    Attributes:
        rows: which pair stands at each place.
        swapped: whether the unlearned picture is on the left there.
    """

    rows: Int[Tensor, " n"]
    swapped: Bool[Tensor, " n"]


def shuffled(n: int, seed: int) -> Plan:
    """A random order and random sides for `n` pairs."""
    random = rng(seed, "human")
    return Plan(torch.randperm(n, generator=random), torch.rand(n, generator=random) < 0.5)


@dataclass(frozen=True)
class Answer:
    """One pair: whether the left and the right picture show the feature, and what else differs."""

    left: bool
    right: bool
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Human:
    """What a person found.

    Attributes:
        by: who.
        original, unlearned: share of pictures that show the feature.
        having, lacking: other things changed, in pairs whose original shows the feature, to the
            person, and in the others; None where there are none.
        changes: how often each thing was named.
    """

    by: str
    original: Ratio
    unlearned: Ratio
    having: Mean | None
    lacking: Mean | None
    changes: dict[str, int]


def read_pairs(text: str, n: int, *, where: str, known: tuple[str, ...] = ()) -> dict[int, Answer]:
    """The answers in a filled-in sheet, by place; places left empty were not looked at.

    A line is `12: right; smile, hat`: which of the two pictures shows the feature (left, right,
    both, none), then what else differs.

    Args:
        n: how many pairs there are.
        where: the file's name, for messages.
        known: what else may be named; anything when empty.

    Raises:
        UserError: a line that cannot be read, or answers a second time, with its number; or no
            answer at all.
    """
    found: dict[int, Answer] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        answer = answer_in(line)
        if not answer:
            continue
        match = re.fullmatch(r"(\d+)\s*:\s*(\w+)\s*(?:;(.*))?", answer)
        if not match:
            raise UserError(
                f"'{where}' line {number}: '{answer}' cannot be read; write e.g. '0: left; smile'"
            )
        place, side = int(match.group(1)), match.group(2).lower()
        if place >= n:
            raise UserError(f"'{where}' line {number}: there is no pair {place}; 0 to {n - 1}")
        if side not in SIDES:
            raise UserError(
                f"'{where}' line {number}: '{side}' is none of {', '.join(SIDES)}"
                f"{did_you_mean(side, SIDES)}"
            )
        words = [word.strip().lower() for word in (match.group(3) or "").split(",")]
        if place in found:
            raise UserError(f"'{where}' line {number}: pair {place} is answered twice")
        changed = tuple(dict.fromkeys(word for word in words if word))
        for word in changed:
            if known and word not in known:
                raise UserError(
                    f"'{where}' line {number}: '{word}' is not asked for"
                    f"{did_you_mean(word, known)}; known: {', '.join(known)}"
                )
        found[place] = Answer(*SIDES[side], changed)
    if not found:
        raise UserError(f"'{where}' answers for no pair; write e.g. '0: left; smile' for pair 0")
    return found


def answer_in(line: str) -> str:
    """What a person wrote about a pair in a line of the sheet; "" where that is nothing."""
    line = line.split("#")[0].strip()
    return line if re.match(r"\d+\s*(:\s*\S|[^:\s\d])", line) else ""


def tally(answers: dict[int, Answer], plan: Plan, *, by: str) -> Human:
    """The figures behind the answers, once it is told which side was which."""
    before, after, counts = [], [], []
    names: Counter[str] = Counter()
    for place, answer in answers.items():
        swapped = bool(plan.swapped[place])
        before.append(answer.right if swapped else answer.left)
        after.append(answer.left if swapped else answer.right)
        counts.append(len(answer.changed))
        names.update(answer.changed)
    had, number = torch.tensor(before), torch.tensor(counts, dtype=torch.float64)
    return Human(
        by=by,
        original=wilson(had),
        unlearned=wilson(torch.tensor(after)),
        having=mean_count(number[had]) if had.any() else None,
        lacking=mean_count(number[~had]) if not had.all() else None,
        changes=dict(names.most_common()),
    )
