"""The work of helpers. Only a worker imports these."""
