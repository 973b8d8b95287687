"""What the report says in words: the answer to its title, and the words that it uses."""

from typing import Any

from simulator.world import World

# The world of the answer, as flags of `predict`: each number of the answer is printed by the command beside it.
COMMAND = "soberclip predict --mu-spu 2 --sigma-xi 0.8"
ANSWER_WORLD = {"mu_spu": 2.0, "sigma_xi": 0.8}
CERTAIN = 0.99999

DECIDED = (
    "A claim is contradicted if at one point of its domain a confidence bound from drawn data shows a violation above "
    "its tolerance τ.",
    "It is supported if neither a search nor any audited point shows one, which carries no error rate for the points "
    "in between; it is proved if its closed form is also shown to hold at all of them; else it is undecided.",
    "Claims about trained towers are decided on models that differ in seeds, as many as the claim needs, by bounds at "
    "the same error rate.",
)

PROVED = (
    "Proved says more than supported: at every point of the claim's domain, between the searched and audited ones "
    "too, the closed form keeps the claim to within τ. Exact algebra shows it, or outward-rounded interval arithmetic "
    "on boxes that fill the domain; a certificate lists them, and a checker with an arithmetic of its own has gone "
    "through it. Prover and checker share what is to be shown: the recorded formula and the rules by which conditions "
    "imply it (`soberclip check --prove --output FOLDER` writes certificates, `--verify FOLDER` reads them again). A "
    "contradiction is rigorous likewise if at one point, in the same arithmetic, the closed form fails by more than "
    "τ. Such statements have no error rate, and they are about formulas: that the formula describes the world is what "
    "the audits measure, at their error rate. Finitely many pairs, training, accuracies and matrices of three classes "
    "or more, and learners whose optimum is no formula of the fields (InfoNCE, Bayes, and logistic regression below "
    "full correlation) are not covered, nor are faults of the machine and of the libraries that the checker stands "
    "on."
)

GLOSSARY = {
    "common, counter": "the two groups of test images: the background is the usual one of the class, or it is not",
    "balanced, drop": "mean of the accuracies on both groups, and common minus counter",
    "error-counter": "one minus the accuracy on the counter group",
    "name, mean, background prompt": "a class is asked for by its bare name, by its average training caption, or by "
    "its name with its usual background",
    "captions, scores prompt": "by all of its training captions: the log-mean-exp of their scores, or the mean",
    "linear, infonce": "linear CLIP and the InfoNCE optimum: what the papers' loss and CLIP's own loss teach",
    "printed": "linear CLIP as Theorem 6.2 of Wang et al. prints it, right or wrong",
    "reliance": "weight on the background per weight on the animal; smaller is more robust",
    "p_spu": "probability that the background matches the label in training",
    "mu, sigma": "mean and standard deviation of a latent: the animal's (inv) and the background's (spu)",
    "ν (nu)": "view noise: variance σ_ξ²/d of each coordinate of an image or a caption",
    "exact law": "statistics of n training pairs drawn from their exact distribution, no pair drawn",
    "drawn pairs, drawn images": "training pairs, or test images, drawn one by one",
    "n": "training pairs (test images, models or photos where the route says so)",
    "τ, α": "violations up to τ do not contradict; α is the error rate that the claim is tried at",
}


def answer() -> list[str]:
    """The title question in three sentences, each with one pair of numbers and the command that prints it.

    Commands stand between backquotes.
    """
    from theory.learners import InfoNCE, Logistic

    return [
        f"Asked by the bare class name, the optimum of CLIP's own loss learns the animal: it is right on "
        f"{points(InfoNCE('name'))} % of the common/counter group (`{COMMAND} --learner infonce`).",
        f"Asked by the average caption, the same optimum learns the background: {points(InfoNCE('mean'))} % "
        f"(`{COMMAND} --learner infonce --prompt mean`).",
        f"Supervised logistic regression lies in between, {points(Logistic())} % (`{COMMAND} --learner logistic`), so "
        "that it is the prompt, more than being contrastive, that decides.",
    ]


def setting() -> str:
    """The world of the answer, in words."""
    world = World(**ANSWER_WORLD)
    return (
        f"In a world whose background is twice as loud as the animal and matches it in {100 * world.p_spu:g} % of the "
        f"pairs, with view noise ν = {world.nu_image:.2g}; common are the images with the background of their class, "
        "counter those without."
    )


def at_length(shares: list[dict[str, Any]]) -> list[str]:
    """The same with linear CLIP, certain correlation and the mapped worlds; `shares` as `ahead.shares` gives them."""
    from experiments.lab.presets import design
    from theory.learners import InfoNCE, LinearCLIP, Logistic

    def share(contrastive, ahead: str = "contrastive") -> str:
        rows = [r for r in shares if r["contrastive"] == contrastive.label and r["supervised"] == Logistic.name]
        return f"{100 * sum(r[f'{ahead}_more_robust'] for r in rows) / len(rows):.0f} %"

    nu = design("supervised").study().world.nu_image
    name, mean = points(LinearCLIP("name")), points(LinearCLIP("mean"))
    logistic, certain = points(Logistic()), (points(Logistic(), CERTAIN), points(LinearCLIP("name"), CERTAIN))
    return [
        "It depends on the prompt, on the loss and on how certain the correlation is, more than on being contrastive: "
        "where the background is twice as loud as the animal and matches it in 90 % of the pairs, with view noise "
        f"ν = {World(**ANSWER_WORLD).nu_image:.2g} (`{COMMAND}`), linear CLIP is right on {name} % of the "
        f"common/counter group when prompted with the bare class name and on {mean} % when prompted with the average "
        "caption (`--prompt mean`), while the "
        f"optimum of the InfoNCE loss that CLIP really minimises (`--learner infonce`) reaches "
        f"{points(InfoNCE('name'))} % and {points(InfoNCE('mean'))} % with the same two prompts.",
        f"Supervised logistic regression on the same images (`--learner logistic`) is right on {logistic} %, so it "
        "beats linear CLIP there; but as the correlation becomes certain, the limit in which the published theorem is "
        f"stated, it falls to {certain[0]} % against {certain[1]} % of linear CLIP "
        f"(`--p-spu {CERTAIN}`).",
        "So the theorem shows that CLIP can be bad, not that it is worse than supervised learning, and neither paper's "
        f"ranking holds in general: over the mapped worlds (ν = {nu:g}, `soberclip reproduce`) linear CLIP "
        "(name prompt) is ahead of logistic regression on the counter group in "
        f"{share(LinearCLIP('name'))} and behind in "
        f"{share(LinearCLIP('name'), 'supervised')}, the InfoNCE optimum with the same prompt ahead in "
        f"{share(InfoNCE('name'))} and with the average caption behind in {share(InfoNCE('mean'), 'supervised')}.",
    ]


def points(learner, p_spu: float = World().p_spu) -> str:
    """Common/counter accuracy in percent, as `predict` prints it for the answer's world."""
    from experiments.lab.answers import predict

    document = predict(World(**ANSWER_WORLD, p_spu=p_spu), learner)
    return f"{100 * document['common']:.2f}/{100 * document['counter']:.2f}"
