"""Proofs over whole domains: a claim about closed forms is recorded, bounded over boxes, certified
and checked.

    expression      formulas, recorded from theory's own functions; their derivatives
    statements      what a claim says, as violations and obligations over the unit cube
    obligations     inequalities, and exact conditions on rational functions that imply them, with
                    roots cleared
    exact           decides such conditions with polynomials over the rationals
    intervals       outward-rounded float64 arrays, in which the prover bounds thousands of boxes
                    per step
    boxes           branch and bound: Taylor's formula of first and second order, worst boxes first
    prover          all of these in the order of their cost, after a search for a counterexample
    certificate     the result, as bytes
    checker         reads certificates and trusts nothing in them: derivatives of its own, and Arb
                    balls

Prover and checker share the first four files. A claim can be proved without any addition here if
its quantity and its prediction are arithmetic of the fields. "Not provable here" comes with the
reason:
    a learner without a formula     gets one in `Learner.weights` (see `theory.learners.linear`)
    a prediction that branches      is written without the branch; "iff" needs only its sign
    an operation without a rule     gets one in `expression` (derivative), `intervals` and `checker`
    a proof that does not close     gets a route of exact conditions in `obligations`, with the
                                    reason why it suffices
"""
