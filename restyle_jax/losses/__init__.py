"""What training minimises: small functions, one value for each sample, without weights or schedules."""
