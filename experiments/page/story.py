"""What the report says in words: the answer to its title, the words that it uses, and a caption a figure."""

from typing import Any

from simulator.world import World

# The world of the answer as flags of `predict`: every number of the first two sentences is printed by this command.
COMMAND = "soberclip predict --mu-spu 2 --sigma-xi 0.8"
ANSWER_WORLD = {"mu_spu": 2.0, "sigma_xi": 0.8}
CERTAIN = 0.99999

PROVED = (
    "Proved says more than supported: at every point of the claim's domain, between the searched and audited ones too, "
    "the closed form keeps the claim to within τ. Exact algebra shows it, or outward-rounded interval arithmetic on "
    "boxes that fill the domain; a certificate holds every step, and a checker that shares no line with the prover has "
    "read it (`soberclip check --prove --output FOLDER` writes certificates, `--verify FOLDER` reads them again). A "
    "contradiction is rigorous likewise if at one point, in the same arithmetic, the closed form fails by more than τ. "
    "Such statements have no error rate, and they are about formulas: that the formula describes the world is what the "
    "audits measure, at their error rate. Finitely many pairs, training, operator norms and learners whose optimum is "
    "no formula of the fields (InfoNCE, Bayes, and logistic regression below full correlation) are not covered, nor "
    "are faults of the machine and of the libraries that the checker stands on."
)

GLOSSARY = {
    "common, counter": "the two groups of test images: the background is the usual one of the class, or it is not",
    "balanced, drop": "mean of the accuracies on both groups, and common minus counter",
    "error-counter": "one minus the accuracy on the counter group",
    "name, mean prompt": "a class is asked for by its bare name, or by its average training caption",
    "reliance": "weight on the background per weight on the animal; smaller is more robust",
    "p_spu": "probability that the background matches the label in training",
    "mu, sigma": "mean and standard deviation of a latent: the animal's (inv) and the background's (spu)",
    "ν (nu)": "view noise: variance σ_ξ²/d of each coordinate of an image or a caption",
    "exact law": "statistics of n training pairs drawn from their exact distribution, no pair drawn",
    "drawn pairs, drawn images": "training pairs, or test images, drawn one by one",
    "n": "training pairs (test images, models or photos where the route says so)",
    "τ, α": "violations up to τ do not contradict; α is the error rate that the claim is tried at",
}


def answer(shares: list[dict[str, Any]]) -> list[str]:
    """The title question in three sentences, every number computed; `shares` as `sweeps.map_shares` gives them.

    Commands stand between backquotes.
    """
    from theory.claims.quarrel import MAP_VIEW_NOISE
    from theory.learners import InfoNCE, LinearCLIP, Logistic

    def share(contrastive: str, ahead: str = "contrastive") -> str:
        rows = [r for r in shares if r["contrastive"] == contrastive and r["supervised"] == "logistic"]
        return f"{100 * sum(r[f'{ahead}_more_robust'] for r in rows) / len(rows):.0f} %"

    name, mean = points(LinearCLIP("name")), points(LinearCLIP("mean"))
    logistic, certain = points(Logistic()), (points(Logistic(), CERTAIN), points(LinearCLIP("name"), CERTAIN))
    return [
        "It depends on the prompt, on the loss and on how certain the correlation is, more than on being contrastive: "
        "where the background is twice as loud as the animal and matches it in 90 % of the pairs, with view noise "
        f"ν = {_noise():.2g} (`{COMMAND}`), linear CLIP is right on {name} % of the common/counter group when prompted "
        f"with the bare class name and on {mean} % when prompted with the average caption (`--prompt mean`), while the "
        f"optimum of the InfoNCE loss that CLIP really minimises (`--learner infonce`) reaches "
        f"{points(InfoNCE('name'))} % and {points(InfoNCE('mean'))} % with the same two prompts.",
        f"Supervised logistic regression on the same images (`--learner logistic`) is right on {logistic} %, so it "
        "beats linear CLIP there; but as the correlation becomes certain, the limit in which the published theorem is "
        f"stated, it falls to {certain[0]} % against {certain[1]} % of linear CLIP "
        f"(`--p-spu {CERTAIN}`).",
        "So the theorem shows that CLIP can be bad, not that it is worse than supervised learning, and neither paper's "
        f"ranking holds in general: over the mapped worlds (ν = {MAP_VIEW_NOISE}, `soberclip reproduce`) linear CLIP "
        "(name prompt) is ahead of logistic regression on the counter group in "
        f"{share('linear CLIP, name')} and behind in "
        f"{share('linear CLIP, name', 'supervised')}, the InfoNCE optimum with the same prompt ahead in "
        f"{share('InfoNCE, name')} and with the average caption behind in {share('InfoNCE, mean', 'supervised')}.",
    ]


def points(learner, p_spu: float = World().p_spu) -> str:
    """Common/counter accuracy in percent, as `predict` prints it for the answer's world."""
    from experiments.lab.answers import predict

    document = predict(World(**ANSWER_WORLD, p_spu=p_spu), learner)
    return f"{100 * document['common']:.2f}/{100 * document['counter']:.2f}"


def _noise() -> float:
    return World(**ANSWER_WORLD).nu_image


def latents_caption(table) -> str:
    return (
        f"{table.size} training pairs at p_spu = {table.p_spu}, ν = 0: circles have the background of their class "
        "(common), crosses do not (counter). Each line is where a rule changes its mind; the flatter it is, the more "
        "the background decides."
    )


def curves_caption(table) -> str:
    return (
        "Error on the counter group against the correlation, without view noise (ν = 0). Points with bars: exact law "
        f"of training on n = {table.n} pairs, mean and central 95 % of {table.replicates} trainings; crosses: mean of "
        f"{table.drawn_replicates} trainings on drawn pairs. Where the black dashed line lies above a coloured one, "
        "the printed lower bound is violated."
    )


def boundary_caption(table) -> str:
    return (
        "The correlation above which each printed inequality of Theorem 6.2 holds, at σ_spu = "
        f"{table.sigma_spu} and ν = 0; it is false below. White where the theorem's own condition fails. All turns are "
        f"enclosed: each in an interval of at most {table.width:.0e} that interval Newton proves to hold exactly one, "
        "with no other between p_spu = 1/2 and 1."
    )


def maps_caption(table) -> str:
    return (
        "Counter accuracy of each contrastive optimum minus that of logistic regression, by closed form and "
        f"quadrature, at view noise ν = {table.nu}. Black: equal. Dashed: σ_spu = σ_inv; the theorem is stated to its "
        "left. Differences beyond 60 points have the colour of the bar's arrows."
    )


def bridge_caption(table) -> str:
    return (
        "The optimum of InfoNCE at p_spu = 0.9, name prompt, between the nearest prompt in latent space (no view "
        "noise: perfectly robust) and linear CLIP (much noise). Points: decisions counted on "
        f"{table.images} drawn images a group."
    )


def rate_caption(table) -> str:
    return (
        f"Error of the minimiser in operator norm, d = {table.dim}, ν = {table.nu:.4g}: mean and central 95 % of "
        f"{table.replicates} exact draws. The lemma claims n^-1/4; the truth is n^-1/2."
    )
