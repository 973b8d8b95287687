"""The tables that [W] printed, their audit, and the claims that they decide; depends on no
model.
"""
