"""Gaussian worlds of every kind, small enough for thousands of draws in plain numpy."""

from simulator.world import Attribute, World

WORLDS = {
    "paper": World(p_spu=0.8, mu_spu=1.5, dim_image=6, dim_text=9, sigma_xi=2.0),
    "masks": World(
        p_spu=0.7, mu_spu=2.0, mention_inv=0.8, mention_spu=0.4, dim_image=5, dim_text=3
    ),
    "fitting": World(p_spu=1.0, sigma_inv=0.5, sigma_spu=1.5, dim_image=2, dim_text=2),
    "no view noise": World(
        p_spu=0.2, mu_spu=2.0, sigma_xi=0.0, mention_spu=0.5, dim_image=4, dim_text=3
    ),
    "classes": World(classes=3, p_spu=0.8, mu_spu=2.0, mention_spu=0.6, dim_image=8, dim_text=7),
    "attribute": World(
        p_spu=0.7,
        attribute=(Attribute(mu=2.0, p=0.9, mention=0.7),),
        dim_image=5,
        dim_text=4,
        sigma_xi=3.0,
    ),
    "object": World(
        p_inv=0.8,
        p_spu=0.7,
        mu_spu=1.5,
        mention_inv=0.8,
        sigma_xi=2.0,
        sigma_xi_text=0.4,
        dim_image=4,
        dim_text=3,
    ),
    "objects": World(
        classes=3, p_inv=0.7, p_spu=0.8, mention_spu=0.6, sigma_xi_text=0.0, dim_image=7, dim_text=7
    ),
    "mismatch": World(
        p_spu=0.9, mu_spu=2.0, mismatch=0.4, mention_spu=0.6, sigma_xi=2.0, dim_image=5, dim_text=4
    ),
    "table": World(
        table=[[0.3, 0.25, 0.0], [0.0, 0.4, 0.05]],
        mention_spu=0.6,
        sigma_xi=2.0,
        dim_image=5,
        dim_text=6,
    ),
    "table of classes": World(
        table=[[0.3, 0.0], [0.25, 0.4], [0.0, 0.05]],
        p_inv=0.7,
        mismatch=0.3,
        mention_inv=0.6,
        dim_image=5,
        dim_text=5,
    ),
    "detail": World(
        p_spu=0.8,
        mu_spu=1.5,
        detail_inv=0.6,
        detail_spu=0.0,
        mention_spu=0.6,
        sigma_xi=0.0,
        dim_image=4,
        dim_text=3,
    ),
    "bare": World(
        classes=3,
        p_inv=0.8,
        detail_inv=0.5,
        bare=0.4,
        mismatch=0.2,
        mention_spu=0.6,
        dim_image=8,
        dim_text=7,
    ),
    "classes and attribute": World(
        classes=3, attribute=(Attribute(p=0.2, sigma=1.5),), dim_image=9, dim_text=11
    ),
    "noise": World(
        sigma_xi=4.0, sigma_inv=0.1, sigma_spu=0.1, mu_inv=0.1, mu_spu=0.1, dim_image=6, dim_text=6
    ),
}
