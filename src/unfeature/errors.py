"""What a user can get wrong, said in one or two lines."""

import difflib
from collections.abc import Iterable


def first_line(error: Exception) -> str:
    """What an error of somebody else's code says, or its name where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


class UserError(ValueError):
    """A mistake a person can mend. The message names the setting or file, and the fix."""


class Waiting(UserError):
    """A person has to do something first; what was begun is kept."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A suffix such as `` (did you mean 'steps'?)``, or the empty string when nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{near[0]}'?)" if near else ""
