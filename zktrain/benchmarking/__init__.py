"""Whole runs, measured: settings and sweeps, one process per run, figures and a report."""
