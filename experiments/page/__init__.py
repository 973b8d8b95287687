"""Figures, report and the job that makes them."""
