"""Towers that read captions word by word: a bag of words, and a small transformer. Word 0 is none.

Words are looked up by a product with zeros and ones: vocabularies are small, and its gradient adds up in one order on
every device.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch.nn import functional as F

from simulator.towers.affine import Layer, Parameters, View, activated, affine
from simulator.towers.recipe import HEADS, Recipe

WIDER = 4  # units of a block's hidden layer, in widths (Vaswani et al. 2017, section 3.3)


def bag_layers(recipe: Recipe, tower: str, view: View) -> list[Layer]:
    """A vector for every word; the hidden layers and the linear map that their mean goes through."""
    w = recipe.width
    return [
        _vectors(recipe, tower, view),
        *(Layer(f"{tower}.{i}", w, w, True) for i in range(1, recipe.depth)),
        Layer(f"{tower}.{recipe.depth}", w, recipe.embed_dim, False),
    ]


def embed_bag(recipe: Recipe, parameters: Parameters, tower: str, x: Int[torch.Tensor, "E B L"]) -> torch.Tensor:
    """Embeddings (E, B, h) of the mean of the words' vectors."""
    each, there = _looked_up(parameters, tower, x)
    mean = activated(recipe, _mean(each, there))
    for i in range(1, recipe.depth):
        mean = activated(recipe, affine(parameters, f"{tower}.{i}", mean))
    return affine(parameters, f"{tower}.{recipe.depth}", mean)


def transformer_layers(recipe: Recipe, tower: str, view: View) -> list[Layer]:
    """A vector for every word and every place, `depth` blocks of attention and a perceptron, a linear map."""
    w, (length,) = recipe.width, view.shape
    found = [
        _vectors(recipe, tower, view),
        Layer(f"{tower}.places", length, w, False, bias=False, looked_up=True),
    ]
    for i in range(recipe.depth):
        found += [
            Layer(f"{tower}.{i}.asked", w, 3 * w, False, uses=length),  # queries, keys and values
            Layer(f"{tower}.{i}.told", w, w, False, uses=length),
            Layer(f"{tower}.{i}.wide", w, WIDER * w, True, uses=length),
            Layer(f"{tower}.{i}.back", WIDER * w, w, False, uses=length),
        ]
    return [*found, Layer(f"{tower}.{recipe.depth}", w, recipe.embed_dim, False)]


def embed_transformer(
    recipe: Recipe, parameters: Parameters, tower: str, x: Int[torch.Tensor, "E B L"]
) -> torch.Tensor:
    """Embeddings (E, B, h) of the mean over a caption's words, normalised before every map (Xiong et al. 2020)."""
    each, there = _looked_up(parameters, tower, x)
    each = each + parameters[f"{tower}.places.weight"][:, None, : x.shape[2]]
    for i in range(recipe.depth):
        each = each + _attended(parameters, f"{tower}.{i}", _normal(each), there)
        wide = activated(recipe, _everywhere(parameters, f"{tower}.{i}.wide", _normal(each)))
        each = each + _everywhere(parameters, f"{tower}.{i}.back", wide)
    return affine(parameters, f"{tower}.{recipe.depth}", _mean(_normal(each), there))


def _vectors(recipe: Recipe, tower: str, view: View) -> Layer:
    return Layer(f"{tower}.words", view.vocabulary, recipe.width, False, bias=False, looked_up=True, uses=view.shape[0])


def _looked_up(
    parameters: Parameters, tower: str, x: Int[torch.Tensor, "E B L"]
) -> tuple[Float[torch.Tensor, "E B L w"], Bool[torch.Tensor, "E B L"]]:
    """(vector of every word, whether there is one)."""
    vectors = parameters[f"{tower}.words.weight"]
    chosen = F.one_hot(x, vectors.shape[1]).to(vectors.dtype)
    return torch.bmm(chosen.flatten(1, 2), vectors).unflatten(1, x.shape[1:]), x != 0


def _mean(each: Float[torch.Tensor, "E B L w"], there: Bool[torch.Tensor, "E B L"]) -> Float[torch.Tensor, "E B w"]:
    weight = there.to(each.dtype)[..., None]
    return (weight * each).sum(2) / weight.sum(2).clamp(min=1)  # a caption without words is zero


def _normal(x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:])  # without gain and shift: an affine map follows


def _everywhere(parameters: Parameters, name: str, x: Float[torch.Tensor, "E B L w"]) -> torch.Tensor:
    return affine(parameters, name, x.flatten(1, 2)).unflatten(1, x.shape[1:3])


def _attended(
    parameters: Parameters, name: str, x: Float[torch.Tensor, "E B L w"], there: Bool[torch.Tensor, "E B L"]
) -> Float[torch.Tensor, "E B L w"]:
    """What every word reads of the others."""
    asked = _everywhere(parameters, f"{name}.asked", x).unflatten(3, (3, HEADS, -1))  # (E, B, L, 3, HEADS, w/HEADS)
    queries, keys, values = asked.movedim(3, 0).transpose(3, 4)
    hidden = torch.zeros(there.shape, dtype=x.dtype, device=x.device).masked_fill(~there, torch.finfo(x.dtype).min)
    found = F.scaled_dot_product_attention(queries, keys, values, attn_mask=hidden[:, :, None, None])
    return _everywhere(parameters, f"{name}.told", found.transpose(2, 3).flatten(3))
