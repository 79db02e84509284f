"""Metrics, health and pages over HTTP, and who may ask for them."""
