"""Generators and classifiers as folders: `model.safetensors` + `config.json`, and the zoo of the
ones this package ships."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from unfeature import models
from unfeature.adapters.files import load_tensors, make_folder, read_json, save_tensors, write_json
from unfeature.errors import UserError, did_you_mean, first_line
from unfeature.generator import Generator, GeneratorSpec
from unfeature.references import resolve

ZOO = Path(__file__).parent.parent / "zoo"


def zoo_names(kind: str) -> list[str]:
    """The names of what is shipped: `kind` is "generator" or "classifier"."""
    found = []
    for path in sorted(ZOO.glob("*/config.json")):
        if read_json(path).get("kind") == kind:
            found.append(path.parent.name)
    return found


def find(name: str, *, kind: str, setting: str) -> Path:
    """The folder that a zoo name or a path names."""
    for folder in (ZOO / name, Path(name)):
        if (folder / "config.json").is_file():
            return folder
    known = zoo_names(kind)
    raise UserError(
        f"{setting} is '{name}', which is neither shipped{did_you_mean(name, known)} nor a folder "
        f"with a config.json; shipped: {', '.join(known) or 'none'}"
    )


def build_module(architecture: str, options: dict[str, Any], *, setting: str) -> nn.Module:
    """A fresh module from an architecture of ours or from a user's `module:factory`, whose code
    runs: only ever one that the user named."""
    if ":" not in architecture:
        return models.build(architecture, options)
    factory = resolve(architecture, setting=setting)
    try:
        module = factory(**options)
    except UserError:
        raise
    except Exception as error:  # it is the user's, and may raise anything
        given = f" with {options}" if options else ""
        raise UserError(f"{setting}: '{architecture}'{given}: {first_line(error)}") from error
    if not isinstance(module, nn.Module):
        raise UserError(
            f"{setting}: '{architecture}' gave a {type(module).__name__}; it must give a "
            "torch.nn.Module"
        )
    return module


def save_generator(generator: Generator, folder: Path) -> None:
    make_folder(folder)
    save_tensors(folder / "model.safetensors", generator.module.state_dict())
    config = {"kind": "generator", **asdict(generator.spec), "fingerprint": generator.fingerprint}
    write_json(folder / "config.json", config)


def load_generator(folder: Path, *, factory: str = "") -> Generator:
    """What `save_generator` wrote.

    Args:
        factory: the `module:factory` that may be run to build it, for one that is not ours; a
            folder may come from elsewhere, and does not choose what code runs.

    Raises:
        UserError: it cannot be read, names other code, or its two files do not belong together.
    """
    config = read_config(folder, kind="generator", factory=factory)
    try:
        spec = GeneratorSpec(
            architecture=config["architecture"],
            options=config["options"],
            latent_shape=tuple(config["latent_shape"]),
            image_shape=tuple(config["image_shape"]),
            output_range=tuple(config["output_range"]),
            latent_space=config["latent_space"],
            truncation=config.get("truncation", 1.0),
            about=config.get("about", {}),
        )
    except KeyError as error:
        raise UserError(
            f"'{folder / 'config.json'}' lacks {error}; save the model again"
        ) from error
    module = build_module(spec.architecture, spec.options, setting=str(folder / "config.json"))
    load_weights(module, load_tensors(folder / "model.safetensors"), folder / "model.safetensors")
    generator = Generator(module, spec)
    if generator.fingerprint != config.get("fingerprint"):
        raise UserError(
            f"the weights in '{folder}' are not those its config.json was written for "
            f"({generator.fingerprint} against {config.get('fingerprint')}); copy both files again"
        )
    return generator


def save_classifier(
    module: nn.Module, folder: Path, *, architecture: str, options: dict[str, Any], **notes: Any
) -> None:
    """Write a judge: its weights, how to build it, and notes such as its classes and accuracy."""
    make_folder(folder)
    save_tensors(folder / "model.safetensors", module.state_dict())
    config = {"kind": "classifier", "architecture": architecture, "options": options, **notes}
    write_json(folder / "config.json", config)


def load_classifier(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """A judge in evaluation mode, frozen, and its `config.json`."""
    config = read_config(folder, kind="classifier")
    module = build_module(config["architecture"], config["options"], setting=str(folder))
    load_weights(module, load_tensors(folder / "model.safetensors"), folder / "model.safetensors")
    return module.eval().requires_grad_(False), config


def read_config(folder: Path, *, kind: str, factory: str = "") -> dict[str, Any]:
    """A folder's `config.json`, which names no code but `factory`."""
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or config.get("kind") != kind:
        raise UserError(f"'{folder / 'config.json'}' does not describe a {kind}")
    architecture = str(config.get("architecture", ""))
    if ":" in architecture and architecture != factory:
        wanted = (
            "generator.factory, with generator.weights = its model.safetensors"
            if kind == "generator"
            else "the classifier, as 'module:factory'"
        )
        raise UserError(
            f"'{folder}' wants to be built by '{architecture}', which would run that code; if you "
            f"trust it, name it yourself as {wanted}"
        )
    return config


def load_weights(module: nn.Module, state: dict[str, Any], path: Path, hint: str = "") -> None:
    """Load a state dict that must fit exactly.

    Raises:
        UserError: missing, unexpected or wrongly shaped keys, each named.
    """
    wanted = module.state_dict()
    missing = [key for key in wanted if key not in state and "num_batches_tracked" not in key]
    extra = [key for key in state if key not in wanted]
    wrong = [
        f"{key} is {list(state[key].shape)}, not {list(wanted[key].shape)}"
        for key in wanted
        if key in state and state[key].shape != wanted[key].shape
    ]
    said = [
        f"{what}: {', '.join(keys[:4])}{' …' if len(keys) > 4 else ''}"
        for what, keys in (("missing", missing), ("unexpected", extra), ("wrong shape", wrong))
        if keys
    ]
    if said:
        raise UserError(f"'{path}' does not fit the model: {'; '.join(said)}{hint}")
    module.load_state_dict(state, strict=False)
