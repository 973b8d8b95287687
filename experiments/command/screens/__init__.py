"""Documents as rich tables, for people: every table that a verb prints, a file a family of verbs.

Accuracies and drops in percent. Nothing is cropped: long cells wrap, ids stay whole.
"""
