"""Long work on folders that can be killed and started again: what the command line runs."""
