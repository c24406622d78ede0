"""Kills training runs at random moments and lets them go on: `python -m tests.crashes --kills 200`."""
