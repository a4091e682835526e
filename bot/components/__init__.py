"""Graph components of our own, named in config.yml."""
