"""Photos as they lie about: trees, tables, shards and saved data sets, all read into one Tree of labelled photos."""
