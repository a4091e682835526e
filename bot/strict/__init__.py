"""The strict channel and what it needs: a quiet, lean, stateless Rasa."""
