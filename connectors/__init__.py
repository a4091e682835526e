"""Everything that touches the outside: pages, the command line, Rasa's client, settings."""
