"""Claims as data: what a claim is, its domain, and the quantities and relations that it can
name.
"""
