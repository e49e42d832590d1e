"""Owns every child process: starts and stops engines, speaks to them, and carries out what the scheduler decides."""
