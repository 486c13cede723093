"""One file for each kind of finding; each function yields findings and decides nothing else."""
