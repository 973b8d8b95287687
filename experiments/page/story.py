"""What the report says in words: the answer to its title, and a caption a figure."""

from typing import Any


def answer(shares: list[dict[str, Any]]) -> list[str]:
    """The title question in three sentences, every number computed; `shares` as `sweeps.map_shares` gives them."""
    from experiments.page.sweeps import LOUD
    from simulator.world import Worlds, view_noise
    from theory.learners import InfoNCE, LinearCLIP, Logistic

    def points(accuracy) -> str:
        return f"{100 * float(accuracy.common):.1f}/{100 * float(accuracy.counter):.1f}"

    def share(contrastive: str, ahead: str = "contrastive") -> str:
        rows = [r for r in shares if r["contrastive"] == contrastive and r["supervised"] == "logistic"]
        return f"{100 * sum(r[f'{ahead}_more_robust'] for r in rows) / len(rows):.0f} %"

    strong, certain = (Worlds(p_spu=p, sigma_xi=view_noise(0.01), **LOUD) for p in (0.9, 1 - 1e-5))
    logistic = [Logistic().accuracy(w) for w in (strong, certain)]
    name, mean = (points(LinearCLIP(prompt).accuracy(strong)) for prompt in ("name", "mean"))
    return [
        "It depends on the prompt, on the loss and on how certain the correlation is, more than on being contrastive: "
        "where the background is twice as loud as the animal and matches it in 90 % of the pairs, linear CLIP is right "
        f"on {name} % of the common/counter group when prompted with the bare class "
        f"name and on {mean} % when prompted with the average caption, while the "
        f"optimum of the InfoNCE loss that CLIP really minimises reaches {points(InfoNCE('name').accuracy(strong))} % "
        f"and {points(InfoNCE('mean').accuracy(strong))} % with the same two prompts.",
        f"Supervised logistic regression on the same images is right on {points(logistic[0])} %, so it beats linear "
        "CLIP there; but as the correlation becomes certain, the limit in which the published theorem is stated, it "
        f"falls to {points(logistic[1])} % against {points(LinearCLIP('name').accuracy(certain))} % of linear CLIP.",
        "So the theorem shows that CLIP can be bad, not that it is worse than supervised learning, and neither paper's "
        "ranking holds in general: over the mapped worlds linear CLIP (name prompt) is ahead of logistic regression on "
        f"the counter group in {share('linear CLIP, name')} and behind in {share('linear CLIP, name', 'supervised')}, "
        f"the InfoNCE optimum with the same prompt ahead in {share('InfoNCE, name')} and with the average caption "
        f"behind in {share('InfoNCE, mean', 'supervised')}.",
    ]


def latents_caption(table) -> str:
    return (
        f"{table.size} training pairs at p_spu = {table.p_spu}: circles have the background of their class (common), "
        "crosses do not (counter). Each line is where a rule changes its mind; the flatter it is, the more the "
        "background decides."
    )


def curves_caption(table) -> str:
    return (
        "Error on the counter group against the correlation. Points with bars: exact law of training on "
        f"n = {table.n} pairs, mean and central 95 % of {table.replicates} trainings; crosses: mean of "
        f"{table.drawn_replicates} trainings on drawn pairs. Where the black dashed line lies above a coloured one, "
        "the printed lower bound is violated."
    )


BOUNDARY_CAPTION = (
    "The correlation above which each printed inequality of Theorem 6.2 holds, at σ_spu = 0.5; it is false below. "
    "White where the theorem's own condition fails."
)


def maps_caption(table) -> str:
    return (
        "Counter accuracy of each contrastive optimum minus that of logistic regression, by closed form and "
        "quadrature. Black: equal. Dashed: σ_spu = σ_inv; the theorem is stated to its left. View noise "
        f"ν = {table.nu}."
    )


def bridge_caption(table) -> str:
    return (
        "The optimum of InfoNCE at p_spu = 0.9, name prompt, between the nearest prompt in latent space (no view "
        "noise: perfectly robust) and linear CLIP (much noise). Points: decisions counted on "
        f"{table.images} drawn images a group."
    )


def rate_caption(table) -> str:
    return (
        f"Error of the minimiser in operator norm, d = {table.dim}: mean and central 95 % of {table.replicates} exact "
        "draws. The lemma claims n^-1/4; the truth is n^-1/2."
    )
