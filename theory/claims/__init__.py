"""Claims as data: what a claim is (`claim`), then the docket by source."""
