"""Data sets of known truth for other people's training code, and the place of what it trains."""
