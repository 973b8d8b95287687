"""The report's text: the answer to its title, how verdicts are reached, and the glossary.

Functions import what they need when they run, for start-up time.
"""

from typing import Any

from simulator.world import World

# The world of the answer, as flags of `predict`. Each number of the answer is printed by the command beside it.
COMMAND = "soberclip predict --mu-spu 2 --sigma-xi 0.8"
ANSWER_WORLD = {"mu_spu": 2.0, "sigma_xi": 0.8}
CERTAIN = 0.99999

DECIDED = (
    "A claim is contradicted if drawn data show, at one point of its domain, a violation above its tolerance τ. A "
    "confidence bound decides this.",
    "A claim is supported if neither the search nor any audited point shows a violation. This has no error rate for "
    "the points in between. It is proved if its closed form also holds at all of them. Otherwise it is undecided.",
    "Claims about trained towers are decided on models with different seeds, as many as the claim needs, by bounds "
    "with the same error rate.",
)

PROVED = (
    "Proved is more than supported: the closed form keeps the claim to within τ at every point of the domain. Exact "
    "algebra shows this, or outward-rounded interval arithmetic on boxes that fill the domain. A certificate lists "
    "the boxes, and a checker with its own arithmetic has verified it. Prover and checker share the recorded formula "
    "and the rules by which conditions imply it (`soberclip check --prove --output FOLDER` writes certificates, "
    "`--verify FOLDER` checks them). A contradiction is rigorous if the closed form fails by more than τ at one point, "
    "in the same arithmetic. These statements have no error rate, and they are about formulas. The audits measure, "
    "with an error rate, whether the formula describes the world. Proofs do not cover finitely many pairs, training, "
    "accuracies and matrices of three classes or more, or learners without a formula (InfoNCE, Bayes, and logistic "
    "regression below full correlation). Nor do they cover faults of the machine or of the checker's libraries."
)

GLOSSARY = {
    "common, counter": "the two groups of test images: with the usual background of their class, or with another one",
    "balanced, drop": "the mean of the accuracies on both groups, and common minus counter",
    "error-counter": "one minus the accuracy on the counter group",
    "name, mean, background prompt": "the class prompt is the bare name, the average training caption, or the name "
    "with the usual background",
    "captions, scores prompt": "all training captions of the class: the log-mean-exp of their scores, or their mean",
    "linear, infonce": "linear CLIP and the InfoNCE optimum: what the papers' loss and CLIP's own loss learn",
    "printed": "linear CLIP as Theorem 6.2 of Wang et al. prints it, right or wrong",
    "reliance": "weight on the background divided by weight on the animal; smaller is more robust",
    "p_spu": "probability that the background matches the label in training",
    "mu, sigma": "mean and standard deviation of a latent: the animal's (inv) and the background's (spu)",
    "ν (nu)": "view noise: the variance σ_ξ²/d of each coordinate of an image or a caption",
    "exact law": "statistics of n training pairs, drawn from their exact distribution without drawing pairs",
    "drawn pairs, drawn images": "training pairs, or test images, drawn one by one",
    "n": "training pairs (test images, models or photos where the route says so)",
    "τ, α": "violations up to τ do not contradict a claim; α is the error rate of its trial",
}


def answer() -> list[str]:
    """The title question in three sentences, each with two numbers and, in backquotes, the command that prints them."""
    from theory.learners import InfoNCE, Logistic

    return [
        f"With the bare class name as prompt, the optimum of CLIP's own loss uses the animal. It is right on "
        f"{points(InfoNCE('name'))} % of the common/counter group (`{COMMAND} --learner infonce`).",
        f"With the average caption as prompt, the same optimum uses the background: {points(InfoNCE('mean'))} % "
        f"(`{COMMAND} --learner infonce --prompt mean`).",
        f"Supervised logistic regression lies in between: {points(Logistic())} % (`{COMMAND} --learner logistic`). So "
        "the prompt decides, more than the contrastive loss.",
    ]


def setting() -> str:
    """The world of the answer, in words."""
    world = World(**ANSWER_WORLD)
    return (
        f"The background is twice as strong as the animal and matches it in {100 * world.p_spu:g} % of the training "
        f"pairs. The view noise is ν = {world.nu_image:.2g}. Common test images have the usual background of their "
        "class, counter images another one."
    )


def at_length(shares: list[dict[str, Any]]) -> list[str]:
    """The answer with linear CLIP, certain correlation and the mapped worlds; `shares` is from `comparison.shares`."""
    from experiments.lab.presets import design
    from theory.learners import InfoNCE, LinearCLIP, Logistic

    def share(contrastive, ahead: str = "contrastive") -> str:
        rows = [r for r in shares if r["contrastive"] == contrastive.label and r["supervised"] == Logistic.name]
        return f"{100 * sum(r[f'{ahead}_more_robust'] for r in rows) / len(rows):.0f} %"

    nu = design("supervised").study().world.nu_image
    name, mean = points(LinearCLIP("name")), points(LinearCLIP("mean"))
    certain = points(Logistic(), CERTAIN), points(LinearCLIP("name"), CERTAIN)
    return [
        "The prompt, the loss and the certainty of the correlation matter more than the contrastive loss itself. In "
        f"the world of the answer (`{COMMAND}`, ν = {World(**ANSWER_WORLD).nu_image:.2g}), linear CLIP is right on "
        f"{name} % of the common/counter group with the class name, and on {mean} % with the average caption "
        "(`--prompt mean`). The optimum of the InfoNCE loss, which CLIP minimises (`--learner infonce`), reaches "
        f"{points(InfoNCE('name'))} % and {points(InfoNCE('mean'))} % with the same two prompts.",
        f"Supervised logistic regression on the same images (`--learner logistic`) is right on {points(Logistic())} %, "
        "so it beats linear CLIP there. As the correlation becomes certain, the limit of the published theorem, it "
        f"falls to {certain[0]} %, and linear CLIP to {certain[1]} % (`--p-spu {CERTAIN}`).",
        "So the theorem shows that CLIP can be bad, not that it is worse than supervised learning. Neither paper's "
        f"ranking holds in general. On the counter group of the mapped worlds (ν = {nu:g}, `soberclip reproduce`), "
        "linear CLIP with the name prompt is ahead of logistic regression in "
        f"{share(LinearCLIP('name'))} and behind in {share(LinearCLIP('name'), 'supervised')}. The InfoNCE optimum is "
        f"ahead in {share(InfoNCE('name'))} with the name prompt, and behind in "
        f"{share(InfoNCE('mean'), 'supervised')} with the average caption.",
    ]


def points(learner, p_spu: float = World().p_spu) -> str:
    """Common/counter accuracy in percent, as `predict` prints it for the world of the answer."""
    from experiments.lab.answers import predict

    document = predict(World(**ANSWER_WORLD, p_spu=p_spu), learner)
    return f"{100 * document['common']:.2f}/{100 * document['counter']:.2f}"
