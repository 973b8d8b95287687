"""Reading weights. Whatever a library raises becomes one sentence, and code that is stored in a file does not run."""

import logging
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.errors import RequestError, SoberclipError

HUB = "huggingface.co"


@contextmanager
def loading(what: str, way_out: str = "") -> Iterator[None]:
    """Turns what a library raises into RequestError, and silences its warnings.

    `way_out` says what to do without a network. Then the hub's client, which would retry for most of a minute, is
    switched to its cache.
    """
    import huggingface_hub.constants as constants  # optional extra

    offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = offline or (way_out != "" and not reachable(HUB))
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    except (SoberclipError, ImportError):
        raise
    except Exception as error:  # transformers, open_clip, torch, json and the hub's client raise different types
        hint = f"; without a network {way_out}" if way_out else ""
        raise RequestError(f"{what} cannot be loaded ({type(error).__name__}: {one_line(error)}){hint}") from error
    finally:
        constants.HF_HUB_OFFLINE = offline
        logging.disable(disabled)


def reachable(host: str) -> bool:
    """Whether the host accepts a connection on its port for https within three seconds."""
    import urllib.request  # start-up time

    if urllib.request.getproxies():
        return True  # a proxy resolves names, so only the client can find out
    try:
        with socket.create_connection((host, 443), timeout=3):
            return True
    except OSError:
        return False


@contextmanager
def fitting(file: Path, trust_pickle: bool) -> Iterator[None]:
    """Load a weights file into a model: weights that do not fit, and code, become one sentence."""
    try:
        yield
    except RequestError:
        raise
    except Exception as error:  # torch, safetensors, open_clip and pickle raise different types
        if not trust_pickle and "weights_only" in str(error):
            raise RequestError(
                f"{str(file)!r} holds code beside its weights (TorchScript or pickle), which loading would run; "
                "convert it to safetensors, or pass --trust-pickle if you trust its origin"
            ) from error
        raise RequestError(f"the weights in {str(file)!r} do not fit the model ({one_line(error)})") from error


def read_state(file: Path, trust_pickle: bool, averaged: bool | None = None) -> dict[str, Any]:
    """Names and tensors of a checkpoint of timm's or torchvision's training scripts, or of a plain weights file.

    Raises RequestError if the file has weights and their running mean and `averaged` is None, and if the chosen one is
    missing.
    """
    import torch  # start-up time
    from timm.models import clean_state_dict  # optional extra

    if file.suffix == ".safetensors":
        from safetensors.torch import load_file  # optional extra

        checkpoint = load_file(file)
    else:
        checkpoint = torch.load(file, map_location="cpu", weights_only=not trust_pickle)
    keys = ("state_dict", "model", "state_dict_ema", "model_ema")
    held = [key for key in keys if isinstance(checkpoint.get(key), Mapping)]
    chosen = [key for key in held if averaged in (None, key.endswith("_ema"))]
    if len(chosen) > 1 or (not chosen and (held or averaged)):
        raise RequestError(f"{str(file)!r} holds {', '.join(held) or 'weights alone'}: see --ema and --no-ema")
    return clean_state_dict(checkpoint[chosen[0]] if chosen else checkpoint)


def one_line(error: BaseException) -> str:
    """An error's message in one line of 200 characters at most."""
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
