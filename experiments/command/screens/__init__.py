"""Tables that the larger verbs print."""
