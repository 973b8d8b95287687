"""The command line: options, output, and one file per family of verbs."""
