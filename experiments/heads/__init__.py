"""From arrays of embeddings to heads, from heads to one curve, and from the curve to p' and r.

`bundle` checks the arrays. `linear_heads` and `gaussian_law` fit heads, `cross_fitting` has them answer rows that they
have not seen. `least_regret` has the curve, p' and r. `intervals` has means over classes with intervals over
photos and over classes. `reliance` is the public function. `tables`, `figures` and `reliance_page` print and draw.
"""
