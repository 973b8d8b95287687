"""Learners, one file each, with everything that theory knows of them."""
