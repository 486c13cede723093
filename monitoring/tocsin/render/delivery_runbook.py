"""The runbook of the alarms of the routing: about the way of a page, not about a system."""

KIND = "on-call-delivery"
SYMPTOM = "a page or a ticket does not reach the on-call tool"
TITLE = "On-call"
