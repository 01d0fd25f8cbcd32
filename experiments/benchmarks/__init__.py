"""Speed and memory, always beside the machine's own matrix product and, when it is at hand, the official code."""
