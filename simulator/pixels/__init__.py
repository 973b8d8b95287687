"""Worlds that can be looked at: objects in colours or on backgrounds, captions in words.

A pixel world has the labels, attributes, correlations and captions of `World`; `views` says how they are seen.
"""
