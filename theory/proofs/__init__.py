"""Proofs over whole domains: a claim about closed forms is recorded, bounded over boxes, certified and checked.

    expression    what theory's own functions do to their arguments, recorded once; sums, roots, Phi; derivatives
    statements    what a claim says, as inequalities between such expressions over the unit cube
    intervals     outward-rounded float64 arrays, in which the prover evaluates them over thousands of boxes a step
    boxes         branch and bound: mean-value form, monotone coordinates, exact dyadic halves
    algebra       rational functions by exact coefficients: identities, and signs in Bernstein's basis
    certificate   writes what was found
    checker       reads it and believes nothing: 150 lines, Arb balls, no line of the prover

To have a claim proved nothing is to be added here as long as its quantity and its prediction are arithmetic of the
fields: a learner tells its weights as such a formula in `Learner.weights`, and functions that branch are to be written
without a branch (`theory.theorems.crossover_margin`).
"""
