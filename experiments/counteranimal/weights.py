"""Weights from a hub or from a file. Every failure becomes one sentence that names the cause and a way out.

Code that is stored in a file does not run, unless the user says so.
"""

import errno
import logging
import re
import socket
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.errors import RequestError, RunError

HUB = "huggingface.co"
FETCHING = ("huggingface_hub", "httpx", "httpcore", "requests", "urllib", "ssl", "socket")  # network libraries
LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)  # errors of this machine's disk
OPENAI_EXTRAS = ("input_resolution", "context_length", "vocab_size")  # numbers that OpenAI's archives store as weights
# Keys of weights and of their exponential moving average in checkpoints of timm's and torchvision's scripts, and
# prefixes of names that torch.compile and DistributedDataParallel add.
WEIGHTS = ("state_dict", "model")
AVERAGES = ("state_dict_ema", "model_ema")
PREFIXES = ("_orig_mod.", "module.")
BY_FILE = "download the file where there is a network and pass it with --weights FILE"


@contextmanager
def hub(what: str, way_out: str = BY_FILE, host: str = HUB) -> Iterator[None]:
    """Fetch from a hub or, without a network, from its cache. Raises RequestError or, for a full disk, RunError.

    Without a network the hub's client would retry for most of a minute, so it is switched to its cache.
    """
    import huggingface_hub.constants as constants  # optional extra

    offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = offline or not reachable(host)
    try:
        yield
    except (RequestError, ImportError):
        raise
    except Exception as error:  # each library has its own exception types for a failed download
        disk = next((e for e in _chain(error) if isinstance(e, OSError) and e.errno in LOCAL), None)
        if disk is not None:
            raise RunError(f"{what} could not be written to disk ({disk.strerror}: {disk.filename})") from error
        said = first_line(error).partition(". ")[0]
        if any(_is_network(e) for e in _chain(error)):
            raise RequestError(f"{what} could not be fetched from {host} ({said}); {way_out}") from error
        raise RequestError(f"{what} could not be loaded ({type(error).__name__}: {said})") from error
    finally:
        constants.HF_HUB_OFFLINE = offline


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, its cause, the cause of that, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_network(error: BaseException) -> bool:
    local = isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError) and error.filename
    return type(error).__module__.split(".")[0] in FETCHING or (isinstance(error, OSError) and not local)


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
def quiet() -> Iterator[None]:
    """Silences warnings: open_clip warns about a model whose weights are loaded later."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)


@contextmanager
def unreadable(what: str) -> Iterator[None]:
    """Turns whatever a library raises while it reads a folder into one sentence."""
    try:
        yield
    except (RequestError, ImportError):
        raise
    except Exception as error:  # transformers passes on what json, safetensors and tokenizers raise
        raise RequestError(f"{what} cannot be loaded ({first_line(error)})") from error


@contextmanager
def fitting(file: Path, trust_pickle: bool) -> Iterator[None]:
    """Load a weights file into a model: names the keys that do not fit, and refuses code."""
    try:
        if is_torchscript(file) and not trust_pickle:
            raise RequestError(_stores_code(file))
        yield
    except RequestError:
        raise
    except Exception as error:  # torch, timm, open_clip and pickle raise different types
        text = str(error)
        keys = [a or b for a, b in re.findall(r'"([^"\s]+)"|size mismatch for ([^:]+):', text)]
        if not trust_pickle and ("weights_only" in text.lower() or "Unsupported" in text):
            raise RequestError(_stores_code(file)) from error
        if keys:
            raise RequestError(
                f"the weights in {str(file)!r} do not fit the model: missing, unexpected or of another shape are "
                f"{listed(keys)}"
            ) from error
        raise RequestError(f"{str(file)!r} cannot be read as weights ({first_line(error)})") from error


def _stores_code(file: Path) -> str:
    return (
        f"{str(file)!r} holds code beside its weights (TorchScript or pickle), which loading would run; "
        "convert it to safetensors, or pass --trust-pickle if you trust its origin"
    )


def is_torchscript(file: Path) -> bool:
    """Whether a file is a zip file with constants; torch.load uses the same test."""
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.partition("/")[2] == "constants.pkl" for name in archive.namelist())


def read_state(file: Path, trust_pickle: bool, averaged: bool | None = None) -> dict[str, Any]:
    """Names and tensors of a weights file: safetensors, torch's format or, if trusted, a TorchScript archive.

    Checkpoints may hold weights under one of WEIGHTS, their running mean under one of AVERAGES, and PREFIXES in names.
    Raises RequestError if a file has weights and their mean and `averaged` is None, and if the chosen one is missing.
    """
    import torch  # start-up time

    if file.suffix == ".safetensors":
        from safetensors.torch import load_file  # optional extra

        return _chosen(load_file(file), file, averaged)
    if is_torchscript(file):
        state = torch.jit.load(file, map_location="cpu").state_dict()
        return _chosen({n: value for n, value in state.items() if n not in OPENAI_EXTRAS}, file, averaged)
    return _chosen(torch.load(file, map_location="cpu", weights_only=not trust_pickle), file, averaged)


def _chosen(document: dict[str, Any], file: Path, averaged: bool | None) -> dict[str, Any]:
    plain, mean = ([key for key in keys if isinstance(document.get(key), Mapping)] for keys in (WEIGHTS, AVERAGES))
    if averaged and not mean:
        raise RequestError(f"{str(file)!r} has no running mean of its weights; leave --ema out")
    if averaged is None and mean and plain:
        raise RequestError(
            f"{str(file)!r} holds weights ({plain[0]}) and their running mean ({mean[0]}); say which with --ema or "
            "--no-ema"
        )
    if averaged is False and mean and not plain:
        raise RequestError(f"{str(file)!r} has only a running mean of weights; leave --no-ema out")
    keys = plain if averaged is False or not mean else mean
    state = document[keys[0]] if keys else document
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def listed(keys: list[str]) -> str:
    """The first three of a list of names, and how many more."""
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return f"{', '.join(keys[:3])}{more}"


def first_line(error: BaseException) -> str:
    """The first line of an error's message, 200 characters at most."""
    return str(error).strip().split("\n")[0][:200].rstrip(".") or type(error).__name__
