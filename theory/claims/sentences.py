"""The sentences of papers that are on trial, each with its words, version and place.

A claim about such a sentence is `printed` if it tries the sentence in the paper's own regime, and a `reading` if we had
to add something: a learner, a domain, "always". The claim's source or statement says what is ours. Claims with one
sentence id are its readings; they count as one published statement. A sentence that asserts two things has two ids.

Quoted words stand between “ and ”. Where the exact words were not at hand, the quote is a paraphrase and says so.
"""

from typing import NamedTuple


class Sentence(NamedTuple):
    """A sentence of a paper: its id, and its words with version and place."""

    sentence: str
    quote: str

    @property
    def printed(self) -> dict[str, str]:
        """The fields of a claim that tries it as printed."""
        return {"origin": "printed", **self._asdict()}

    @property
    def reading(self) -> dict[str, str]:
        """The fields of a claim that is our reading of it."""
        return {"origin": "reading", **self._asdict()}


W1, W2 = "Wang et al., arXiv 2403.11497 v1", "Wang et al., arXiv 2403.11497 v2"
X2 = "Xue et al., arXiv 2310.04971 v2, abstract"
FANG = "Fang et al. 2022, arXiv 2205.01397 v1, abstract"
SANTURKAR = "Santurkar et al. 2022, arXiv 2207.07635 v1, abstract"
NGUYEN = "Nguyen et al. 2022, arXiv 2208.05516 v4, abstract"
SANYAL = "Sanyal et al. 2024, arXiv 2406.19049 v1, abstract"

# [W], theory
LEMMA_D3 = Sentence(
    "wang-minimiser-limit",
    f"Paraphrase: the minimiser of the linearised loss tends to a printed matrix as n grows ({W1}, Lemma D.3).",
)
THEOREM_62 = Sentence(
    "wang-zero-shot-bounds",
    "Paraphrase: if the background matches the label with probability 1 - o(1) and mu_spu is at least "
    "1 + sigma_inv^2/2, then with high probability CLIP's error is at least 1 - Phi(kappa_1) on the counter group, and "
    f"its accuracy at least 1 - Phi(kappa_2) on the common group ({W1}, Theorem 6.2).",
)
NO_EXTRA_ROBUSTNESS = Sentence(
    "wang-no-additional-robustness", f"“the CLIP objective cannot offer additional robustness” ({W2}, abstract)"
)

# [W], coloured digits and photos
CONTRASTIVE_AS_SUPERVISED = Sentence(
    "wang-digits-contrastive-as-supervised",
    "Paraphrase: on coloured digits contrastive learning is about as accurate as supervised learning, and like it "
    f"follows the colour where the colour tells more about the label than the digit ({W1}, section 6, Table 8).",
)
CLIPS_DROP = Sentence(
    "wang-clips-drop",
    "“CLIPs trained on either LAION or the OpenAI data exhibit notable performance drops on the counter group” "
    f"({W1}, abstract)",
)
IMAGENET_MORE_ROBUST = Sentence(
    "wang-imagenet-more-robust",
    f"“single-modal models trained on ImageNet are more robust than CLIPs” ({W1}, abstract; v2 says that the spurious "
    "features “have limited influence for ImageNet models”)",
)
LARGER_HELPS = Sentence(
    "wang-larger-models-help",
    f"Scaling up parameters is among the strategies that “still help mitigate the spurious features” ({W2}, abstract).",
)
BETTER_DATA_HELPS = Sentence(
    "wang-better-data-helps",
    "High-quality pre-trained data are among the strategies that “still help mitigate the spurious features” "
    f"({W2}, abstract).",
)
MORE_DATA_SAME = Sentence(
    "wang-more-data-does-not-help",
    f"Paraphrase: more training data of the same kind do not reduce the drop ({W1}, section 3.3).",
)
LABELS_SIMILAR = Sentence(
    "wang-drops-with-20-labels",
    f"Paraphrase: drops are similar with 20 and with 1000 candidate labels ({W1}, section 3.2).",
)

# [X]
DATA_MODEL_1 = Sentence(
    "xue-data-model-1",
    "Paraphrase: the accuracies of contrastive learning in data model 1 tend to printed limits (Xue et al., arXiv "
    f"2310.04971, as {W1} quotes it).",
)
SUPERIOR_ACCURACY = Sentence(
    "xue-superior-accuracy", f"“This yields superior zero-shot classification accuracy under distribution shift” ({X2})"
)
INTRA_CLASS = Sentence(
    "xue-intra-class-contrasting",
    f"“intra-class contrasting, which allows the model to learn features with a high variance” ({X2})",
)
RICH_CAPTIONS = Sentence(
    "xue-rich-captions", f"“we theoretically demonstrate the benefits of using rich captions on robustness” ({X2})"
)

# Related work
MAIN_CAUSE = Sentence(
    "fang-main-cause",
    f"“the more diverse training distribution is the main cause for the robustness gains” ({FANG})",
)
LITTLE_ELSE = Sentence(
    "fang-other-factors-little",
    f"“with the other factors contributing little to no robustness” ({FANG}; language supervision at test time and the "
    "contrastive loss are two of the four)",
)
DESCRIPTIVE_CAPTIONS = Sentence(
    "santurkar-captions-help",
    "Image-only methods do not match CLIP where the data set “is sufficiently large and contains descriptive captions "
    f"with low variability” ({SANTURKAR}).",
)
DETRIMENTAL = Sentence(
    "santurkar-captions-hurt",
    "“there are practical settings in which these criteria are not met, wherein added supervision through captions is "
    f"actually detrimental” ({SANTURKAR})",
)
MIXING_DILUTES = Sentence(
    "nguyen-mixing-dilutes",
    "“combining multiple sources does not necessarily yield better models, but rather dilutes the robustness of the "
    f"best individual data source” ({NGUYEN})",
)
NOISY_DATA = Sentence(
    "sanyal-noisy-data",
    f"With noisy data and nuisance features “ID and OOD accuracy can become negatively correlated” ({SANYAL}).",
)
MORE_DATA_EXACERBATES = Sentence(
    "sanyal-larger-data-sets",
    f"“scaling to larger datasets does not mitigate this undesirable behavior and may even exacerbate it” ({SANYAL})",
)

# Captions that do not fit, shortcuts, and remedies
COROLLARY = Sentence(
    "xue-corollary",
    "Paraphrase: at mu_spu = sigma_inv = 1, as sigma_spu goes to 0 and the correlation to 1, contrastive learning is "
    f"69 % accurate on the counter group and 81 % on both (Xue et al., arXiv 2310.04971, as {W1} and reviews quote "
    "it).",
)
MISALIGNED_DEGRADE = Sentence(
    "sun-misaligned-degrade",
    "“noisy (or misaligned) data pairs result in mixed representations and degrade the model's generalization ability” "
    "(Sun et al., NeurIPS 2025, OpenReview JMlYzOMDxI, abstract; so in the workshop version rO9riCUHD9)",
)
PROJECTING_SUFFICES = Sentence(
    "chuang-projecting-suffices",
    "“debiasing only the text embedding with a calibrated projection matrix suffices to yield robust classifiers” "
    "(Chuang et al., arXiv 2302.00070 v2, abstract)",
)
OMITTED_NOT_LEARNED = Sentence(
    "cai-omitted-not-learned",
    "“the representations learned by MMCL capture exactly the information related to the subset of the semantic "
    "variables invariant to selection and perturbation biases” (Cai et al., arXiv 2504.10143 v6, abstract)",
)
WIDER_HELPS = Sentence(
    "xue-wider-embedding",
    "“increasing embedding dimensionality” is one of “two theoretically motivated solutions to feature suppression” "
    "(Xue et al. 2023, arXiv 2305.16536 v2, abstract)",
)
WEIGHTS_HELP_SHIFT = Sentence(
    "wortsman-shift",
    "“Compared to standard fine-tuning, WiSE-FT provides large accuracy improvements under distribution shift” "
    "(Wortsman et al., arXiv 2109.01903 v3, abstract)",
)
TARGET_KEPT = Sentence(
    "wortsman-target",
    "“while preserving high accuracy on the target distribution” (Wortsman et al., arXiv 2109.01903 v3, abstract)",
)
WHAC_A_MOLE = Sentence(
    "li-whac-a-mole",
    "“Even methods explicitly designed to combat shortcuts struggle in a Whac-A-Mole dilemma”, “where mitigating one "
    "shortcut amplifies reliance on others” (Li et al., CVPR 2023, arXiv 2212.04825, abstract)",
)
