"""Evaluates rendered alarms over metric series with CloudWatch's own rules, offline."""
