"""The command line: words and flags, one file a family of verbs, screens."""
