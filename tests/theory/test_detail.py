"""What captions tell: detail and bare captions, in every learner's law."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from simulator.world import World
from theory import equivalent, learners
from theory.learners.infonce import equal_classes

HEADLINE = {"p_spu": 0.9, "mu_spu": 1.5, "sigma_xi": 6.0}
VAGUE = {"detail_inv": 0.0, "detail_spu": 0.0}

correlated = {
    "p_spu": st.floats(0.05, 0.999),
    "mu_spu": st.floats(0.1, 4),
    "sigma_inv": st.floats(0.1, 2),
}
noisy = {
    "sigma_spu": st.floats(0.1, 2),
    "sigma_xi": st.floats(0.5, 12),
    "sigma_xi_text": st.floats(0.5, 12),
}
masked = {
    "mention_inv": st.floats(0.1, 1),
    "mention_spu": st.floats(0, 1),
    "mismatch": st.floats(0, 0.9),
}


@given(
    st.builds(World, **correlated, **noisy, **masked),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 0.99),
)
@example(World(), 0.0, 1.0, 0.5)
def test_labels_alone_do_not_see_captions(world, g, h, bare):
    """Supervised learners, Bayes and the ideal curve depend on neither detail nor bare captions."""
    told = world.replace(detail_inv=g, detail_spu=h, bare=bare)
    for learner in (learners.Bayes(), learners.LeastSquares(), learners.Logistic()):
        assert [*learner.accuracy(told)] == [*learner.accuracy(world)]
    accuracy = learners.LeastSquares().accuracy(world)
    places = [equivalent(w, accuracy) for w in (told, world)]
    np.testing.assert_array_equal(*[(place.correlation, place.shortfall) for place in places])


def test_images_without_noise_have_a_law_where_captions_leave_detail_out():
    """The limit sigma_xi -> 0 is reached smoothly."""
    world = World(mu_spu=1.5, sigma_xi=0.0, sigma_xi_text=6.0, detail_inv=0.5, detail_spu=0.7)
    exact, near = (
        learners.InfoNCE("name").accuracy(w) for w in (world, world.replace(sigma_xi=1e-3))
    )
    np.testing.assert_allclose([*exact], [*near], atol=1e-5)


def test_a_bare_caption_that_shows_no_object_ties():
    learner = learners.InfoNCE("bare")
    world = World(mu_inv=0.0, bare=0.5)
    assert [*learner.accuracy(world)] == [0.5, 0.5]
    assert not learner.scores(world, np.ones((3, 2))).any()


def test_classes_made_equally_frequent_keep_their_common_backgrounds():
    table = np.array([[0.3, 0.1], [0.1, 0.5]])
    world = World(table=table, common=[[1], [0]], bare=0.3)
    even = equal_classes(world)
    assert even.usual_backgrounds() == world.usual_backgrounds() == ((1,), (0,))
    np.testing.assert_allclose(np.sum(even.table, axis=1), 0.5)
