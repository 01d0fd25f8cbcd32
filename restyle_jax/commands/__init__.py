"""What each `restyle` command takes and prints, a file for each group of commands; the work itself is in `jobs`."""
