"""Detail: what captions tell of how an animal looks within its class, and how one asks, decide p'.

g_inv and g_spu (World.detail_inv, detail_spu) are the correlations of image and caption in how
object and background vary within a group. Letters: alpha = mu_inv, beta = mu_spu, S_b = sigma_b^2 +
nu_I, a_b = sigma_b^2/(sigma_b^2 + nu_T). Two classes, p >= 1/2, and p_inv = 1, unless a claim says
otherwise.

Prompted with the typical appearance, InfoNCE has 1/2 <= p' <= p at every g, by the proof in
`theory.docket.equivalent`. There b, the weight of the background, is now beta (1 - g_spu a_s)/(S_s
- g_spu^2 a_s sigma_spu^2) <= beta/S_s, because S_s >= g_spu sigma_spu^2. With h(x) the density of
the object's coordinate and the typical appearance, the log odds of the object are L(x) = log
h(x)/h(-x), and x > 0 has L(x) >= 2 alpha x/S_i; equality holds at g_inv = 0. So at g = (0, 0) the
optimum is Bayes' rule. p' falls as g_inv rises, because L(x) rises for x > 0. `theory/proofs/coq`
has these three in Coq. p' need not fall as g_spu rises: the slope of b in g_spu has the sign of 2 g
sigma_spu^2 - g^2 a_s sigma_spu^2 - S_s. This is largest at g = 1, and positive there iff nu_I <
sigma_spu^2 nu_T/(sigma_spu^2 + nu_T): noisy captions of clean images.

A caption that is known to tell the label alone has p(x | caption) = p(x | y), so prompted with the
bare name InfoNCE's optimum is Bayes' rule at every g. Linear CLIP has the same rule by bare name
and by typical appearance, t = beta alpha m0/(alpha^2 + g_inv sigma_inv^2) where no caption is bare.
At p near 1/2 least squares relies less, at small detail (T5).
"""

from functools import partial

from theory import theorems as T
from theory.claims.claim import Axis, Claim
from theory.docket.clip_vs_supervised import MAP_REGIME, NO_MORE
from theory.docket.common import BARE, NARROW_VIEWS, box, for_both_prompts, m0, says
from theory.docket.equivalent import IN_REGIME, NOISY_VIEWS, OWN_TEXT_NOISE
from theory.docket.sentences import reading
from theory.docket.subjects import BAYES, INFONCE_NAME, LEAST_SQUARES, LINEAR_NAME, LOGISTIC
from theory.docket.xue import CONDITIONS
from theory.learners import InfoNCE, LinearCLIP

ANY_DETAIL = {"detail_inv": Axis(0.0, 1.0), "detail_spu": Axis(0.0, 1.0)}
NO_DETAIL = {"detail_inv": 0.0, "detail_spu": 0.0}
DETAILED = {**OWN_TEXT_NOISE, **ANY_DETAIL}
# nu_I is at most .02, and sigma_spu^2 nu_T/(sigma_spu^2 + nu_T) at least .07.
NOISY_CAPTIONS = BARE | box(
    p_spu=(0.8, 0.95),
    mu_spu=(0.5, 1.5),
    sigma_inv=(0.5, 1.5),
    sigma_spu=(1.0, 1.5),
    sigma_xi=(0.1, 0.2),
    sigma_xi_text=(0.4, 1.0),
)
# Around the world of the first page (p = .9, mu_spu = 1.5, sigma_spu = .5, nu = .5625): the order
# of learners turns.
TURNING = box(
    p_spu=(0.8, 0.9), mu_spu=(1.5, 1.6), sigma_inv=1.0, sigma_spu=(0.5, 0.6), sigma_xi=6.0
)
# The same law in few dimensions: logistic regression is fitted to drawn pairs.
SMALL_VIEWS = TURNING | NARROW_VIEWS
STRONG = {**SMALL_VIEWS, "p_spu": Axis(0.95, 0.99)}
ANY_WORLD = {**BARE, **ANY_DETAIL} | box(
    p_spu=(0.5, 1.0),
    mu_spu=(0.5, 3.0),
    sigma_inv=(0.3, 3.0),
    sigma_spu=(0.2, 2.5),
    sigma_xi=(0.0, 1.5),
)

LIKE_AT = "linear CLIP (typical appearance) acts like the ideal classifier of a world with at"
LOGISTICS = "the correlation that logistic regression acts like."

detail = partial(Claim, question="detail", source="soberclip T14")
beside_supervised = partial(Claim, question="detail")

CLAIMS = [
    detail(
        id="detail/name-below-data",
        statement=(
            "At every detail of captions, InfoNCE prompted with the typical appearance acts like"
            " the ideal classifier of a world with at most the correlation of its own world."
        ),
        meaning=(
            "Prompted with a typical appearance, CLIP leans on the background no more than the best"
            " classifier of your data."
        ),
        formula=r"\forall g:\ p'\leq p",
        **says(INFONCE_NAME, "equivalent-correlation", "<=", lambda x: x.p_spu, DETAILED),
    ),
    detail(
        id="detail/mean-below-data",
        statement=(
            "At every detail of captions, InfoNCE prompted with the average caption acts like the"
            " ideal classifier of a world with at most the correlation of its own world."
        ),
        meaning=(
            "An average caption tells the usual background, and CLIP follows it: leave backgrounds"
            " out of prompts."
        ),
        formula=r"\forall g:\ p'_{\mathrm{mean}}\leq p",
        **says(InfoNCE("mean"), "equivalent-correlation", "<=", lambda x: x.p_spu, DETAILED),
    ),
    detail(
        id="detail/name-above-half",
        statement=(
            "At every detail of captions, InfoNCE prompted with the typical appearance acts like"
            " the ideal classifier of a world with a correlation of at least 1/2."
        ),
        meaning=(
            "Detailed captions can make CLIP ignore the background, and never make it expect the"
            " opposite one."
        ),
        formula=r"\forall g:\ p'\geq\frac{1}{2}",
        **says(INFONCE_NAME, "equivalent-correlation", ">=", 0.5, DETAILED),
    ),
    detail(
        id="detail/clean-views",
        statement=(
            "With hardly any noise in views, and captions that tell nine tenths of how appearance"
            " varies, InfoNCE prompted by the typical appearance ignores the background, as with"
            " all of it (infonce-interpolates/no-noise)."
        ),
        meaning=(
            "Only captions that tell everything make CLIP ignore the background: a tenth left out"
            " brings it back."
        ),
        formula=r"g=.9,\ \nu\to0\Rightarrow p'=\frac{1}{2}",
        **says(INFONCE_NAME, "equivalent-correlation", "=", 0.5),
        domain={**NOISY_VIEWS, "sigma_xi": Axis(0.02, 0.04), "detail_inv": 0.9, "detail_spu": 0.9},
    ),
    detail(
        id="detail/none-is-bayes",
        statement=(
            "Where captions describe no appearance, InfoNCE prompted with the typical appearance"
            " acts like the ideal classifier of its own world, whatever captions mention."
        ),
        meaning=(
            "Captions of class and background alone train CLIP to be the best classifier of your"
            " data, background included."
        ),
        formula=r"g=(0,0)\Rightarrow p'=p",
        **says(INFONCE_NAME, "equivalent-correlation", "=", lambda x: x.p_spu),
        domain={
            **OWN_TEXT_NOISE,
            **NO_DETAIL,
            "mention_inv": Axis(0.3, 1.0),
            "mention_spu": Axis(0.0, 1.0),
        },
    ),
    *(
        detail(
            id=f"detail/none-of-{word}-suffices",
            statement=(
                f"Where captions describe no appearance of {word}, but every one of {other},"
                " InfoNCE prompted with the typical appearance acts like the ideal classifier of"
                " its own world."
            ),
            meaning=meaning,
            formula=rf"g={g}\Rightarrow p'=p",
            **says(INFONCE_NAME, "equivalent-correlation", "=", lambda x: x.p_spu),
            domain={**OWN_TEXT_NOISE, "detail_inv": g[0], "detail_spu": g[1]},
        )
        for word, other, g, meaning in (
            (
                "backgrounds",
                "animals",
                (1, 0),
                "Captions that tell how animals look make CLIP use backgrounds less.",
            ),
            (
                "animals",
                "backgrounds",
                (0, 1),
                "Captions that tell how backgrounds look can do so, too.",
            ),
        )
    ),
    detail(
        id="detail/bare-name-is-bayes",
        statement=(
            "Where some captions tell the label alone and show that they do, InfoNCE prompted with"
            " such a bare name acts like the ideal classifier of its own world, at every detail."
        ),
        meaning=(
            '"A photo of a bear" gets the best classifier of your data: no more robust, and no'
            " less."
        ),
        formula=r"b>0\Rightarrow p'_{\mathrm{bare}}=p",
        **says(
            InfoNCE("bare"),
            "equivalent-correlation",
            "=",
            lambda x: x.p_spu,
            {**DETAILED, "bare": Axis(0.1, 1.0)},
        ),
    ),
    detail(
        id="detail/bare-name-linear",
        statement=(
            "Where some captions tell the label alone and show that they do, linear CLIP prompted"
            " with such a bare name acts like the ideal classifier of its own world, at every"
            " detail."
        ),
        meaning=(
            "Towers that are too simple to see that a caption is bare treat a bare name as a"
            " typical appearance."
        ),
        formula=r"b>0\Rightarrow p'_{\mathrm{bare}}=p",
        **says(LinearCLIP("bare"), "equivalent-correlation", "=", lambda x: x.p_spu),
        domain={**DETAILED, "bare": Axis(0.1, 1.0)},
    ),
    detail(
        id="detail/falls-with-background/equal-noise",
        statement=(
            "With equal noise in both views, the more captions tell of how backgrounds look, the"
            " less of the background InfoNCE uses, prompted with the typical appearance."
        ),
        meaning=(
            "Where captions are as clear as images, it helps that they describe backgrounds in"
            " detail."
        ),
        formula=r"\nu_T=\nu_I\Rightarrow g_{\mathrm{spu}}\mapsto p'\ \mathrm{decreasing}",
        **says(
            INFONCE_NAME,
            "equivalent-correlation",
            "decreasing",
            "detail_spu",
            {**NOISY_VIEWS, **ANY_DETAIL},
        ),
    ),
    detail(
        id="detail/falls-with-background/noisy-captions",
        statement=(
            "With much more noise in captions than in images, the more captions tell of how"
            " backgrounds look, the less of the background InfoNCE uses, prompted with the typical"
            " appearance."
        ),
        meaning=(
            "Vague captions that describe backgrounds in detail can make CLIP lean on backgrounds"
            " more."
        ),
        formula=(
            r"\nu_I<\frac{\sigma_{\mathrm{spu}}^2\nu_T}{\sigma_{\mathrm{spu}}^2+\nu_T}\Rightarrow "
            r"g_{\mathrm{spu}}\mapsto p'\ \mathrm{decreasing}"
        ),
        **says(
            INFONCE_NAME,
            "equivalent-correlation",
            "decreasing",
            "detail_spu",
            {**NOISY_CAPTIONS, **ANY_DETAIL},
        ),
    ),
    # [X]'s cause: intra-class contrasting is what detail does.
    detail(
        id="detail/intra-class-contrasting/infonce-name",
        **reading(
            "xue-intra-class-contrasting",
            "detail as its cause, InfoNCE, p' and the domain are ours",
        ),
        statement=(
            "The more captions tell of how animals look within their class, the less of the"
            " background InfoNCE uses, prompted with the typical appearance."
        ),
        meaning=(
            "Captions that tell animals of one class apart are what turns CLIP from the background"
            " to the animal."
        ),
        formula=r"g_{\mathrm{inv}}\mapsto p'\ \mathrm{decreasing}",
        **says(INFONCE_NAME, "equivalent-correlation", "decreasing", "detail_inv", DETAILED),
    ),
    *for_both_prompts(
        detail,
        "detail/intra-class-contrasting/linear-%s",
        "The more captions tell of how animals look within their class, the less linear CLIP relies"
        " on the background (%s).",
        ("reliance", "decreasing", "detail_inv", ANY_WORLD),
        **reading(
            "xue-intra-class-contrasting",
            "detail as its cause, linear CLIP and the domain are ours",
        ),
        meaning=(
            "Captions that tell animals of one class apart help simple towers, too, with both"
            " prompts."
        ),
        formula=r"g_{\mathrm{inv}}\mapsto t\ \mathrm{decreasing}",
    ),
    detail(
        id="detail/intra-class-contrasting/no-detail",
        statement=(
            "Where captions describe no appearance of animals, linear CLIP relies on the background"
            " by the ratio of the means, however much animals vary within their class (typical"
            " appearance)."
        ),
        meaning=(
            "Variety within a class helps only if captions tell it: without, it changes nothing."
        ),
        formula=r"g_{\mathrm{inv}}=0\Rightarrow t=\beta m_0/\alpha",
        **says(
            LINEAR_NAME,
            "reliance",
            "=",
            lambda x: T.reliance_nearest_mean(x.mu_inv, x.mu_spu, m0(x)),
        ),
        domain={**ANY_WORLD, "detail_inv": 0.0},
    ),
    detail(
        id="detail/intra-class-contrasting/backgrounds",
        statement=(
            "The more captions tell of how backgrounds look, the less linear CLIP relies on the"
            " background (average caption)."
        ),
        meaning=(
            "For simple towers prompted with the average caption, detail of backgrounds does harm."
        ),
        formula=r"g_{\mathrm{spu}}\mapsto t_{\mathrm{mean}}\ \mathrm{decreasing}",
        **says(LinearCLIP("mean"), "reliance", "decreasing", "detail_spu", ANY_WORLD),
    ),
    # Where the papers disagree: the order of CLIP and supervised learning turns with detail and p.
    beside_supervised(
        id="detail/order-turns",
        source="soberclip T5, T14",
        statement=(
            "Linear CLIP (typical appearance) is more robust than least squares iff alpha^2 (S_s +"
            " 4p(1-p) beta^2) < S_i (alpha^2 + g_inv sigma_inv^2)."
        ),
        meaning=(
            "In the world of the first page (p = .9, mu_spu 1.5, sigma_xi 6) the order turns at"
            " g_inv = .038; at g_inv = 0 it turns at p = .908. Labels are ahead below both."
        ),
        formula=(
            r"\alpha^2(S_s+4p(1-p)\beta^2)<S_i(\alpha^2+g_{\mathrm{inv}}\sigma_{\mathrm{inv}}^2)"
        ),
        **says(LINEAR_NAME, "counter", "iff", LEAST_SQUARES, {**ANY_WORLD, "sigma_inv": 1.0}),
        prediction=lambda x: T.least_squares_margin(
            x.mu_inv, x.mu_spu, x.sigma_inv, x.sigma_spu, x.p_spu, x.nu_image, x.detail_inv
        ),
    ),
    *(
        beside_supervised(
            id=f"detail/ahead/{word}",
            source="soberclip T14, where [W] and [X] disagree",
            statement=(
                f"Around the world of the first page, with captions that describe {words}"
                " appearance, linear CLIP (typical appearance) is at least as accurate on the"
                " counter group as least squares."
            ),
            meaning=meaning,
            formula=rf"g={g:g}\Rightarrow\mathrm{{Acc}}_{{\mathrm{{CLIP}}}}(a\neq y)"
            r"\geq\mathrm{Acc}_{\mathrm{LS}}(a\neq y)",
            **says(
                LINEAR_NAME,
                "counter",
                ">=",
                LEAST_SQUARES,
                {**TURNING, "detail_inv": g, "detail_spu": g},
            ),
        )
        for word, g, words, meaning in (
            ("full-detail", 1.0, "every", "With detailed captions CLIP is ahead, as [X] says."),
            ("no-detail", 0.0, "no", "Without, labels are ahead, as [W] says."),
        )
    ),
    beside_supervised(
        id="detail/superior/no-detail",
        **reading(
            "xue-superior-accuracy",
            "detail, least squares, the counter group and the numbers are ours",
        ),
        statement=(
            "Under [X]'s conditions, and with captions that describe no appearance, linear CLIP"
            " (typical appearance) is at least as accurate on the counter group as least squares."
        ),
        meaning=(
            "Where nearly all backgrounds match and vary little, CLIP is ahead of labels even"
            " without detail."
        ),
        formula=(
            r"g=(0,0)\Rightarrow\mathrm{Acc}_{\mathrm{CLIP}}(a\neq"
            r" y)\geq\mathrm{Acc}_{\mathrm{LS}}(a\neq y)"
        ),
        **says(LINEAR_NAME, "counter", ">=", LEAST_SQUARES, {**CONDITIONS, **NO_DETAIL}),
    ),
    beside_supervised(
        id="detail/no-more/linear-no-detail",
        **reading(
            NO_MORE, "detail, Theorem 6.2's regime, least squares and the counter group are ours"
        ),
        statement=(
            "In the theorem's regime, and with captions that describe no appearance, linear CLIP"
            " (typical appearance) is never more accurate on the counter group than least squares."
        ),
        meaning=(
            "Where nearly all backgrounds match, simple towers learn other rules from captions than"
            " from labels."
        ),
        formula=(
            r"g=(0,0)\Rightarrow\mathrm{Acc}_{\mathrm{CLIP}}(a\neq"
            r" y)\leq\mathrm{Acc}_{\mathrm{LS}}(a\neq y)"
        ),
        **says(LINEAR_NAME, "counter", "<=", LEAST_SQUARES, {**MAP_REGIME, **NO_DETAIL}),
    ),
    beside_supervised(
        id="detail/no-more/infonce-no-detail",
        **reading(
            NO_MORE, "detail, Theorem 6.2's regime, Bayes' rule and the counter group are ours"
        ),
        statement=(
            "In the theorem's regime, and with captions that describe no appearance, InfoNCE"
            " prompted with the typical appearance is never more accurate on the counter group than"
            " the Bayes rule of the training law."
        ),
        meaning=(
            "With captions of class and background alone, CLIP's loss offers no robustness that"
            " labels lack."
        ),
        formula=(
            r"g=(0,0)\Rightarrow\mathrm{Acc}_{\mathrm{InfoNCE}}(a\neq"
            r" y)\leq\mathrm{Acc}_{\mathrm{Bayes}}(a\neq y)"
        ),
        **says(
            INFONCE_NAME,
            "counter",
            "<=",
            BAYES,
            {**MAP_REGIME, **NO_DETAIL, "sigma_xi": IN_REGIME[1]},
        ),
    ),
    detail(
        id="detail/logistic/above",
        statement=(
            "Around the world of the first page, with captions that describe no appearance,"
            f" {LIKE_AT} least {LOGISTICS}"
        ),
        meaning=(
            "Without detail, captions make simple towers lean on the background more than labels"
            " do. In the world of the first page this ends at g = .316."
        ),
        formula=r"g=0\Rightarrow p'\geq p'_{\mathrm{logistic}}",
        **says(LINEAR_NAME, "equivalent-correlation", ">=", LOGISTIC, {**SMALL_VIEWS, **NO_DETAIL}),
    ),
    detail(
        id="detail/logistic/below",
        statement=(
            "Around the world of the first page, with captions that describe all appearance,"
            f" {LIKE_AT} most {LOGISTICS}"
        ),
        meaning=(
            "With detail, captions make simple towers lean on the background less than labels do."
        ),
        formula=r"g=1\Rightarrow p'\leq p'_{\mathrm{logistic}}",
        **says(LINEAR_NAME, "equivalent-correlation", "<=", LOGISTIC),
        domain={**SMALL_VIEWS, "detail_inv": 1.0, "detail_spu": 1.0},
    ),
    detail(
        id="detail/logistic/above-strong",
        statement=(
            "Where nearly all backgrounds match, with captions that describe no appearance,"
            f" {LIKE_AT} least {LOGISTICS}"
        ),
        meaning=(
            "Where nearly all backgrounds match, labels make simple towers lean on them more than"
            " captions do, with detail or without."
        ),
        formula=r"g=0\Rightarrow p'\geq p'_{\mathrm{logistic}}",
        **says(LINEAR_NAME, "equivalent-correlation", ">=", LOGISTIC, {**STRONG, **NO_DETAIL}),
    ),
]
