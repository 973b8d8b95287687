"""One batch shared among processes that torchrun started: each embeds its own rows, and the loss is
the whole batch's.

Process r of W holds rows [r B/W, (r + 1) B/W) of the batch. Shares add up to the loss, and their
gradients to its gradient. Parameters' gradients are therefore summed, never averaged or multiplied
by W (open_clip issue 616).
"""

import os
from typing import NamedTuple

import torch
import torch.distributed as dist


class Group(NamedTuple):
    """Rank of this process and number of processes that share a batch."""

    rank: int = 0
    size: int = 1


ALONE = Group()


def join(device: str) -> Group:
    """The group of processes that torchrun started (NCCL on CUDA, else gloo); ALONE without
    torchrun.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    if not dist.is_initialized():
        on_cuda = device.startswith("cuda")
        if on_cuda:
            # NCCL's barrier, and tensors on a bare "cuda", go to the current device
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if on_cuda else "gloo")
    return Group(dist.get_rank(), dist.get_world_size())


def leave(group: Group) -> None:
    """Wait for all processes, then leave the group: a process that ends earlier makes the others
    fail.
    """
    if group.size > 1:
        dist.barrier()
        dist.destroy_process_group()


def local_device(device: str) -> str:
    """The device of this process: the CUDA device with torchrun's local number if there are
    several.
    """
    return (
        f"cuda:{os.environ['LOCAL_RANK']}"
        if device == "cuda" and "LOCAL_RANK" in os.environ
        else device
    )


def rows(group: Group, batch_size: int) -> slice:
    """Rows of this process. Raises ValueError unless the batch divides evenly."""
    if batch_size % group.size:
        nearest = max(1, round(batch_size / group.size)) * group.size
        raise ValueError(
            f"batch_size = {batch_size} does not divide over {group.size} processes; {nearest} is"
            " the nearest"
        )
    share = batch_size // group.size
    return slice(group.rank * share, (group.rank + 1) * share)


def combined(group: Group, x: torch.Tensor, operation: str = "SUM") -> torch.Tensor:
    """Elementwise sum, or another torch reduction, over processes; has no gradient."""
    if group.size == 1:
        return x
    x = x.contiguous().clone()
    dist.all_reduce(x, op=getattr(dist.ReduceOp, operation))
    return x


def anywhere(group: Group, flag: bool) -> bool:
    """Whether the flag is true in any process; all processes must call this."""
    if group.size == 1:
        return flag
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    return bool(combined(group, torch.tensor([int(flag)], device=device), "MAX"))


def gather(group: Group, x: torch.Tensor) -> torch.Tensor:
    """Concatenate all processes' rows (E, b, ...) to (E, B, ...); gradients from all processes flow
    back.
    """
    return x if group.size == 1 else _Gather.apply(x, group)


# torch.distributed.nn.functional.all_gather is deprecated in torch 2.13. Over gloo it silently
# transposes an upstream gradient that is stored by columns.
class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(x, group):
        parts = [
            torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(group.size)
        ]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts, dim=1)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.group = inputs

    @staticmethod
    def backward(ctx, upstream):
        return combined(ctx.group, upstream)[:, rows(ctx.group, upstream.shape[1])], None
