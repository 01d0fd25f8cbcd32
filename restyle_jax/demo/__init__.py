"""The page of `restyle demo`, which shows in one file what a checkpoint does."""
