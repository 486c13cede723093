"""Judges alarms by what they would have done: scenarios, labelled history, proposals."""
