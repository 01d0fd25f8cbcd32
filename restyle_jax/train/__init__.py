"""Training: one loop for every task, its state on disk, and a file per task."""
