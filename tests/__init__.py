"""`python -m tests` checks formatting, lint, types, and then runs every test."""
