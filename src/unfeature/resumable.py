"""A training that survives being stopped: checkpoints, and going on from them."""

import hashlib
import time
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from unfeature.adapters.files import load_checkpoint, make_folder, save_checkpoint
from unfeature.cost import Cost, peak_megabytes
from unfeature.datasets import AttributeSet, ImageSet
from unfeature.errors import UserError, first_line
from unfeature.progress import Progress
from unfeature.training import Session, Standing, TrainConfig, fit

CHECKPOINTS = ("checkpoint.pt", "prior.pt")
"""Their files' names, in the order of a training's stages."""
CHECKPOINT_SECONDS, EPOCH_SECONDS = 300.0, 30.0
"""Between two checkpoints amid an epoch, and at least before one at an epoch's end."""


def fit_saved(
    session: Session,
    data: ImageSet | AttributeSet,
    config: TrainConfig,
    arguments: Any,
    progress: Progress,
    *,
    stage: int = 0,
    **own: Any,
) -> tuple[nn.Module, Cost | None]:
    """Train to the end, and say what that took; with a checkpoint every few minutes and at the end,
    from which --resume goes on, and counts on; without it, older ones of this stage and the later
    are deleted once there is something in their place. What it took is None where a checkpoint of
    before does not say.

    Args:
        stage: of a training with several. One after the first begins anew where its checkpoint is
            of another training: the stages before it have gone on since.
        own: what else a checkpoint must have in common with the training that goes on from it;
            "first" in the place of the first pictures' digest.

    Raises:
        UserError: the checkpoint is of another training.
    """
    output = Path(arguments.output)
    make_folder(output)
    path, later = output / CHECKPOINTS[stage], CHECKPOINTS[stage:]
    start = Standing()
    of = config.model_dump(exclude={"epochs"})
    of |= {"images": len(data), "first": digest(data.images), **own}
    stale = not arguments.resume
    saved = load_checkpoint(path) if arguments.resume and path.exists() else None
    if stage and saved is not None and saved.get("of") != of:
        progress.say(f"'{path}' is of another first stage: beginning this one anew")
        stale, saved = True, None
    if arguments.resume and saved is None and not stage:
        progress.say(f"there is no checkpoint in '{output}' yet: beginning anew")
    if saved is not None:
        if saved.get("of") != of:
            raise UserError(
                f"the checkpoint in '{output}' is of a training {_other(saved.get('of'), of)}; go "
                "on with the same, or begin anew without --resume"
            )
        try:
            session.load_state_dict(saved["session"])
            start = Standing(**saved["standing"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise UserError(
                f"the checkpoint in '{output}' is of another architecture or other options "
                f"({first_line(error)}); give the same, or another folder with -o"
            ) from error
    per_epoch = len(data) // config.batch_size * config.batch_size
    seen = start.epochs * per_epoch + start.batches * config.batch_size
    spent: Cost | None = Cost()
    if saved is not None:
        spent = Cost(**saved["cost"]) if saved.get("cost") else None
    began = saved_at = time.monotonic()
    with progress.bar("train", config.epochs * per_epoch, initial=seen, unit=" images") as bar:
        for now in fit(session, data, config, start=start):
            losses = ", ".join(f"{k} {v:.3f}" for k, v in now.losses.items())
            bar.set_postfix_str(f"{now.epochs} of {config.epochs} epochs, {losses}", refresh=False)
            bar.update(config.batch_size)
            waited = time.monotonic() - saved_at
            due = waited > (CHECKPOINT_SECONDS if now.batches else EPOCH_SECONDS)
            if stale:  # only now is it known that there will be something in its place
                for name in later:
                    (output / name).unlink(missing_ok=True)
                stale = False
            if due or now.epochs == config.epochs:
                state = {"standing": vars(now), "of": of, "session": session.state_dict()}
                cost = _more(spent, began)
                save_checkpoint(path, state | {"cost": vars(cost) if cost else None})
                saved_at = time.monotonic()
    return session.model, _more(spent, began)


def _more(spent: Cost | None, began: float) -> Cost | None:
    """With what this process has taken since it `began`."""
    if spent is None:
        return None
    return spent + Cost(time.monotonic() - began, peak_megabytes())


def digest(images: Tensor) -> str:
    """16 hex digits of the first few pictures: data in another place are the same data."""
    return hashlib.sha256(images[:64].contiguous().numpy().tobytes()).hexdigest()[:16]


def _other(before: dict[str, Any] | None, now: dict[str, Any]) -> str:
    """What differs between two trainings, in words."""
    if before is None or before.keys() != now.keys():
        return "by another version of unfeature"
    names = {"images": "number of images", "first": "data", "average": "decay of the average"}
    changed = [names.get(key, key.replace("_", " ")) for key in now if now[key] != before[key]]
    return f"with another {' and another '.join(changed)}"
