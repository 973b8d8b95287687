"""Answers to a user's questions: predict, simulate, train."""
