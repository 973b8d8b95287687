"""Claims as data: the class of a claim (`claim`), and all claims by source."""
