"""From arrays of embeddings to heads, from heads to one curve, and from the curve to p' and r.

`bundle` checks the arrays. `gaussian_law` fits the theory's law, `fitting` all heads, which answer
rows that they have not seen. `least_regret` has the curve, p' and r. `intervals` has means over
classes with intervals over photos and over classes. `reliance` is the public function. `tables` and
`pages` print and draw.
"""
