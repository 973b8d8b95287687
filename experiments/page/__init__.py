"""Figures, the report, and the job that makes them."""
