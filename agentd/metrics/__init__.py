"""What Prometheus sees. The names are defined here and nowhere else."""
