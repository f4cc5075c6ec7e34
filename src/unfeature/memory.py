"""How much memory a process has taken."""

import resource
import sys


def peak_megabytes() -> float:
    """The most that this process has held at once so far, in megabytes; without a GPU's."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
