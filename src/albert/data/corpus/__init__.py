"""A corpus as a stream of documents: files, records, URLs, data sets of the Hub."""
