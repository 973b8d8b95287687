"""The Gaussian PMI: InfoNCE's optimum if views were Gaussian with their true covariances.

Classes enter only through the covariances. The critic is the pointwise mutual information of that
Gaussian law. Its part that contains both views is bilinear, x_I' A x_T with
    u = S_I^-1 X (S_T - X' S_I^-1 X)^-1 q,
S_I, S_T the covariances of the views and X between them (canonical correlations, Hotelling 1936,
rescaled). In the space of class differences, with C, c, d = mu_0^2/kappa, m, eps, b = bare and q of
`theory.population`, n_I = nu_I + (1 - g) sigma^2 the variance that images have alone, and h = (1 -
g) sigma^2,
    S_I = C + n_I,   X = (1 - eps) [(1 - b) C diag(E m) + b c e_0'],
    S_T = (1 - b) [diag(E m) C diag(E m) + N] + b d e_0 e_0',   N = nu_T + diag(E[m^2] h) + diag(Var
                                                                m) diag(C).
It goes from the nearest prompt at nu = 0 to linear CLIP at nu = infinity, as InfoNCE does, and
stays linear.

In a world with a table captions have a mean m_T, images m_I, and classes are not alike. With V =
S_T - X' S_I^-1 X the covariance of a caption given its image, the score of a prompt q is then
    (q - m_T)' V^-1 X' S_I^-1 (x - m_I) - (q - m_T)' (V^-1 - S_T^-1) (q - m_T)/2,   up to a function
                                                                                    of x.

InfoNCE gains from the classes' structure beyond covariances. Where this gain is small, towers end
at this learner: with ten classes (mu = 1, p = .8, nu = .49) it is .014 of 1.84 nats per pair in
batches of 256, and after 8000 steps towers are within .003 of this learner's accuracy, and up to
.023 off the PMI's.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from simulator.gaussian.critic import LinearCritic
from simulator.prompts import LINEAR, Prompt, prompt_row
from simulator.world import World
from theory.learners.base import Learner, latent_critic
from theory.population import block_covariance, caption_moments, kappa, latent_moments

LARGEST_CONDITION = 1e12  # of a covariance that has an inverse
# of variances of images, and of a caption's to that given its image: seven digits are left
LARGEST_RATIO = 1e9
NEVER_VARIES = (
    "captions have a block that never varies (without noise, sigma_xi_text = 0, and without a"
    " latent) or, beside a table, so little noise that floats resolve no inverse of a covariance;"
    " larger sigma_xi and sigma_xi_text are valid"
)


def _refuse(worlds: World, prompt: Prompt) -> None:
    if prompt_row(prompt).pool == "log-mean-exp":
        raise ValueError(
            f"the Gaussian PMI has no closed form for prompt = {prompt!r}"
            f" ({prompt_row(prompt).words}); choose from {', '.join(LINEAR)}"
        )
    if np.any(worlds.variances().image <= 0):
        raise ValueError(
            "sigma_xi = 0: without noise in the images the mutual information is infinite; any"
            " sigma_xi > 0 is valid, and the limit is the nearest prompt"
        )


@dataclass(frozen=True)
class GaussianPMI(Learner):
    """InfoNCE's optimum for Gaussian views of the same covariances, with a prompt of
    `simulator.prompts.LINEAR`.

    Examples
    --------
    >>> accuracy = GaussianPMI("name").accuracy(World(p_spu=0.9, mu_spu=2.0, sigma_xi=1.0))
    >>> round(float(accuracy.counter), 4)
    0.8385
    """

    name: ClassVar[str] = "gaussian"
    words: ClassVar[str] = "the Gaussian PMI"
    prompt: Prompt = "name"

    def direction(self, worlds: World) -> Float[np.ndarray, "*w B"]:
        """u of the module's docstring, exact to rounding: S_I is inverted without a difference."""
        _refuse(worlds, self.prompt)
        v, n, of_caption = worlds.variances()
        told = worlds.caption_kinds
        D = worlds.correlation
        mu = worlds.mean / np.sqrt(kappa(worlds.classes))[..., None]
        m = told.moment()
        bare = np.asarray(worlds.bare)[..., None]
        nu_T = np.asarray(worlds.nu_text)[..., None]
        matched = (1 - np.asarray(worlds.mismatch)[..., None]) ** 2
        # c = a label, d = label^2
        label = mu[..., :1]
        diagonal = np.arange(n.shape[-1])
        # C = a a' + diag(own) and S_I = a a' + diag(w), whose inverse Sherman and Morrison wrote.
        a = mu * D
        own = mu**2 * (1 - D) * (1 + D) + v
        w = own + n
        t = a**2 / w
        total = t.sum(axis=-1, keepdims=True)
        r = a / (w * (1 + total))  # S_I^-1 a
        G = r[..., :, None] * (a * n / w)[..., None, :]  # S_I^-1 C, and C - C S_I^-1 C = n G
        G[..., diagonal, diagonal] = ((1 + total - t) * own + a**2) / (w * (1 + total))
        C = block_covariance(worlds)
        seen = (matched * (1 - bare))[..., None]
        V = (
            (1 - bare)[..., None]
            * m[..., :, None]
            * ((1 - seen) * C + seen * n[..., :, None] * G)
            * m[..., None, :]
        )
        spread = sum(kind.chance * (kind.multiple - m) ** 2 for kind in told.every)  # Var m
        V[..., diagonal, diagonal] += (1 - bare) * (
            nu_T + told.moment(2) * (of_caption - nu_T) + spread * (a**2 + own)
        )
        along = matched * bare * (1 - bare) * m * label * r * (own + w * total)
        V[..., 0, :] -= along
        V[..., :, 0] -= along
        V[..., 0, 0] += (bare * label**2 * (1 - matched * bare * total / (1 + total)))[..., 0]
        # In units of each block: without noise, a block that captions omit may exceed the others by
        # any factor.
        unit = np.sqrt(V[..., diagonal, diagonal])
        with np.errstate(divide="ignore", invalid="ignore"):
            V = V / unit[..., :, None] / unit[..., None, :]
        if not np.all(unit > 0) or np.any(np.linalg.cond(V) > LARGEST_CONDITION):
            raise ValueError(NEVER_VARIES)
        y = np.linalg.solve(V, (worlds.prompt(self.prompt) / unit)[..., None])[..., 0] / unit
        return (G @ ((1 - bare) * m * y)[..., None])[..., 0] + bare * label * r * y[..., :1]

    def critic(self, world: World) -> LinearCritic:
        """The critic from the covariances of both views, to seven digits or more."""
        _refuse(world, self.prompt)
        if world.table is not None and prompt_row(self.prompt).pool:
            own = ", ".join(name for name in LINEAR if not prompt_row(name).pool)
            raise ValueError(
                f"prompt = {self.prompt!r} has no law of the Gaussian PMI in worlds with a table;"
                f" choose from {own}"
            )
        mixture = world.mixture()
        _, _, m_I, S_I = latent_moments(world)
        m_T, S_T = caption_moments(mixture)
        S_I = S_I + world.nu_image * np.eye(len(m_I))
        S_T = S_T + (1 - world.bare) * world.nu_text * np.eye(len(m_T))
        X = (1 - world.mismatch) * mixture.cross_covariance
        B = np.linalg.solve(S_I, X)
        V = S_T - X.T @ B
        least = np.linalg.eigvalsh(V)[0]
        if least * LARGEST_RATIO < np.linalg.norm(S_T, 2) or np.linalg.cond(S_I) > LARGEST_RATIO:
            raise ValueError(NEVER_VARIES)
        q = world.prompts(self.prompt) - m_T
        y = np.linalg.solve(V, q.T).T  # V^-1 (q_y - m_T)
        u = y @ B.T
        return latent_critic(u, -u @ m_I - ((y - np.linalg.solve(S_T, q.T).T) * q).sum(axis=1) / 2)
