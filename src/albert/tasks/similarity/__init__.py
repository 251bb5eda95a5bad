"""The kinds `similarity` and `pairs`: texts that one encoder turns into vectors."""
