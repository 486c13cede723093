"""The reference systems that the monitoring sits next to, as they are deployed."""
