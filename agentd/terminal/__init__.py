"""How commands write to a terminal."""
