"""Finding what a user names as `module:name`."""

import importlib
import sys
from pathlib import Path
from typing import Any

from unfeature.errors import UserError, did_you_mean


def resolve(reference: str, *, setting: str) -> Any:
    """The object that `module:name` names; modules in the current folder are found too.

    Args:
        setting: the setting the reference stands in, for the error message.

    Raises:
        UserError: no `module:name`, no such module, or no such name in it.
    """
    module_name, colon, name = reference.partition(":")
    if not (module_name and colon and name):
        raise UserError(f"{setting} is '{reference}'; write it as 'package.module:name'")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UserError(
            f"{setting}: cannot import '{module_name}' ({error}); run from the folder that holds "
            "it, or install it"
        ) from error
    except Exception as error:  # the module's own code, which may raise anything
        raise UserError(
            f"{setting}: '{module_name}' cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not hasattr(module, name):
        raise UserError(
            f"{setting}: module '{module_name}' has no '{name}'{did_you_mean(name, dir(module))}"
        )
    return getattr(module, name)
