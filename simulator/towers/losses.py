"""The losses: embeddings in, one loss per model out. Each is the plain version, dense in the batch.

I, T (E, B, h) embeddings of images and captions, s (E,) scale, b (E,) bias. Unit: nats per pair
(the linearised loss: score units). `simulator.towers.chunked_losses` holds InfoNCE and SigLIP again
without the B x B matrix.

Pairs may have weights w (E, B) of mean 1 under the law. The minimiser is then the weighted law's
for any batch size. In the contrastive losses only positives are weighted. Unweighted negatives
change the optimum by a function of the image plus one of the caption, since log p_w(x, t)/(p(x)
p(t)) = PMI_w(x, t) + log p_w(x)/p(x) + log p_w(t)/p(t).

Embeddings are scaled instead of logits, and scores of matched pairs are computed apart, which saves
passes over B x B.
"""

import torch
from jaxtyping import Float, Int
from torch.nn import functional as F

Embeddings = Float[torch.Tensor, "E B h"]
PerModel = Float[torch.Tensor, " E"]
Weights = Float[torch.Tensor, "E B"] | None


def linearised(
    I: Embeddings,
    T: Embeddings,
    W_I: Float[torch.Tensor, "E dI h"],
    W_T: Float[torch.Tensor, "E dT h"],
    rho: float,
    weights: Weights = None,
) -> PerModel:
    """-<M, S> + rho/2 ||M||_F^2, M = W_I W_T', S the unbiased cross-covariance of the batch.

    The double sum over i != j of (s_ij + s_ji - 2 s_ii)/(2n(n - 1)) equals minus the unbiased
    covariance of paired embeddings: O(B h) for any batch ([W] Eq. 2; theory: minimiser S/rho). With
    weights this covariance is sum_i w_i I_i T_i'/n - sum_{i != j} w_i w_j I_i T_j'/(n (n - 1)),
    unbiased for the covariance of the weighted law.
    """
    n = I.shape[1]
    if weights is None:
        centred = I - I.mean(1, keepdim=True)
        agreement = (centred * T).sum((1, 2)) / (n - 1)
    else:
        i = weights[..., None] * I
        t = weights[..., None] * T
        apart = (i.sum(1) * t.sum(1)).sum(1) - (i * t).sum((1, 2))
        agreement = (i * T).sum((1, 2)) / n - apart / (n * (n - 1))
    # ||W_I W_T'||_F^2 = <W_I' W_I, W_T' W_T>: h x h products in place of d x d.
    squared_norm = (torch.bmm(W_I.mT, W_I) * torch.bmm(W_T.mT, W_T)).sum((1, 2))
    return rho / 2 * squared_norm - agreement


def infonce(I: Embeddings, T: Embeddings, scale: PerModel, weights: Weights = None) -> PerModel:
    """Symmetric InfoNCE: mean cross-entropy of softmaxes over captions and over images (Radford et
    al. 2021).
    """
    logits, pairs = _scores(I, T, scale)
    return _mean((logits.logsumexp(2) + logits.logsumexp(1)) / 2 - pairs, weights)


def siglip(
    I: Embeddings, T: Embeddings, scale: PerModel, bias: PerModel, weights: Weights = None
) -> PerModel:
    """-1/B sum_ij log sigmoid(l_ij (s cos_ij + b)), l = 1 on the diagonal and -1 elsewhere (Zhai et
    al. 2023).
    """
    logits, pairs = _scores(I, T, scale)
    # -log sigmoid(-x) - x = -log sigmoid(x): all entries as negatives, the diagonal corrected to
    # positives. (torch's softplus is linear above 20, an error of 2e-9 that shows in float64.)
    every = -F.logsigmoid(-logits - bias[:, None, None]).sum(2).mean(1)
    own = pairs + bias[:, None]
    if weights is None:
        return every - own.mean(1)
    return every + (F.logsigmoid(-own) - weights * F.logsigmoid(own)).mean(1)


def supervised(
    logits: Float[torch.Tensor, "E B K"], labels: Int[torch.Tensor, "E B"], weights: Weights = None
) -> PerModel:
    return _mean(logits.logsumexp(2) - logits.gather(2, labels[..., None])[..., 0], weights)


def _scores(I: Embeddings, T: Embeddings, scale: PerModel) -> tuple[torch.Tensor, torch.Tensor]:
    """s I T' (E, B, B), and its diagonal (E, B), computed apart."""
    scaled = scale[:, None, None] * I
    return torch.bmm(scaled, T.mT), (scaled * T).sum(2)


def _mean(each: Float[torch.Tensor, "E B"], weights: Weights) -> PerModel:
    return (each if weights is None else weights * each).mean(1)
