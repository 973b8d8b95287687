"""The Gaussian PMI: InfoNCE's optimum if views were Gaussian with their true covariances.

Classes enter only through the covariances. The critic is the pointwise mutual information of that Gaussian law. Its
part that contains both views is bilinear, x_I' A x_T with
    u = S_I^-1 X (S_T - X' S_I^-1 X)^-1 q,
S_I, S_T the covariances of the views and X between them (canonical correlations, Hotelling 1936, rescaled). In the
space of class differences, with C, c, d = mu_0^2/kappa, m, eps, b = bare and q of `theory.population`, n_I =
nu_I + (1 - g) sigma^2 the variance that images have alone, and h = (1 - g) sigma^2,
    S_I = C + n_I,   X = (1 - eps) [(1 - b) C diag(E m) + b c e_0'],
    S_T = (1 - b) [diag(E m) C diag(E m) + N] + b d e_0 e_0',   N = nu_T + diag(E[m^2] h) + diag(Var m) diag(C).
It goes from the nearest prompt at nu = 0 to linear CLIP at nu = infinity, as InfoNCE does, and stays linear.

In a world with a table captions have a mean m_T, images m_I, and classes are not alike. With V = S_T - X' S_I^-1 X the
covariance of a caption given its image, the score of a prompt q is then
    (q - m_T)' V^-1 X' S_I^-1 (x - m_I) - (q - m_T)' (V^-1 - S_T^-1) (q - m_T)/2,   up to a function of x.

InfoNCE gains from the classes' structure beyond covariances. Where this gain is small, towers end at this learner: with
ten classes (mu = 1, p = .8, nu = .49) it is .014 of 1.84 nats per pair in batches of 256, and after 8000 steps towers
are within .003 of this learner's accuracy, and up to .023 off the PMI's.
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
NEVER_VARIES = (
    "captions have a block that never varies (without noise, sigma_xi_text = 0, and without a latent), so their "
    "covariance has no inverse; any sigma_xi_text > 0 is valid"
)


def _refuse(worlds: World, prompt: Prompt) -> None:
    if prompt_row(prompt).pool == "log-mean-exp":
        raise ValueError(
            f"the Gaussian PMI has no closed form for prompt = {prompt!r} ({prompt_row(prompt).words}); "
            f"choose from {', '.join(LINEAR)}"
        )
    if np.any(worlds.variances().image <= 0):
        raise ValueError(
            "sigma_xi = 0: without noise in the images the mutual information is infinite; any sigma_xi > 0 is valid, "
            "and the limit is the nearest prompt"
        )


@dataclass(frozen=True)
class GaussianPMI(Learner):
    """InfoNCE's optimum for Gaussian views of the same covariances, with a prompt of `simulator.prompts.LINEAR`.

    Examples
    --------
    >>> float(GaussianPMI("name").accuracy(World(p_spu=0.9, mu_spu=2.0, sigma_xi=1.0)).counter).__round__(4)
    0.8385
    """

    name: ClassVar[str] = "gaussian"
    words: ClassVar[str] = "the Gaussian PMI"
    prompt: Prompt = "name"

    def direction(self, worlds: World) -> Float[np.ndarray, "*w B"]:
        """u of the module's docstring, exact to rounding."""
        _refuse(worlds, self.prompt)
        n_I, nu_T = worlds.variances().image, np.asarray(worlds.nu_text)[..., None]
        K = np.asarray(kappa(worlds.classes))[..., None]
        C, m, q = block_covariance(worlds), worlds.caption_kinds.moment(), worlds.prompt(self.prompt)
        second = worlds.caption_kinds.moment(2)
        spread = sum(kind.chance * (kind.multiple - m) ** 2 for kind in worlds.caption_kinds.every)  # Var m
        bare, matched = (np.asarray(f)[..., None, None] for f in (worlds.bare, (1 - worlds.mismatch) ** 2))
        unit_matrix = np.eye(C.shape[-1])
        S_I, first = C + n_I[..., None] * unit_matrix, unit_matrix[:, :1]
        G = np.linalg.solve(S_I, C)
        c = (worlds.mean * worlds.correlation * worlds.mean[..., :1] / K)[..., None]
        mention = (1 - bare) * m[..., None, :]
        # C - C S_I^-1 C = G' n_I without cancellation.
        left = (1 - matched * (1 - bare)) * C + matched * (1 - bare) * G.swapaxes(-1, -2) * n_I[..., None, :]
        h = worlds.variances().caption - nu_T
        N = (nu_T + second * h + spread * np.diagonal(C, axis1=-2, axis2=-1))[..., None]
        unexplained = (1 - bare) * (N * unit_matrix + m[..., :, None] * left * m[..., None, :])
        along = matched * bare * mention.swapaxes(-1, -2) * (G.swapaxes(-1, -2) @ c) * first.T
        corner = bare * worlds.mean[..., :1, None] ** 2 / K[..., None]
        corner = corner - matched * bare**2 * (c * np.linalg.solve(S_I, c)).sum(axis=-2, keepdims=True)
        unexplained = unexplained - along - along.swapaxes(-1, -2) + corner * first * first.T
        # In units of each block: without noise, a block that captions omit may exceed the others by any factor.
        unit = np.sqrt(np.diagonal(unexplained, axis1=-2, axis2=-1))
        with np.errstate(divide="ignore", invalid="ignore"):
            unexplained = unexplained / unit[..., :, None] / unit[..., None, :]
        if not np.all(unit > 0) or np.any(np.linalg.cond(unexplained) > LARGEST_CONDITION):
            raise ValueError(NEVER_VARIES)
        y = np.linalg.solve(unexplained, (q / unit)[..., None])[..., 0] / unit
        X = mention * C + bare * c * first.T
        return np.einsum("...ij,...j->...i", np.linalg.solve(S_I, X), y)

    def critic(self, world: World) -> LinearCritic:
        """The critic from the covariances of both views, exact to rounding."""
        _refuse(world, self.prompt)
        if world.table is not None and prompt_row(self.prompt).pool:
            own = ", ".join(name for name in LINEAR if not prompt_row(name).pool)
            raise ValueError(
                f"prompt = {self.prompt!r} has no law of the Gaussian PMI in worlds with a table; choose from {own}"
            )
        mixture = world.mixture()
        _, _, m_I, S_I = latent_moments(world)
        m_T, S_T = caption_moments(mixture)
        S_I, S_T = S_I + world.nu_image * np.eye(len(m_I)), S_T + (1 - world.bare) * world.nu_text * np.eye(len(m_T))
        X = (1 - world.mismatch) * mixture.cross_covariance
        B = np.linalg.solve(S_I, X)
        V = S_T - X.T @ B
        if np.linalg.cond(V) > LARGEST_CONDITION:
            raise ValueError(NEVER_VARIES)
        q = world.prompts(self.prompt) - m_T
        y = np.linalg.solve(V, q.T).T  # V^-1 (q_y - m_T)
        u = y @ B.T
        return latent_critic(u, -u @ m_I - ((y - np.linalg.solve(S_T, q.T).T) * q).sum(axis=1) / 2)
