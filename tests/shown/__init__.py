"""What the pages show, done again; ``python -m tests.shown`` writes it there (``make docs``)."""
