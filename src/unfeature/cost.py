"""What a training takes: time, and memory."""

import resource
import sys
from dataclasses import dataclass
from pathlib import Path

STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Cost:
    """Of a training that may have been stopped and gone on with.

    Attributes:
        seconds: of all its parts together.
        megabytes: the most that one of them held.
    """

    seconds: float = 0.0
    megabytes: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.seconds + other.seconds, max(self.megabytes, other.megabytes))


def peak_megabytes() -> float:
    """The most that this process has held at once so far, in megabytes; without a GPU's.

    `getrusage` says how much, but on Linux a child begins with what its parent had.
    """
    if STATUS.exists():
        lines = STATUS.read_text().splitlines()
        held = next((line for line in lines if line.startswith("VmHWM:")), None)
        if held is not None:
            return int(held.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
