"""The docket: every claim on trial, by paper and by subject."""
