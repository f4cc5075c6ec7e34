"""A job in a process of its own, whose time and peak memory are thus its own."""

import os
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any

from unfeature.errors import UserError


def run_apart(job: Any, *arguments: Any) -> None:
    """Run a job in a fresh process, which ends with this one.

    Raises:
        UserError: the process was killed.
    """
    spawn = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=_end_with_parent) as pool:
        try:
            pool.submit(job, *arguments).result()
        except BrokenProcessPool as error:
            raise UserError(
                "a training was killed from outside, perhaps for want of memory; go on with "
                "--resume"
            ) from error


def _end_with_parent() -> None:
    """However the parent ends: a killed comparison must not go on training."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
