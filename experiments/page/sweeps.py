"""The tables behind the figures, as labelled arrays (xarray): theory on a grid, measurements beside it.

Accuracies are fractions. Every measured table carries n, replicates and seed in its attributes.
"""

import numpy as np
import torch
import xarray as xr

from experiments.court.routes import measure
from experiments.trainings import learned_critics
from simulator.gaussian.critic import group_accuracy
from simulator.gaussian.pairs import draw_latents
from simulator.gaussian.statistics import cross_covariance
from simulator.streams import numpy_stream
from simulator.world import World, Worlds, view_noise
from theory.accuracy import linear_accuracy
from theory.boundary import neutral_correlation
from theory.claims.claim import Claim
from theory.claims.quarrel import MAP_VIEW_NOISE
from theory.learners import Bayes, InfoNCE, LeastSquares, LinearCLIP, Logistic
from theory.learners.infonce import nearest_prompt_weights
from theory.population import block_covariance
from theory.proofs import boundaries as proved
from theory.proofs.roots import WIDTH, single
from theory.published import smallest_mu_spu, theorem_62_bounds

# The world of the paper's theorem made visible: a background twice as loud as the object, no view noise.
LOUD = {"mu_spu": 2.0, "sigma_inv": 1.0, "sigma_spu": 0.5}


def error_against_correlation(
    seed: int, n: int = 1000, replicates: int = 400, drawn_replicates: int = 20
) -> xr.Dataset:
    """Error on the counter group against p_spu: printed bound, corrected law (both prompts), two measurements.

    exact and drawn hold the mean over replicates; exact_low, exact_high the central 95% of single trainings.
    """
    p = np.linspace(0.5, 1.0, 101)
    worlds = Worlds(p_spu=p, sigma_xi=0.0, **LOUD)
    measured = np.linspace(0.5, 1.0, 11)
    table = xr.Dataset(
        {
            "printed": ("p_spu", theorem_62_bounds(p, **LOUD).error_counter),
            "name": ("p_spu", 1 - LinearCLIP("name").accuracy(worlds).counter),
            "mean": ("p_spu", 1 - LinearCLIP("mean").accuracy(worlds).counter),
        },
        coords={"p_spu": p, "p_measured": measured},
        attrs={"n": n, "replicates": replicates, "drawn_replicates": drawn_replicates, "seed": seed, **LOUD},
    )
    for prompt in ("name", "mean"):
        exact = np.stack([_counter_errors(x, prompt, n, replicates, seed, "exact law") for x in measured])
        drawn = np.stack([_counter_errors(x, prompt, n, drawn_replicates, seed, "drawn pairs") for x in measured])
        table[f"exact_{prompt}"] = ("p_measured", exact.mean(1))
        table[f"exact_{prompt}_low"] = ("p_measured", np.quantile(exact, 0.025, axis=1))
        table[f"exact_{prompt}_high"] = ("p_measured", np.quantile(exact, 0.975, axis=1))
        table[f"drawn_{prompt}"] = ("p_measured", drawn.mean(1))
    return table


def _counter_errors(p: float, prompt: str, n: int, replicates: int, seed: int, route: str) -> np.ndarray:
    world = World(p_spu=float(p), sigma_xi=0.0, dim_image=2, dim_text=2, **LOUD)
    critics = learned_critics(world, LinearCLIP(prompt), n, replicates, seed, f"figure/{p:.2f}/{prompt}", route)
    return 1 - np.concatenate([group_accuracy(c, world.mixture(), world.nu_image)[:, 1] for c in critics])


def boundary(points: int = 81) -> xr.Dataset:
    """p at which each printed inequality of Theorem 6.2 turns, over mu_spu and sigma_inv at sigma_spu = .5.

    error and accuracy hold the middles of enclosures; error_line and accuracy_line the mu_spu at which the turn is at
    each of `level`, enclosed along mu_spu. nan where the theorem's condition mu_spu >= (sigma_inv^2 + 2)/2 (and
    sigma_inv > sigma_spu) is not met, and on lines that do not hold exactly one enclosure and nothing undecided.
    """
    mu, sigma_inv, level = np.linspace(1.0, 4.0, points), np.linspace(0.5, 2.0, points), np.array([0.6, 0.7, 0.8, 0.9])
    least = smallest_mu_spu(sigma_inv)
    M, S = np.meshgrid(mu, sigma_inv, indexing="ij")
    P, T = np.meshgrid(level, sigma_inv, indexing="ij")
    inside = least <= M
    turns = proved.turning_points(mu_spu=M[inside], sigma_inv=S[inside], sigma_spu=0.5)
    lines = proved.turning_points("mu_spu", least.min(), mu[-1], p_spu=P, sigma_inv=T, sigma_spu=0.5)
    table = xr.Dataset(
        {"neutral": ("mu_spu", neutral_correlation(mu))},
        coords={"mu_spu": mu, "sigma_inv": sigma_inv, "level": level},
        attrs={"sigma_spu": 0.5, "width": WIDTH},
    )
    for name, turn, line in zip(("error", "accuracy"), turns, lines, strict=True):
        values = np.full(M.shape, np.nan)
        values[inside] = single(turn, int(inside.sum()))
        curve = single(line, P.size).reshape(P.shape)
        table[name] = (("mu_spu", "sigma_inv"), values)
        table[f"{name}_line"] = (("level", "sigma_inv"), np.where(curve >= least, curve, np.nan))
    return table


CONTRASTIVE = {
    "linear CLIP, name": LinearCLIP("name"),
    "linear CLIP, mean": LinearCLIP("mean"),
    "InfoNCE, name": InfoNCE("name"),
    "InfoNCE, mean": InfoNCE("mean"),
}
SUPERVISED = {
    "logistic": Logistic(),
    "least squares": LeastSquares(),
    "Bayes": Bayes(),
}


def supervised_map(points: int = 15) -> xr.DataArray:
    """Counter accuracy, contrastive minus supervised, over (1 - p_spu, mu_spu, sigma_spu); sigma_inv = 1.

    Dimensions contrastive, supervised, one_minus_p, mu_spu, sigma_spu; positive where contrastive is the more
    robust. View noise nu = MAP_VIEW_NOISE for all, since InfoNCE needs some.
    """
    gap = np.array([1e-1, 1e-2, 1e-3, 1e-5])
    mu, sigma = np.linspace(0.5, 3.0, points), np.linspace(0.2, 2.5, points)
    P, M, S = np.meshgrid(1 - gap, mu, sigma, indexing="ij")
    worlds = Worlds(p_spu=P, mu_spu=M, sigma_spu=S, sigma_xi=view_noise(MAP_VIEW_NOISE))
    ours = [learner.accuracy(worlds).counter for learner in CONTRASTIVE.values()]
    theirs = [learner.accuracy(worlds).counter for learner in SUPERVISED.values()]
    return xr.DataArray(
        np.stack(ours)[:, None] - np.stack(theirs)[None],
        coords={
            "contrastive": list(CONTRASTIVE),
            "supervised": list(SUPERVISED),
            "one_minus_p": gap,
            "mu_spu": mu,
            "sigma_spu": sigma,
        },
        dims=("contrastive", "supervised", "one_minus_p", "mu_spu", "sigma_spu"),
        attrs={"sigma_inv": 1.0, "nu": MAP_VIEW_NOISE},
    )


def map_shares(table: xr.DataArray, tau: float = 0.005) -> list[dict]:
    """Per pair of learners and correlation: shares of the mapped region on either side, beyond tau."""
    rows = []
    for c in table.contrastive.values:
        for s in table.supervised.values:
            for gap in table.one_minus_p.values:
                cell = table.sel(contrastive=c, supervised=s, one_minus_p=gap).values
                rows.append(
                    {
                        "contrastive": str(c),
                        "supervised": str(s),
                        "p_spu": float(1 - gap),
                        "contrastive_more_robust": float((cell > tau).mean()),
                        "supervised_more_robust": float((cell < -tau).mean()),
                    }
                )
    return rows


def infonce_bridge(seed: int, images: int = 20_000) -> xr.Dataset:
    """Group accuracies of InfoNCE's optimum (name prompt) against view noise nu, between its two linear limits.

    p_spu = .9 in the loud world. drawn_* are the optimum's decisions counted on `images` drawn images a group.
    """
    nu = np.geomspace(1e-4, 1e2, 61)
    worlds = Worlds(p_spu=0.9, sigma_xi=view_noise(nu), **LOUD)
    accuracy = InfoNCE("name").accuracy(worlds)
    nearest = linear_accuracy(nearest_prompt_weights(worlds, "name"), worlds)
    linear = LinearCLIP("name").accuracy(worlds)
    table = xr.Dataset(
        coords={"nu": nu, "nu_drawn": np.geomspace(1e-4, 1e2, 7)}, attrs={"images": images, "seed": seed}
    )
    for group in ("common", "counter"):
        table[group] = ("nu", getattr(accuracy, group))
        table[f"nearest_{group}"] = ("nu", getattr(nearest, group))
        table[f"linear_{group}"] = ("nu", getattr(linear, group))
        probe = Claim(
            id=f"figure-infonce-{group}",
            source="figure",
            statement="",
            quantity=group,
            relation="=",
            domain={},
            subject=InfoNCE("name"),
        )
        drawn = [
            measure(
                probe,
                {"p_spu": 0.9, "sigma_xi": float(view_noise(v)), **LOUD},
                images,
                seed,
                {probe.subject: "drawn images"},
            ).mean
            for v in table.nu_drawn.values
        ]
        table[f"drawn_{group}"] = ("nu_drawn", np.array(drawn))
    return table


def minimiser_error(seed: int, replicates: int = 50, dim: int = 16) -> xr.Dataset:
    """||S - D_I C D_T'|| in operator norm against n, for `replicates` exact draws of S in the default world."""
    world = World(dim_image=dim, dim_text=dim)
    population = np.zeros((dim, dim))
    population[:2, :2] = block_covariance(Worlds.of(world))
    n = 10.0 ** np.arange(2, 11)
    errors = np.array(
        [
            [
                np.linalg.norm(cross_covariance(world, int(x), numpy_stream(seed, f"rate/{x:.0f}", r)) - population, 2)
                for r in range(replicates)
            ]
            for x in n
        ]
    )
    return xr.Dataset(
        {"error": (("n", "replicate"), errors)},
        coords={"n": n},
        attrs={"replicates": replicates, "dim": dim, "seed": seed, "nu": world.nu_image},
    )


def latent_sample(seed: int, size: int = 600) -> xr.Dataset:
    """Latents of `size` training pairs of the loud world at p_spu = .9, with label, background and three rules.

    `rules` holds (u_inv, u_spu) of linear CLIP under both prompts and of logistic regression.
    """
    world = World(p_spu=0.9, sigma_xi=0.0, dim_image=2, dim_text=2, **LOUD)
    y, a, z, _ = draw_latents(world, size, seed, 0, stream="figure/latents", device="cpu", dtype=torch.float64)
    rules = {
        "linear CLIP, name prompt": LinearCLIP("name").direction(world),
        "linear CLIP, mean prompt": LinearCLIP("mean").direction(world),
        "logistic regression": Logistic().direction(world),
    }
    return xr.Dataset(
        {
            "z": (("pair", "latent"), z.numpy()),
            "label": ("pair", 1 - 2 * y.numpy()),
            "background": ("pair", 1 - 2 * a[:, 0].numpy()),
            "rules": (("rule", "latent"), np.stack(list(rules.values()))),
        },
        coords={"rule": list(rules), "latent": ["inv", "spu"]},
        attrs={"size": size, "seed": seed, "p_spu": 0.9, **LOUD},
    )
