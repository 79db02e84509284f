"""Storms, restarts, kills, reconfigurations and scrapes together, for as long as one likes."""
