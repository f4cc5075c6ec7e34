"""Progress bars on stderr, with rate and time left."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """Shows bars on stderr, or nothing when quiet."""

    quiet: bool = False

    def bar(self, title: str, total: int, *, initial: int = 0, unit: str = "it") -> "tqdm[Any]":
        """A bar to be updated by hand and closed."""
        shown: tqdm[Any] = tqdm(
            total=total,
            initial=initial,
            desc=title,
            unit=unit,
            file=sys.stderr,
            disable=self.quiet,
            mininterval=0.3,
            dynamic_ncols=True,
        )
        return shown

    def over(self, title: str, items: Iterable[T], total: int) -> Iterator[T]:
        """The items, with a bar that counts them."""
        with self.bar(title, total) as bar:
            for item in items:
                yield item
                bar.update()

    def say(self, text: str) -> None:
        """One line on stderr."""
        if not self.quiet:
            tqdm.write(text, file=sys.stderr)
