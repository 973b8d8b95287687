"""What no world here can decide of the same quarrel, and what is therefore not on trial in one, each with the reason.

As in `theory.claims.around`, the abstracts were read, no more.
"""

from typing import NamedTuple

from theory.claims.around import FANG, NGUYEN, SANTURKAR, SANYAL
from theory.published import WANG, WANG_V2, XUE

SHI = "Shi et al., NeurIPS 2023 (arXiv 2302.01381), abstract of the proceedings"
WEN = "Wen et al. 2024, arXiv 2405.21070 v3, abstract"
SUPERCLIP = "SuperCLIP 2025, arXiv 2512.14480 v1, abstract"


class Untried(NamedTuple):
    """A statement that is not on trial."""

    id: str
    source: str
    statement: str
    reason: str


UNTRIED = (
    Untried(
        "imagenet-against-laion",
        f"{WANG}, abstract",
        "Models trained on ImageNet are more robust than CLIPs trained on LAION or on OpenAI's data.",
        "It compares two sets of training data besides two objectives, and in a world both learn from one law "
        "(imagenet-models-more-robust); the paper's own tables decide it (counteranimal/imagenet-above-clip).",
    ),
    Untried(
        "scaling-mitigates",
        f"{WANG_V2}, abstract",
        "Scaling up parameters and data of high quality mitigate the spurious features.",
        "Neither the size of a backbone nor the quality of data is a field of a world; the paper's own tables decide "
        "the one (counteranimal/larger-drops-less) and the other (counteranimal/curated-data-helps).",
    ),
    Untried(
        "inter-class-feature-sharing",
        f"{XUE} v2, abstract",
        "Details that captions annotate in one class help to learn other classes.",
        "All classes of a world share one law and one mention, so that no detail belongs to one class alone.",
    ),
    Untried(
        "main-cause-is-data",
        FANG,
        "The training distribution is the main cause of robustness, training set size, language supervision and loss "
        "contribute little to none.",
        "What is larger depends on how far each is moved, and the paper's range of data sets is no field of a world; "
        "the parts that have a law are on trial (data-determine).",
    ),
    Untried(
        "sources-of-other-kinds",
        NGUYEN,
        "Combining data sources of different kinds dilutes the robustness of the best one.",
        "A mixture of worlds that differ in more than their correlation has other groups than a world, and no law "
        "here; sources that differ in correlation are on trial (mixing-dilutes).",
    ),
    Untried(
        "captions-against-self-supervision",
        SANTURKAR,
        "With descriptive captions of low variability and enough data, image-only contrastive learning does not match "
        "CLIP's transfer even with more images.",
        "No learner here contrasts images with their own augmentations, and transfer to other tasks is no quantity of "
        "a world; what captions must be like is on trial (captions-worth).",
    ),
    Untried(
        "effective-robustness-vanishes",
        SHI,
        "The effective robustness of CLIP-like models diminishes when accuracy on several training distributions is "
        "controlled for.",
        "Here it is arithmetic: accuracies on two training laws of different correlation are two equations that "
        "determine those of both groups, whatever the model, so that nothing can be left; with one law alone nothing "
        "is controlled.",
    ),
    Untried(
        "accuracy-on-the-wrong-line",
        SANYAL,
        "Noisy data and nuisance features can make accuracy in and out of distribution negatively correlated over "
        "models.",
        "A correlation needs a population of models, and in a world a learner has one optimum; what would turn it, "
        "that noisy labels make a learner rely more on the background, is on trial (wrong-line).",
    ),
    Untried(
        "nuisance-lower-bound",
        SANYAL,
        "The error of a linear classifier out of distribution has a lower bound under conditions on noise and nuisance "
        "features.",
        "The conditions stand in the paper, of which the abstract was read, and a world has no space of nuisance "
        "features that grows.",
    ),
    Untried(
        "class-imbalance",
        WEN,
        "CLIP's loss is a dynamic classification over a subset of the classes, and therefore robust to imbalanced "
        "classes.",
        "Labels are uniform in every world, so that no class is rare; and the optimum of InfoNCE is the same for every "
        "batch, whichever classes it holds (trained/batch-size-free).",
    ),
    Untried(
        "small-batches-hurt",
        SUPERCLIP,
        "CLIP loses performance in small batches, which supervision by classification alleviates.",
        "The optimum does not depend on the batch, so that a loss in small batches is one of optimisation: by 16 pairs "
        "a step towers reach it once they have seen a million and a half (trained/batch-size-free). No "
        "objective here adds a classification to CLIP's.",
    ),
)
