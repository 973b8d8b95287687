"""What holds for any images, and where it ends: T14 and T15 in worlds of several classes and with
tables.

By bare name InfoNCE's optimum is the Bayes rule for equal priors, whatever the images are. The
theorem has conditions: captions omit the background independently of it, and priors are equal. The
claims that bend one are contradicted.
"""

from functools import partial

from theory.claims.claim import Claim
from theory.docket.common import HALF_BARE, says
from theory.docket.subjects import BAYES
from theory.learners import InfoNCE
from theory.theorems import match_among_bare

USUAL, OTHER = 0.6, 0.3  # shares of bare captions beside usual and other backgrounds
bare_name = partial(Claim, question="detail", source="soberclip T15")

CLAIMS = [
    bare_name(
        id="any-data/bare-name-is-bayes/three-classes",
        statement=(
            "In the world of the first page with three classes, InfoNCE prompted with bare names is"
            " as accurate on the counter group as the Bayes rule of the training law."
        ),
        meaning=(
            "Whatever your images and however many classes: by bare name CLIP becomes what labels"
            " would teach."
        ),
        formula=r"b>0\Rightarrow s(x,\mathrm{bare}\ y)=\log p(x\mid y)+f(x)",
        **says(InfoNCE("bare"), "counter", "=", BAYES, {**HALF_BARE, "classes": 3}),
    ),
    bare_name(
        id="any-data/bare-name-is-bayes/rare-class",
        statement=(
            "With one class sixteen times as frequent as the other, InfoNCE prompted with bare"
            " names is as accurate on the common group as the Bayes rule of the training law."
        ),
        meaning=(
            "CLIP does not know how frequent your classes are: its scores by bare name lack log"
            " p(y)."
        ),
        formula=r"p(y)\neq\frac{1}{K}:\ \mathrm{Acc}_{\mathrm{bare}}=\mathrm{Acc}_{\mathrm{Bayes}}",
        **says(InfoNCE("bare"), "common", "=", BAYES, HALF_BARE),
        table="long-tail(4, 2, 2)",
    ),
    bare_name(
        id="any-data/bare-name-is-bayes/omitted-with-usual-backgrounds",
        statement=(
            "InfoNCE prompted with the bare name is as accurate on the counter group where captions"
            " leave usual backgrounds out twice as often as others as where they leave all out"
            " alike."
        ),
        meaning=(
            "People do not say what goes without saying. Then bare captions show more usual"
            " backgrounds than your images do, and CLIP leans on them more."
        ),
        formula=r"b_{a=y}=2b_{a\neq y}:\ p'=p\frac{2}{1+p}",
        **says(InfoNCE("bare"), "counter", "="),
        prediction=lambda x: (
            BAYES.accuracy(x.replace(p_spu=match_among_bare(x.p_spu, USUAL, OTHER))).counter
        ),
        domain=HALF_BARE,
    ),
]
