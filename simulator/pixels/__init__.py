"""Worlds of pixels: objects in colours or on backgrounds, captions as vectors or sentences.

A pixel world has the labels, attributes, correlations and captions of `World`; `views` declares how
they are shown.
"""
