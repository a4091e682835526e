"""Plain Python: the words and rules of the domain, without store or network."""
