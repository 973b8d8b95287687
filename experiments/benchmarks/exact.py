"""Benchmarks of the exact law, the closed forms, the InfoNCE optimum, and the proofs."""

from collections.abc import Iterator

import numpy as np
from scipy.special import ndtr

from experiments.benchmarks.timing import Row, once, seconds
from experiments.finite_samples import fitted_critics
from simulator.gaussian.critic import group_accuracy
from simulator.gaussian.statistics import cross_covariance, projected_critics
from simulator.streams import numpy_stream
from simulator.world import World
from theory.claims.catalogue import CLAIMS
from theory.learners import InfoNCE, LinearCLIP
from theory.proofs.checker import check
from theory.proofs.prover import prove

DIM = 512
REPLICATES = 50_000
RANGES = {"p_spu": (0.5, 1), "mu_spu": (0.5, 4), "sigma_inv": (0.5, 3), "sigma_spu": (0.1, 2)}
CAPTIONS = {"mention_inv": (0.02, 1), "mention_spu": (0.02, 1)}
PROOF_SECONDS = 60.0  # per proof


def rows() -> Iterator[Row]:
    yield projected_law(100_000)
    world, rng = World(dim_image=DIM, dim_text=DIM), numpy_stream(0, "benchmark/S")
    product = rng.standard_normal((DIM, DIM))
    yield Row(
        f"all of S, n = 5.85e9, d = {DIM}",
        "matrix",
        seconds(lambda: cross_covariance(world, 5_850_000_000, 1, rng)),
        limit=seconds(lambda: (rng.standard_normal((2, DIM, DIM)), product @ product)),
        note="limit: its random numbers and one product",
    )
    yield from closed_forms(2_000_000)
    yield from (masked_optimum(nu) for nu in (0.1, 1e-6))


def projected_law(n: int, replicates: int = REPLICATES) -> Row:
    """Accuracies of linear CLIP trained on n pairs, per replicate."""
    world = World(dim_image=DIM, dim_text=DIM)
    mixture = world.mixture()

    def ours() -> None:
        for critic in projected_critics(world, "name", n, replicates, 0):
            group_accuracy(critic, mixture, world.nu_image)

    def drawn() -> None:
        for critic in fitted_critics(world, LinearCLIP("name"), n, 1, 0, "benchmark"):
            group_accuracy(critic, mixture, world.nu_image)

    return Row(
        f"projected exact law, n = {n:.0e}, d = {DIM}",
        "replicate",
        seconds(ours) / replicates,
        once(drawn),
        random_numbers(),
        "peer: n pairs drawn and fitted; limit: its random numbers",
    )


def random_numbers(replicates: int = REPLICATES) -> float:
    """Seconds for the random numbers of one replicate: 4 means in 4 dimensions, a Wishart matrix of 4, counts."""
    rng = numpy_stream(0, "benchmark")

    def draw() -> None:
        rng.standard_normal((replicates, 32))
        rng.standard_gamma(100.0, (replicates, 5))
        rng.multinomial(10**6, [0.45, 0.05, 0.05, 0.45], replicates)

    return seconds(draw) / replicates


def closed_forms(count: int) -> Iterator[Row]:
    """Closed-form accuracies, and the validation of a grid of worlds."""
    rng = numpy_stream(0, "benchmark/worlds")
    fields = {name: rng.uniform(*ends, count) for name, ends in RANGES.items()}
    worlds = World(**fields, sigma_xi=0.0)
    parts = np.array_split(fields["p_spu"], count // 8192)
    yield Row(
        "closed-form group accuracies",
        "world",
        seconds(lambda: LinearCLIP().accuracy(worlds)) / count,
        limit=2 * seconds(lambda: [ndtr(part) for part in parts]) / count,
        note="limit: two evaluations of Phi",
    )
    yield Row(
        "a validated grid of worlds",
        "world",
        seconds(lambda: World(**fields, sigma_xi=0.0)) / count,
        limit=seconds(lambda: [field.copy() for field in fields.values()]) / count,
        note="limit: a copy of its four fields",
    )


def masked_optimum(nu: float, count: int = 200) -> Row:
    """The InfoNCE optimum with the average caption and masked captions, to 1e-6."""
    rng, dim = numpy_stream(0, "benchmark/masks"), 64
    fields = {name: rng.uniform(*ends, count) for name, ends in {**RANGES, **CAPTIONS}.items()}
    worlds = World(**fields, sigma_xi=(nu * dim) ** 0.5, dim_image=dim, dim_text=dim)
    return Row(
        f"InfoNCE optimum, masked captions, nu = {nu:g}",
        "world",
        seconds(lambda: InfoNCE("mean").accuracy(worlds)) / count,
    )


def proofs() -> Iterator[Row]:
    """All proofs and refutations. The prover bounds boxes in outward-rounded float64, the checker in Arb balls."""
    found = [(claim, prove(claim, seconds=PROOF_SECONDS)) for claim in CLAIMS]
    found = [(claim, proof) for claim, proof in found if proof.certificate is not None]
    checker = once(lambda: [check(proof.certificate, claim) for claim, proof in found])
    prover, boxes = sum(proof.seconds for _, proof in found), sum(proof.boxes for _, proof in found)
    yield Row(f"all {len(found)}, {boxes:,} boxes", "run", prover, checker, note="peer: the checker")
