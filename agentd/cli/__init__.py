"""The command line: it runs commands, prints answers and errors, and exits."""
