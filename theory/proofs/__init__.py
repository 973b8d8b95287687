"""Proofs over whole domains: a claim about closed forms is recorded, bounded over boxes, certified and checked.

    expression      what theory's own functions do to their arguments, recorded once; derivatives of it
    statements      what a claim says, as violations and obligations over the unit cube
    obligations     inequalities, and exact conditions on rational functions that imply them
    squaring        square roots cleared away where signs are known
    algebra         such conditions by exact coefficients in Bernstein's basis
    intervals       outward-rounded float64 arrays, in which the prover bounds thousands of boxes a step
    boxes           branch and bound: mean-value form, monotone coordinates, exact dyadic halves
    counterexample  a point at which the violation is certain
    prove           all of these in the order of their cost
    certificate     what was found, as bytes
    checker         reads them and believes nothing: derivatives of its own, Arb balls and flint's polynomials; with the
                    prover it shares what is to be shown, the first four of these files

How a claim comes to be proved: nothing is added here as long as its quantity and its prediction are arithmetic of the
fields. `soberclip check --prove ID` says "not provable here" and why where they are not. Then
    a learner without a formula     gives its weights as one in `Learner.weights` (see `theory.learners.linear`)
    a prediction that branches      is written without the branch, its sign being all that "iff" asks for
    an operation without a rule     gets one in `expression` (derivative), `intervals` and `checker`
    a proof that does not close     gets a route of exact conditions in `obligations`, with the reason why it suffices
and the claim's id goes into the lists at the head of tests/theory/proofs/test_prove.py.
"""
