"""The docket: every claim on trial, by paper and by subject; `gap` and `separating` are learners
that only it asks.
"""
