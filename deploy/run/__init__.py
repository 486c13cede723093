"""The main job on one machine: both reference systems, their alarms, a fault, a page, its end."""
